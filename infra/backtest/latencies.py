"""Latencies against SLAs, as far as the journal tells.

The journal says how long requests took under what was allocated then; under another allocation they would have taken a time that
nobody measured. So a variant's attainment is known only for those tenants' periods in which its allocation covers as much of the
demand as the recorded one; the others leave an interval.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from processors.histogram import BUCKETS, LOWER_BOUNDS, MAX_VALUE
from processors.state import PoolState
from processors.tenants import NO_CAP
from schemas.journal import LatencySums

UPPER_BOUNDS: npt.NDArray[np.int64] = np.append(LOWER_BOUNDS[1:] - 1, MAX_VALUE)
assert len(UPPER_BOUNDS) == BUCKETS  # noqa: S101  states what the line above gives

Cell = tuple[int, str]
"""Period, tenant."""


class Kept(NamedTuple):
    """One tenant's requests of one period. A request whose bucket holds the SLA is in `at_most`, but not in `at_least`.

    Attributes:
        covered: tokens of its demand that its allocation covered.
        at_least: requests within the SLA for sure.
        at_most: requests that may be within it.
        requests: all with a latency.
    """

    covered: int
    at_least: int
    at_most: int
    requests: int


class Attained(NamedTuple):
    """Share of requests within their tenants' SLA: between `low` and `high`; `known` is the share of requests that are known."""

    low: float
    high: float
    known: float
    requests: int


@dataclass(slots=True)
class Latencies:
    """Requests within their SLA, by period and tenant. Some 200 bytes for each period of each tenant with an SLA and requests."""

    cells: dict[Cell, Kept] = field(default_factory=dict)
    _running: dict[Cell, list[int]] = field(default_factory=dict)

    def count(self, pool: PoolState, sums: LatencySums) -> None:
        """Take a meter's histograms; those of a tenant without an SLA count nowhere."""
        period = max(pool.present, pool.period_of_report(sums.tick)) if pool.tick_ms else pool.present
        slots = pool.tenants.slots
        known = np.array([slots.get(tenant, -1) for tenant in sums.tenant], np.intp)
        sla = np.where(known >= 0, pool.tenants["sla_ms"][known] if len(slots) else NO_CAP, NO_CAP)
        owner, bucket, count = (np.array(column, np.int64) for column in (sums.owner, sums.bucket, sums.count))
        if not len(owner) or not (sla != NO_CAP).any():
            return
        limit, many = sla[owner], len(sums.tenant)
        surely, perhaps, all_of = (
            np.bincount(owner[chosen], count[chosen], many).astype(np.int64).tolist()
            for chosen in (UPPER_BOUNDS[bucket] <= limit, LOWER_BOUNDS[bucket] <= limit, limit != NO_CAP)
        )
        for at in np.flatnonzero(sla != NO_CAP).tolist():
            row = self._running.setdefault((period, sums.tenant[at]), [0, 0, 0])
            row[0] += surely[at]
            row[1] += perhaps[at]
            row[2] += all_of[at]

    def close(self, period: int, covered: Mapping[str, int]) -> None:
        """A period closed, of whose demand tenants' allocations covered so many tokens."""
        for cell in [cell for cell in self._running if cell[0] <= period]:
            surely, perhaps, requests = self._running.pop(cell)
            if requests:
                self.cells[period, cell[1]] = Kept(covered.get(cell[1], 0), surely, perhaps, requests)

    def forget(self, period: int) -> None:
        """A period closed that is not measured."""
        for cell in [cell for cell in self._running if cell[0] <= period]:
            del self._running[cell]


def attained(recorded: Mapping[Cell, Kept], variant: Mapping[Cell, Kept]) -> Attained | None:
    """What a variant attained; None where no request of a tenant with an SLA has a latency.

    Args:
        recorded: what happened.
        variant: likewise of the variant; what happened itself is known as far as buckets tell.
    """
    low = high = known = total = 0
    for cell, kept in recorded.items():
        other = variant.get(cell)
        total += kept.requests
        if other is not None and other.covered == kept.covered:
            low, high, known = low + kept.at_least, high + kept.at_most, known + kept.requests
        else:
            high += kept.requests
    return Attained(low / total, high / total, known / total, total) if total else None
