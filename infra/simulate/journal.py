"""A pool under the engine itself: a journal that the simulation writes, a tick for each period, and the facts that follow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from processors.engine import fold
from processors.histogram import buckets_of
from processors.state import PartitionState
from schemas.fact import Fact
from schemas.facts import AllocationsOpened
from schemas.journal import ClockTick, LatencySums, MeterMark, UsageSums
from schemas.model import Event
from schemas.published import PoolCommand, ProfileCommand

F = TypeVar("F", bound=Fact)

POOL = "pool"


class JournalledPool:
    """Period n begins with tick n, from 0 on; with one meter for each topic."""

    def __init__(self, pool: PoolCommand, profiles: Iterable[ProfileCommand]) -> None:
        self.state = PartitionState()
        self.facts: list[Fact] = []
        self.period = 0
        self._period_ms = pool.period_s * 1000
        self._offset = 0
        self._tick()
        self.take(pool, *profiles)
        self._tick()
        self.bases = self._bases()

    def take(self, *records: Event) -> list[Fact]:
        """Append records; the facts that follow."""
        came: list[Fact] = []
        for record in records:
            came += fold(self.state, record, self._offset)
            self._offset += 1
        self.facts = came
        return came

    def end_period(self, used: Mapping[str, int], latencies: Mapping[str, npt.NDArray[np.int64]]) -> None:
        """Meters report the open period, and the next one begins."""
        facts = self.take(*self._reports(used, latencies))
        facts += self._tick()
        self.facts = facts
        self.bases = self._bases()

    def told(self, kind: type[F]) -> list[F]:
        """Of a kind, at the end of the last period."""
        return [fact for fact in self.facts if isinstance(fact, kind)]

    def _bases(self) -> dict[str, int]:
        """Everybody's base of the open period, with boosts and loans."""
        return {tenant: base for fact in self.told(AllocationsOpened) for tenant, base in zip(fact.tenant, fact.base, strict=True)}

    def _reports(self, used: Mapping[str, int], latencies: Mapping[str, npt.NDArray[np.int64]]) -> list[Event]:
        tenants = sorted(used)
        entries = [
            (owner, bucket, count)
            for owner, tenant in enumerate(sorted(latencies))
            for bucket, count in zip(
                *(each.tolist() for each in np.unique(buckets_of(latencies[tenant]), return_counts=True)), strict=True
            )
        ]
        meter = {"meter_partition": 0, "tick": self.period, "chunk": 0, "pool": POOL}
        nothing = [0] * len(tenants)
        return [
            UsageSums(
                meter_topic="usage",
                **meter,
                tenant=tenants,
                requests=nothing,
                input_tokens=nothing,
                cached_input_tokens=nothing,
                output_tokens=[used[tenant] for tenant in tenants],
            ),
            LatencySums(
                meter_topic="latency",
                **meter,
                tenant=sorted(latencies),
                owner=[owner for owner, _, _ in entries],
                bucket=[bucket for _, bucket, _ in entries],
                count=[count for _, _, count in entries],
            ),
        ]

    def _tick(self) -> list[Fact]:
        """Time goes on by a period; both meters have reported it."""
        marks = [MeterMark(meter_topic=topic, meter_partition=0, tick=self.period) for topic in ("latency", "usage")]
        tick = ClockTick(tick=self.period, tick_ms=self._period_ms, meter_partitions=1, grace_ticks=3)
        self.period += 1
        return self.take(tick, *marks)
