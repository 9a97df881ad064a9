"""State of a pool that gateways share: what each of them has, may still be using, and wants.

A pool from which no gateway has a lease has none of it. 26 columns of 8 bytes for each tenant and gateway: 10,000 tenants at 16
gateways are 33 MB, 100,000 at MOST_GATEWAYS 670 MB. A gateway whose lease has ended is forgotten at once: lease numbers are ticks,
which go on growing.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from processors.sharing.state import DIMENSIONS, LIMITS
from processors.tenants import Column

MOST_GATEWAYS = 32
"""In one pool. A gateway passes on thousands of requests a second: these are more than the replicas of most pools serve."""

MARGIN_MS = 2_000
"""A gateway's lease is over for itself `lease_ms` after it sent the report that the lease answers, by its own clock. The engine
counts from when the broker had that report, which is later, to a tick, which no broker had before its time: so only the clocks of
brokers are compared, with each other, and this is how far they may be apart, less the second in which a gateway sees that its lease
is over."""

PART_ROWS = 2_000
"""Tenants that are told together: those of neighbouring slots, in some 100 KB."""

GRANTED: tuple[str, ...] = LIMITS
"""Columns of what the newest lease grants; a borrowing limit of NO_LIMIT is none."""

HELD: tuple[str, ...] = tuple(f"held_{name}" for name in LIMITS)
"""Columns of the most that the gateway may be using of each: by this lease, by the one before it until it has named this one, and
of spaces what its requests still occupy."""

WANTED: tuple[str, ...] = tuple(f"wanted_{dimension}" for dimension in DIMENSIONS)
"""Columns of what was wanted at the gateway of late; throughput in tokens per second."""

MOST_WANTED = 2**44
"""Of a tenant at a gateway; more, which no pool has, counts as this: half a million tenants then sum to an int64."""

NO_LIMIT = -1
NOT_TOLD = -1
"""As tier: the gateway has no lease of the tenant's limits yet."""
NEVER = -1

_INITIAL: dict[str, int] = {
    "tier": NOT_TOLD,
    **dict.fromkeys(GRANTED, 0),
    **dict.fromkeys(HELD, 0),
    "kv_used": 0,
    "concurrency_used": 0,
    **dict.fromkeys(WANTED, 0),
    # The tick before the newest report that told of a refusal, and the sequence of the newest that named the tenant.
    "refused_tick": NEVER,
    "named": 0,
}

_PLACE = {name: place for place, name in enumerate(_INITIAL)}
COLUMNS = len(_INITIAL)


class Rows:
    """Columns of one gateway, a value a tenant, by the tenant's slot. They reach as far as something was recorded."""

    __slots__ = ("_size", "_table")

    def __init__(self, table: npt.NDArray[np.int64] | None = None) -> None:
        self._table = np.empty((COLUMNS, 0), np.int64) if table is None else table
        self._size: int = self._table.shape[1]

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, name: str) -> Column:
        """A view: to assign to it changes the state."""
        column: Column = self._table[_PLACE[name], : self._size]
        return column

    def at(self, name: str, slots: npt.NDArray[np.intp]) -> Column:
        """A column's values for slots that rise; initial ones beyond what was recorded. Not to be assigned to."""
        if slots.size and slots[-1] < self._size and slots[-1] - slots[0] + 1 == slots.size:  # nearly always: all of them
            whole: Column = self._table[_PLACE[name], slots[0] : slots[-1] + 1]
            return whole
        known = int(np.searchsorted(slots, self._size))
        found = np.full(slots.size, _INITIAL[name], np.int64)
        found[:known] = self._table[_PLACE[name], slots[:known]]
        return found

    def reach(self, size: int) -> None:
        """At least so many tenants; room doubles, so that one more costs O(1)."""
        room = int(self._table.shape[1])
        if size > room:
            grown = np.repeat(np.array([*_INITIAL.values()], np.int64)[:, None], max(size, 2 * room, 16), axis=1)
            grown[:, :room] = self._table
            self._table = grown
        self._size = max(self._size, size)

    def table(self) -> npt.NDArray[np.int64]:
        """All of it, a row a column."""
        return self._table[:, : self._size]


@dataclass(slots=True)
class Gateway:
    """One gateway of a pool, in one life.

    Attributes:
        incarnation: which life.
        sequence: of the newest report, and `chunks` how much of it has come.
        chunks: see above.
        answers: sequence of the newest whole report.
        ends_ms: when its lease has surely ended, unless another report comes.
        lease_ms: what it asked for with its newest whole report.
        number: of its newest lease, the tick in which it was granted; 0: it has none yet.
        applied: of the lease by which it went in its newest whole report.
        capacity: granted, of each dimension.
        held_capacity: the most that it may be using, as of HELD.
        in_use: blocks and requests, in its newest whole report; `coming` in the chunks of the next.
        coming: see above.
        parts: of each PART_ROWS slots, the lease with which something changed last.
        rows: of each tenant.
    """

    incarnation: str
    sequence: int = 0
    chunks: int = 0
    answers: int = 0
    ends_ms: int = 0
    lease_ms: int = 0
    number: int = 0
    applied: int = 0
    capacity: list[int] = field(default_factory=lambda: [0, 0, 0])
    held_capacity: list[int] = field(default_factory=lambda: [0, 0, 0])
    in_use: list[int] = field(default_factory=lambda: [0, 0])
    coming: list[int] = field(default_factory=lambda: [0, 0])
    parts: list[int] = field(default_factory=list)
    rows: Rows = field(default_factory=Rows)

    @property
    def ready(self) -> bool:
        """Whether it goes by its newest lease, or has none: only then it is given another."""
        return self.number in (0, self.applied)


@dataclass(slots=True)
class Leases:
    """The gateways of a pool, by name."""

    gateways: dict[str, Gateway] = field(default_factory=dict)
