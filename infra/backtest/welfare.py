"""Welfare against its optimum: what the best division in hindsight would have been worth, by linear programming.

A token that a tenant wanted and got is worth its elasticity: what `uniform_price` takes for its willingness to pay, without the
reserve price, which variants may change. The programme, over a block of periods t and tenants i, in tokens above what a tenant
has of its guarantee and wants (floor):

    maximise  Σ e_i · x_it     subject to  0 ≤ x_it ≤ want_it − floor_it,
    Σ_i x_it ≤ capacity_t − Σ_i floor_it      in every period,
    Σ_t x_it · reserve_t ≤ money_i            in every budget window of a capped tenant.

`money` is the whole window's budget less one base charge, and what tenants bought of each other is added to it: no policy can
do better at these bases and prices, so the optimum is an upper bound. It knows all demand beforehand, which no policy does.
Who has no budget mostly gets all or nothing at any optimum (`_settled`); the rest is solved by HiGHS (https://highs.dev) through
scipy. 1,000 tenants, a fifth of them with budgets, take 2 ms a period; HiGHS alone would take 18. A block bounds the memory.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import accumulate, pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.optimize import linprog

BLOCK_CELLS = 20_000
"""Tenants times periods of a programme: some 10 MB, and a fifth of a second. A window that is longer than a block has its whole
budget in each of them, which only raises the bound."""

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Window = tuple[str, int, int]
"""Tenant, length of its window in seconds, number of the window."""


@dataclass(frozen=True, slots=True)
class Demanded:
    """One period, as columns of tenants.

    Attributes:
        spare: capacity less all floors, tokens; below zero counts as none.
        reserve: nanocredits per token above the guarantee.
        value: worth of a token.
        floor: tokens of the guarantee that were wanted.
        need: tokens wanted above the floor.
        bought: tokens that were bought of others, which no budget paid.
        windows: of capped tenants, by row: the budget window that the period lies in.
        money: of each of them, what it can spend in it above its guarantee, nanocredits.
    """

    spare: int
    reserve: int
    value: Floats
    floor: Ints
    need: Ints
    bought: Ints
    windows: dict[int, Window]
    money: dict[int, int]


@dataclass(slots=True)
class Optimum:
    """The optimum of each period, as they are given; call `close` in the end.

    `solved` keeps optima by what was asked: variants that differ in who gets what, not in what was wanted and there, share them.
    """

    solved: dict[bytes, list[float]] = field(default_factory=dict)
    by_period: list[float] = field(default_factory=list)
    _block: list[Demanded] = field(default_factory=list)
    _cells: int = 0

    def take(self, period: Demanded) -> None:
        """The next period."""
        self._block.append(period)
        self._cells += int((period.need > 0).sum())
        if self._cells >= BLOCK_CELLS:
            self.close()

    def close(self) -> None:
        """Solve what was taken."""
        if self._block:
            asked = _digest(self._block)
            if asked not in self.solved:
                self.solved[asked] = optimal(self._block)
            self.by_period += self.solved[asked]
        self._block, self._cells = [], 0


def _digest(block: list[Demanded]) -> bytes:
    """Equal where all of it is equal: 128 bits of BLAKE2b."""
    state = blake2b(digest_size=16)
    for period in block:
        state.update(repr((period.spare, period.reserve, len(period.need), period.windows, period.money)).encode())
        for column in (period.value, period.floor, period.need, period.bought):
            state.update(np.ascontiguousarray(column).tobytes())
    return state.digest()


def optimal(block: list[Demanded]) -> list[float]:
    """What the best division of a block is worth, by period.

    Raises:
        RuntimeError: HiGHS found no optimum: x = 0 is allowed and all is bounded, so this is a fault.
    """
    worth = np.array([float(period.value @ period.floor.astype(np.float64)) for period in block])
    cells = _cells(block)
    if not len(cells.need):
        return list(map(float, worth))
    # In units of the largest, as HiGHS takes 1e-7 for nothing: tokens and worth are then at most 1.
    unit = max(float(cells.need.max()), 1.0)
    line, limit = _budgets(block, cells, unit)
    spare = np.array([max(period.spare, 0) for period in block], np.float64) / unit
    need = cells.need / unit
    given = np.zeros(len(need))
    open_ = np.ones(len(need), np.bool_)
    for at, (start, end) in enumerate(pairwise(cells.starts)):
        these = slice(start, end)
        surely, perhaps = _settled(cells.value[these], need[these], line[these] < 0, spare[at])
        given[these], open_[these] = np.where(surely, need[these], 0), perhaps
        spare[at] = max(spare[at] - given[these].sum(), 0)
    left = np.flatnonzero(open_)
    if len(left):
        given[left] = _divided(cells.value[left], need[left], (cells.period[left], spare), (line[left], limit))
    return list(map(float, worth + np.bincount(cells.period, cells.value * given, len(block)) * unit))


class _Cells(NamedTuple):
    """Tenants that want more than their floor, period after period: `starts` says where each begins, and where the last ends."""

    period: Ints
    tenant: Ints
    value: Floats
    need: Floats
    starts: list[int]


def _cells(block: list[Demanded]) -> _Cells:
    rows = [np.flatnonzero(period.need > 0) for period in block]
    # Who wants more than there is wants what there is: else one wild wish would be the unit, and all that was divided nothing.
    wished = [np.minimum(period.need[each], max(period.spare, 0)) for period, each in zip(block, rows, strict=True)]
    return _Cells(
        np.repeat(np.arange(len(block)), [len(each) for each in rows]),
        np.concatenate(rows),
        np.concatenate([period.value[each] for period, each in zip(block, rows, strict=True)]),
        np.concatenate(wished).astype(np.float64),
        [0, *accumulate(len(each) for each in rows)],
    )


def _budgets(block: list[Demanded], cells: _Cells, unit: float) -> tuple[Ints, Floats]:
    """Which budget pays each cell, and what each budget pays, in units of tokens. -1: none, or one that can't run out."""
    lines: dict[Window, int] = {}
    money: list[float] = []
    of_cell = np.full(len(cells.need), -1)
    for cell, (at, row) in enumerate(zip(cells.period.tolist(), cells.tenant.tolist(), strict=True)):
        period = block[at]
        window = period.windows.get(row)
        if window is None or not period.reserve:
            continue
        line = of_cell[cell] = lines.setdefault(window, len(lines))
        if line == len(money):
            money.append(0.0)
        # Of versions of a profile in one window the largest budget; what others sold to it is paid from elsewhere.
        money[line] = max(money[line], period.money[row] / period.reserve / unit)
    limit = np.array(money)
    for period in block:
        for row, window in period.windows.items():
            if window in lines:
                limit[lines[window]] += min(int(period.bought[row]), int(period.need[row])) / unit
    paid = of_cell >= 0
    loose = np.bincount(of_cell[paid], cells.need[paid] / unit, len(limit)) <= limit
    of_cell[paid] = np.where(loose[of_cell[paid]], -1, of_cell[paid])
    return of_cell, limit


def _settled(value: Floats, need: Floats, free: Mask, spare: float) -> tuple[Mask, Mask]:
    """Of one period: who gets all of its need in every optimum, and who may get some of it; the others get nothing.

    `free`: who has no budget. All that are worth more than `high` fit in together. If a free one of them lacked anything, somebody
    of less worth would have it, and giving it to the free one is allowed and better. The free ones worth `low` or more can take all
    there is: whoever has less worth than that has nothing, as it would be worth more with one of them.
    """
    order = np.argsort(-value, kind="stable")
    high = _marginal(value[order], need[order], spare)
    low = _marginal(value[order], np.where(free, need, 0)[order], spare)
    surely = free & (value > high)
    return surely, ~surely & (value >= low)


def _marginal(value: Floats, need: Floats, spare: float) -> float:
    """The worth at which needs, the dearest first, are more than there is; below all worth if they are not."""
    over = np.flatnonzero(np.cumsum(need) > spare)
    return float(value[over[0]]) if len(over) else -1.0


def _divided(value: Floats, need: Floats, of_period: tuple[Ints, Floats], of_budget: tuple[Ints, Floats]) -> Floats:
    """What each cell gets at the optimum. Both pairs: which of the limits holds for each cell (-1: none), and the limits."""
    many = len(of_period[1])
    paid = np.flatnonzero(of_budget[0] >= 0)
    row = np.concatenate([of_period[0], many + of_budget[0][paid]])
    column = np.concatenate([np.arange(len(need)), paid])
    limits = np.concatenate([of_period[1], of_budget[1]])
    matrix = sparse.csr_array((np.ones(len(row)), (row, column)), shape=(len(limits), len(need)))
    dear = max(float(value.max()), 1e-12)
    found = linprog(-value / dear, matrix, limits, bounds=np.stack([np.zeros_like(need), need], axis=1), method="highs")
    if found.status != 0:
        raise RuntimeError(f"no optimum of {len(need)} variables: {found.message}")
    return np.asarray(found.x)
