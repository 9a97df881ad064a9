"""What the tenants of a pool used, hour by hour, and what they need in the long run.

One number for each tenant and hour: the mean of what it used in the hour's periods, whole tokens per period. 100,000 tenants and
the 168 hours of a week are 134 MB, and up to twice that as room doubles; what is computed from them takes blocks of tenants, so
that it needs 20 MB more.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from processors.forecast.settings import GAP_S, SYSTEM
from processors.rebalance import UNKNOWN, RebalanceSettings, needs
from schemas.planning import MOST_NEEDS
from schemas.units import MAX_TOKENS

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(slots=True)
class History:
    """One pool's tenants and what they used in each of the last hours.

    Attributes:
        period_s: seconds of a period.
        look_back: hours that are kept.
        through: the last hour that was taken in, in hours since 1970; None before the first.
        names: of the tenants; a tenant's column is its place.
        tokens: tokens per period, UNKNOWN where the tenant was not observed; row h % look_back is hour h; with room
            for more tenants.
    """

    period_s: int
    look_back: int
    through: int | None = None
    names: list[str] = field(default_factory=list)
    columns: dict[str, int] = field(default_factory=dict)
    tokens: Ints = field(init=False)

    def __post_init__(self) -> None:
        self.tokens = np.full((self.look_back, 0), UNKNOWN, np.int64)

    def take(self, hour: int, names: Sequence[str], tokens: Sequence[int]) -> None:
        """The next hour: who was observed in it and the mean of what each used in its periods."""
        if self.through is not None and hour != self.through + 1:
            raise AssertionError(f"hour {hour} does not follow {self.through}")
        row = hour % self.look_back
        self.tokens[row] = UNKNOWN
        self._forget()
        columns = np.array([self._column(name) for name in names], np.intp)
        self.tokens[row, columns] = np.asarray(tokens, np.int64)
        self.through = hour

    @property
    def hours(self) -> range:
        """The hours that are kept."""
        return range(0) if self.through is None else range(max(0, self.through + 1 - self.look_back), self.through + 1)

    def of(self, names: Sequence[str]) -> Ints:
        """What some tenants used in each of `hours`, a row each; UNKNOWN in all of them of who was not observed."""
        found = np.full((len(self.hours), len(names)), UNKNOWN, np.int64)
        places = [(place, self.columns[name]) for place, name in enumerate(names) if name in self.columns]
        if places:
            into, columns = zip(*places, strict=True)
            rows = [hour % self.look_back for hour in self.hours]
            found[:, into] = self.tokens[:, columns][rows]
        return found

    def _column(self, name: str) -> int:
        found = self.columns.get(name)
        if found is None:
            found = self.columns[name] = len(self.names)
            self.names.append(name)
            room = self.tokens.shape[1]
            if found >= room:
                more = np.full((self.look_back, max(16, room)), UNKNOWN, np.int64)
                self.tokens = np.concatenate((self.tokens, more), axis=1)
        return found

    def _forget(self) -> None:
        """Tenants of which no hour is left; once they are more than the others, so that it costs O(1) an hour and tenant."""
        alive = (self.tokens[:, : len(self.names)] != UNKNOWN).any(axis=0)
        if 2 * np.count_nonzero(alive) < len(self.names):
            self.tokens = self.tokens[:, : len(self.names)][:, alive]
            self.names = [name for name, lives in zip(self.names, alive.tolist(), strict=True) if lives]
            self.columns = {name: column for column, name in enumerate(self.names)}


def holes(used: Ints, tenants: Ints, periods: Ints, late: Mask, period_s: int) -> Mask:
    """Periods that say nothing of demand, of a pool's closed periods in their order.

    A meter of usage was late: nobody knows whether who used nothing used nothing. Or nobody used anything, though many tenants were
    there and somebody used something less than a day before: the telemetry was away (as processors/forecast/rule.py, `is_gap`).
    """
    busy = np.where(used > 0, periods, -(GAP_S // period_s) - 1)
    since = periods - np.maximum.accumulate(busy)
    return np.asarray(late | ((used == 0) & (tenants >= SYSTEM) & (since * period_s <= GAP_S)))


class Needs(NamedTuple):
    """What some tenants need, tokens per period."""

    tenant: list[str]
    need: list[int]


def long_term_needs(history: History, tenants: Sequence[str], settings: RebalanceSettings) -> Needs:
    """What those of `tenants` need whose need is known, in their order; over the last hours of the settings' look-back."""
    named = [name for name in tenants if name in history.columns]
    kept = Needs([], [])
    for start in range(0, len(named), MOST_NEEDS):
        block = named[start : start + MOST_NEEDS]
        found = needs(history.of(block)[-settings.look_back_h :], settings)
        for name, need in zip(block, found.tolist(), strict=True):
            if need != UNKNOWN:
                kept.tenant.append(name)
                kept.need.append(min(need, MAX_TOKENS))
    return kept
