"""Welfare against its optimum: what the best division in hindsight would have been worth, by linear programming.

A token that a tenant wanted and got is worth its elasticity: what `uniform_price` takes for its willingness to pay, without the
reserve price, which variants may change. The programme, over a block of periods t and tenants i, in tokens above what a tenant
has of its guarantee and wants (floor):

    maximise  Σ e_i · x_it     subject to  0 ≤ x_it ≤ want_it − floor_it,
    Σ_i x_it ≤ capacity_t − Σ_i floor_it      in every period,
    Σ_t x_it · reserve_t ≤ money_i            in every budget window of a capped tenant.

`money` is the whole window's budget less one base charge, and what tenants bought of each other is added to it: no policy can
do better at these bases and prices, so the optimum is an upper bound. It knows all demand beforehand, which no policy does.
Solved by HiGHS (https://highs.dev) through scipy; 1,000 tenants take about 3 ms a period, and a block bounds the memory.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import blake2b

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.optimize import linprog

BLOCK_CELLS = 20_000
"""Tenants times periods of a programme: some 10 MB, and a fifth of a second. A window that is longer than a block has its whole
budget in each of them, which only raises the bound."""

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
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
    rows = [np.flatnonzero(period.need > 0) for period in block]
    starts = np.cumsum([0, *(len(each) for each in rows)])
    worth = [float(period.value @ period.floor.astype(np.float64)) for period in block]
    if not starts[-1]:
        return worth
    # Who wants more than there is wants what there is: else one wild wish would be the unit, and all that was divided nothing.
    wished = [np.minimum(period.need[each], max(period.spare, 0)) for period, each in zip(block, rows, strict=True)]
    need = np.concatenate(wished).astype(np.float64)
    value = np.concatenate([period.value[each] for period, each in zip(block, rows, strict=True)])
    # In units of the largest, as HiGHS takes 1e-7 for nothing: tokens and worth are then at most 1.
    unit, dear = max(float(need.max()), 1.0), max(float(value.max()), 1e-12)
    matrix, limits = _constraints(block, rows, starts, unit)
    found = linprog(-value / dear, matrix, limits, bounds=np.stack([np.zeros_like(need), need / unit], axis=1), method="highs")
    if found.status != 0:
        raise RuntimeError(f"no optimum of {len(need)} variables: {found.message}")
    given = value * found.x * unit
    return [own + float(given[start:end].sum()) for own, start, end in zip(worth, starts[:-1], starts[1:], strict=True)]


def _constraints(
    block: list[Demanded], rows: list[npt.NDArray[np.intp]], starts: npt.NDArray[np.intp], unit: float
) -> tuple[sparse.csr_array, Floats]:
    """Capacity of each period, then budgets of each window."""
    lines: dict[Window, int] = {}
    money: list[float] = []
    at: list[int] = []
    cells: list[int] = []
    prices: list[float] = []
    for period, taking, start in zip(block, rows, starts, strict=False):
        for cell, row in enumerate(taking.tolist()):
            window = period.windows.get(row)
            if window is None or not period.reserve:
                continue
            line = lines.setdefault(window, len(lines))
            if line == len(money):
                money.append(0.0)
            # Of versions of a profile in one window the largest budget; what others sold to it is paid from elsewhere.
            money[line] = max(money[line], period.money[row] / period.reserve / unit)
            at.append(line)
            cells.append(int(start) + cell)
            prices.append(1.0)
    extra = np.zeros(len(lines))
    for period in block:
        for row, window in period.windows.items():
            if window in lines:
                extra[lines[window]] += min(int(period.bought[row]), int(period.need[row])) / unit
    many = len(block)
    of_period = np.repeat(np.arange(many), np.diff(starts))
    matrix = sparse.csr_array(
        (
            np.concatenate([np.ones(len(of_period)), np.array(prices)]),
            (
                np.concatenate([of_period, many + np.array(at, np.intp)]),
                np.concatenate([np.arange(len(of_period)), np.array(cells, np.intp)]),
            ),
        ),
        shape=(many + len(lines), len(of_period)),
    )
    spare = np.array([max(period.spare, 0) for period in block], np.float64) / unit
    return matrix, np.concatenate([spare, np.array(money) + extra])
