"""Tenants of one pool as columns: what each is promised, uses and owes, one int64 a tenant and column.

At 100,000 tenants: 34 columns x 8 bytes = 27 MB, names and their index about 20 MB. Columns double when full, so that
adding a tenant costs O(1) amortised; the byte order of ids, which a period's rules need, is sorted once a period and
only if a tenant came (100,000 names: 30 ms). Names of chunks that facts told are kept, 80 KB for 2,000 names.
"""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from processors.told import NONE, Names
from schemas.fact import CHUNK_ROWS

Column = npt.NDArray[np.int64]

NO_CAP = NONE
"""In money columns: no budget cap. In sla_ms: no SLA. In rank: no rank."""

_INITIAL: dict[str, int] = {
    # Declared: the newest version of the profile; becomes the one in force when the next period opens.
    "declared_version": 0,
    "declared_base": 0,
    "declared_elasticity": 0,
    "declared_weight": 0,
    "declared_sla_ms": NO_CAP,
    "declared_budget": NO_CAP,
    "declared_window_s": 0,
    "declared_tier": 0,
    # In force in the open period.
    "version": 0,
    "base": 0,
    "elasticity": 0,
    "weight": 0,
    "sla_ms": NO_CAP,
    "budget": NO_CAP,
    "window_s": 0,
    "tier": 0,
    # Outcome of the open period's allocation.
    "base_given": 0,
    "demand": 0,
    "budget_left": NO_CAP,
    "bid": 0,
    "rank": NO_CAP,
    "surplus": 0,
    "charge": 0,
    "shortfall": 0,
    # Tokens of the open period that the market brought and took; transfers count as both.
    "bought": 0,
    "sold": 0,
    # Metered in the open period, and already for the one after it.
    "used": 0,
    "requests": 0,
    "next_used": 0,
    "next_requests": 0,
    # What forecasts are made from (processors/demand.py).
    "last_used": 0,
    "average_used": 0,
    # Spent in the budget window that `window` numbers (processors/budgets.py).
    "window": 0,
    "spent": 0,
}

COLUMNS: tuple[str, ...] = tuple(_INITIAL)

DECLARED: tuple[str, ...] = ("version", "base", "elasticity", "weight", "sla_ms", "budget", "window_s", "tier")
"""Columns that take their `declared_` twin's values when a period opens."""


class Tenants:
    """Columns by name; a tenant's slot is its place in them and never changes."""

    __slots__ = ("_columns", "_initial", "_order", "_told", "names", "slots")

    def __init__(self) -> None:
        self.names: list[str] = []
        self.slots: dict[str, int] = {}
        self._initial = _INITIAL
        self._columns: dict[str, Column] = {name: np.empty(0, np.int64) for name in COLUMNS}
        self._order: npt.NDArray[np.intp] = np.empty(0, np.intp)
        self._told: dict[bytes, Names] = {}

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, column: str) -> Column:
        """The column's values for all tenants, by slot; a view, so that assigning to it changes the state."""
        return self._columns[column][: len(self.names)]

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of all columns: COLUMNS, and those that were added."""
        return tuple(self._initial)

    def add_columns(self, initial: dict[str, int]) -> None:
        """Further columns, at their initial value for everyone; those that are there stay as they are."""
        room = len(self._columns[COLUMNS[0]])
        for name in initial.keys() - self._initial.keys():
            self._columns[name] = np.full(room, initial[name], np.int64)
        self._initial = self._initial | initial

    def slot(self, tenant: str) -> int:
        """The slot of `tenant`, added with initial values if it is new."""
        found = self.slots.get(tenant)
        if found is None:
            found = len(self.names)
            self._reserve(found + 1)
            self.slots[tenant] = found
            self.names.append(tenant)
        return found

    def named(self, slots: npt.NDArray[np.intp]) -> Names:
        """Ids of a chunk of tenants. All facts of a period tell the same chunks, and so do those of the next: they are remembered.

        That is no state: who remembers nothing gives the same names.
        """
        key = slots.tobytes()
        told = self._told.get(key)
        if told is None:
            if len(self._told) > 4 * (len(self.names) // CHUNK_ROWS + 1):  # kinds of facts that tell all, each others perhaps
                self._told.clear()
            told = self._told[key] = Names([self.names[slot] for slot in slots.tolist()], slots.copy(), self.slots)
        return told

    def slots_of(self, tenants: Iterable[str]) -> npt.NDArray[np.intp]:
        """Slots of many tenants at once, new ones added. A third of a call for each where all are known, as nearly always."""
        if isinstance(tenants, Names) and tenants.known is self.slots:
            return tenants.slots
        names = list(tenants)
        try:
            return np.fromiter(map(self.slots.__getitem__, names), np.intp, len(names))
        except KeyError:
            return np.array([self.slot(tenant) for tenant in names], np.intp)

    def order(self) -> npt.NDArray[np.intp]:
        """All slots in the byte order of the tenants' ids.

        Python compares strings by code point, which for UTF-8 is the same as comparing their bytes.
        """
        if len(self._order) != len(self.names):
            self._order = np.array(sorted(range(len(self.names)), key=self.names.__getitem__), np.intp)
        return self._order

    def _reserve(self, size: int) -> None:
        room = len(self._columns[COLUMNS[0]])
        if size <= room:
            return
        grown = max(size, 2 * room, 16)
        for name, initial in self._initial.items():
            column = np.full(grown, initial, np.int64)
            column[:room] = self._columns[name]
            self._columns[name] = column

    def replace_all(self, names: list[str], columns: dict[str, Column]) -> None:
        """Take names and columns as they are (from a snapshot): all of `columns`, each as long as `names`, in this order.

        The order in which groups of columns were added is part of the state's bytes.
        """
        self._initial = {name: self._initial[name] for name in columns}
        self.names = names
        self.slots = {name: slot for slot, name in enumerate(names)}
        self._columns = {name: columns[name].astype(np.int64) for name in self._initial}
        self._order = np.empty(0, np.intp)
        self._told = {}


def saturating_add(column: Column, index: npt.NDArray[np.intp], amounts: Column) -> None:
    """column[index] += amounts (all >= 0, each index at most once), held at the largest int64 instead of wrapping.

    Sums reach it only if a backend reports 2^63 tokens, which no machine makes; a replay saturates the same.
    """
    room = np.iinfo(np.int64).max - column[index]
    column[index] += np.minimum(amounts, room)
