"""The optimum of a backtest: the greedy one without budgets, the whole linear programme with them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import linprog

from infra.backtest.welfare import Demanded, optimal


def a_period(spare, reserve, value, floor, need, **capped) -> Demanded:
    columns = [np.array(column, np.int64) for column in (floor, need, [0] * len(need))]
    return Demanded(spare, reserve, np.array(value, float), *columns, capped.get("windows", {}), capped.get("money", {}))


def test_the_optimum_without_budgets_is_the_greedy_one() -> None:
    """One constraint, linear worth: the dearest first."""
    chosen = np.random.default_rng(5)
    for _ in range(20):
        value, floor = chosen.integers(0, 4, 8) / 2, chosen.integers(0, 2**40, 8)
        need, spare = chosen.integers(0, 2**50, 8), int(chosen.integers(0, 2**52))
        left, best = spare, float(value @ floor)
        for at in np.argsort(-value, kind="stable"):
            taken = min(left, int(need[at]))
            left, best = left - taken, best + taken * float(value[at])
        assert optimal([a_period(spare, 3, value, floor, need)]) == [pytest.approx(best, rel=1e-6)]


def test_a_budget_holds_over_all_periods_of_its_window() -> None:
    window = {0: ("a", 60, 7)}
    each = a_period(10, 2, [5.0, 1.0], [0, 0], [10, 10], windows=window, money={0: 24})  # 12 tokens in both periods together
    assert sum(optimal([each, each])) == pytest.approx(12 * 5 + 8 * 1)
    assert sum(optimal([each])) == pytest.approx(10 * 5)
    free = a_period(10, 0, [5.0, 1.0], [0, 0], [10, 10], windows=window, money={0: 0})  # what costs nothing needs no money
    assert sum(optimal([free])) == pytest.approx(50)


def plainly_optimal(block: list[Demanded]) -> float:
    """The whole programme as it stands in infra/backtest/welfare.py, nothing settled beforehand; all periods together."""
    cells = [(at, row) for at, period in enumerate(block) for row in range(len(period.need))]
    windows = sorted({window for period in block for window in period.windows.values()})
    matrix, limits = np.zeros((len(block) + len(windows), len(cells))), np.zeros(len(block) + len(windows))
    for column, (at, row) in enumerate(cells):
        matrix[at, column] = 1
        if row in block[at].windows:
            matrix[len(block) + windows.index(block[at].windows[row]), column] = block[at].reserve
    limits[: len(block)] = [max(period.spare, 0) for period in block]
    for at, window in enumerate(windows, len(block)):
        held = [(period, row) for period in block for row, name in period.windows.items() if name == window]
        paid = max(period.money[row] for period, row in held)
        limits[at] = paid + sum(period.reserve * min(period.bought[row], period.need[row]) for period, row in held)
    value = np.concatenate([period.value for period in block])
    need = np.concatenate([period.need for period in block])
    found = linprog(-value, matrix, limits, bounds=np.stack([np.zeros(len(need)), need], axis=1), method="highs")
    return float(value @ found.x) + sum(float(period.value @ period.floor) for period in block)


@pytest.mark.parametrize("seed", range(30))
def test_what_is_settled_before_the_programme_is_solved_changes_no_optimum(seed: int) -> None:
    chosen = np.random.default_rng(seed)
    many, value = 6, chosen.integers(0, 5, 6) / 2  # few values: many ties
    capped = np.flatnonzero(chosen.random(many) < chosen.choice([0.2, 0.5, 1]))
    scarcity, reserve = chosen.choice([0.2, 0.6, 1.5]), int(chosen.choice([1, 3]))
    money = {int(row): int(chosen.integers(0, 60)) for row in capped}
    block = []
    for number in range(5):
        need = chosen.integers(0, 20, many)
        windows = {row: (str(row), 60, number // 3) for row in money}
        one = a_period(int(need.sum() * scarcity), reserve, value, chosen.integers(0, 5, many), need, windows=windows, money=money)
        block.append(replace(one, bought=chosen.integers(0, 3, many)))
    assert sum(optimal(block)) == pytest.approx(plainly_optimal(block), rel=1e-9)
