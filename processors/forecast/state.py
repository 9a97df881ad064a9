"""What is known of each tenant, as columns: arrays whose last axis is the tenant.

At ten-minute periods a tenant takes 1,816 bytes, of which 1,248 are its day and its week: 181 MB at 100,000 tenants. Shorter
periods take no more (settings.DAY_BUCKETS says why), longer ones less.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from processors.forecast.calendar import Calendar
from processors.forecast.settings import AVERAGES, FIRST_MULTIPLES, LEVELS, TRENDS, TRUST, UNKNOWN

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Columns = dict[str, npt.NDArray[Any]]
"""float64, and float32 in profiles."""

EXPERTS = (
    "last",
    *(f"average {rate}" for rate in AVERAGES),
    *(f"trend {level}" for level, _, _ in TRENDS),
    "zero",
    "half",
    "middle",
    "day",
    "day ratio",
    "day change",
    "half day change",
    "week",
    "week ratio",
)
"""In the order of their weights."""

FIRST_WEIGHTS: Floats = np.array([TRUST, *[(1 - TRUST) / (len(EXPERTS) - 1)] * (len(EXPERTS) - 1)])
FIRST_WEIGHTS.flags.writeable = False


@dataclass(frozen=True)
class _Column:
    """Values of a tenant: how many (None: one, without an axis of its own), the first ones, and how they are kept."""

    rows: int | None = None
    first: float | tuple[float, ...] = 0.0
    dtype: type[np.float64 | np.float32] = np.float64

    def empty(self, tenants: int) -> npt.NDArray[Any]:
        shape = (tenants,) if self.rows is None else (self.rows, tenants)
        first = np.asarray(self.first, self.dtype)
        return np.broadcast_to(first[..., None] if first.ndim else first, shape).copy()


def _profile(name: str, buckets: int) -> dict[str, _Column]:
    """A cycle's memory: see profile.py."""
    return {
        name: _Column(buckets, UNKNOWN, np.float32),
        f"{name}_sum": _Column(),
        f"{name}_count": _Column(),
        f"{name}_closed": _Column(first=UNKNOWN),
        f"{name}_before": _Column(first=UNKNOWN),
    }


def _layout(calendar: Calendar) -> dict[str, _Column]:
    return {
        "seen": _Column(),  # periods learned
        "last": _Column(),
        "averages": _Column(len(AVERAGES)),
        "levels": _Column(len(TRENDS)),
        "slopes": _Column(len(TRENDS)),
        "middle": _Column(),
        "middle_error": _Column(),
        "peak": _Column(),
        **_profile("day", calendar.day.buckets),
        **_profile("week", calendar.week.buckets),
        "primed": _Column(),  # tokens that priors wrote, summed: so that columns which move with every period tell of them
        "day_then": _Column(first=UNKNOWN),  # what the day's profile said of the last period learned
        "pool_then": _Column(first=UNKNOWN),  # what the pool's did
        "idle_weights": _Column(len(EXPERTS), tuple(FIRST_WEIGHTS.tolist())),
        "busy_weights": _Column(len(EXPERTS), tuple(FIRST_WEIGHTS.tolist())),
        "spread": _Column(),
        "error": _Column(),
        "excess": _Column(),
        "idle_multiples": _Column(len(LEVELS), FIRST_MULTIPLES),
        "busy_multiples": _Column(len(LEVELS), FIRST_MULTIPLES),
    }


@dataclass(slots=True)
class State:
    """One pool's forecaster. What a snapshot needs: `tenants`, `pool`, `size`, `learned` and `busy`.

    Attributes:
        calendar: of the pool's periods.
        size: tenants; a tenant's slot is its place in the order in which they came.
        tenants: the columns, with room for more than `size`.
        pool: the profile of the mean tenant's day, columns of one.
        learned: the last period that was learned; None before the first.
        busy: tenants that had demand in it.
    """

    calendar: Calendar
    size: int = 0
    tenants: Columns = field(default_factory=dict)
    pool: Columns = field(default_factory=dict)
    learned: int | None = None
    busy: int = 0

    def __post_init__(self) -> None:
        if not self.tenants:
            self.tenants = {name: column.empty(0) for name, column in _layout(self.calendar).items()}
            self.pool = {name: column.empty(1) for name, column in _profile("day", self.calendar.day.buckets).items()}

    @property
    def bytes_per_tenant(self) -> int:
        """Memory of a tenant."""
        return sum(column.empty(1).nbytes for column in _layout(self.calendar).values())

    def add(self, count: int) -> None:
        """Further tenants, of which nothing is known. Room doubles, so that this costs O(count), amortised."""
        wanted, room = self.size + count, self.tenants["seen"].shape[-1]
        if wanted > room:
            layout = _layout(self.calendar)
            more = max(wanted, 2 * room) - room
            self.tenants = {
                name: np.concatenate((values, layout[name].empty(more)), axis=-1) for name, values in self.tenants.items()
            }
        self.size = wanted

    def part(self, slots: slice | npt.NDArray[np.intp]) -> Columns:
        """The columns of some tenants. Of a slice they are views: what is written there changes the state."""
        return {name: values[..., slots] for name, values in self.tenants.items()}
