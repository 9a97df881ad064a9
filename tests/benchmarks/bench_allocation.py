"""Speed and memory of the allocation: per policy and size, against the plain loop of the same rule.

Run alone: `python tests/benchmarks/bench_allocation.py`. Each figure is the best of a few runs, in processor seconds:
everything here is one thread, and neighbours on the machine disturb them less than the clock.
"""

import importlib.util
import json
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np

from processors.allocation import POLICIES, AuctionInput, allocate

SIZES = (1_000, 100_000, 1_000_000)
GOAL_SECONDS = 1.0  # for a million tenants
LOOP_LIMIT = 100_000  # beyond it the loop is not run again: its time per tenant is


def run(sizes: tuple[int, ...] = SIZES, repeats: int = 3) -> list[dict[str, object]]:
    """Rows of {name, value, unit, baseline, baseline_value, ratio, goal, met}."""
    rows: list[dict[str, object]] = []
    for policy in POLICIES:
        loop_seconds = {size: _loop_seconds(policy, realistic(size)) for size in sizes if size <= LOOP_LIMIT}
        rows += [_against_loop(policy, size, loop_seconds, repeats) for size in sizes]
        rows += [_variant(policy, name, case(max(sizes), policy), repeats) for name, case in VARIANTS.items()]
        rows.append(_memory(policy, realistic(max(sizes))))
    return rows


def realistic(size: int, abundance: float = 0.8) -> AuctionInput:
    """Lognormal demands and bases, elasticities around 1.6, budgets from nothing to ample, and none for a fifth.

    Capacity is the bases and `abundance` times the demand above them. At 0.8 bids and needs are cut; at 8 every bid is served
    and the auction shares a rest in proportion, in rounds, within the budgets.
    """
    rng = np.random.default_rng(20_240_501)
    demand = rng.lognormal(10, 1.5, size).astype(np.int64)
    base = (demand * rng.uniform(0, 1.2, size)).astype(np.int64)
    base_price, reserve_price = 1_000, 1_500
    return AuctionInput(
        capacity=int(base.sum() + abundance * np.maximum(demand - base, 0).sum()),
        base_price=base_price,
        reserve_price=reserve_price,
        base=base,
        elasticity=(rng.lognormal(0.3, 0.6, size) * 100).astype(np.int64) * 10_000,
        demand=demand,
        budget_left=((base + demand * rng.uniform(-0.1, 4, size)) * base_price).astype(np.int64),
        capped=rng.random(size) > 0.2,
        weight=rng.choice([1_000_000, 2_000_000, 5_000_000], size),
    )


def plentiful(size: int, policy: str) -> AuctionInput:
    """Enough for every bid."""
    return realistic(size, abundance=8.0)


def beyond_int64(size: int, policy: str) -> AuctionInput:
    """Products leave int64: bids of 90 bits, limit prices of 84 bits, sums of weights of 80 bits, shared in 128-bit arithmetic."""
    rng = np.random.default_rng(7)
    usual = realistic(size)
    bidding = rng.random(size) < 0.5
    return replace(
        usual,
        reserve_price=2**44 if policy == "uniform_price" else 1_500,
        capacity=usual.capacity if policy == "max_min" else 2**62,
        elasticity=rng.integers(2**50, 2**60, size),
        demand=usual.demand if policy == "max_min" else np.where(bidding, rng.integers(2**30, 2**53, size), 0),
        # For the seed's auction: who bids is capped, so that a rest goes to the others by their elasticities.
        capped=bidding if policy == "seed" else usual.capped,
        weight=rng.integers(1, 2**62, size),
    )


def one_leaves_per_round(size: int, policy: str) -> AuctionInput:
    """The longest chain of rounds we can build: each time the level rises just enough for one heavy tenant to reach its limit.

    Weights halve, so neither the weight that stays nor the rise of the level dies out; a mass of unit weights stays to the end.
    """
    weight = np.ones(size, np.int64)
    heavy = min(58 - size.bit_length(), size // 2)
    weight[:heavy] = 2 ** (57 - np.arange(heavy))
    limit = np.full(size, 2**50)
    rest, whole = 2**50, int(weight.sum())
    limit[0] = rest * int(weight[0]) // whole // 2
    for row in range(1, heavy):
        limit[row] = rest * int(weight[row]) // whole + 2  # just out of reach in the round before, rounding included
        rest, whole = rest - int(limit[row - 1]), whole - int(weight[row - 1])
    return replace(
        realistic(size),
        base_price=0,
        reserve_price=1,
        capacity=2**50,
        base=np.zeros(size, np.int64),
        demand=np.zeros(size, np.int64) if policy == "seed" else limit,
        elasticity=weight,
        weight=weight,
        budget_left=limit,
        capped=np.ones(size, np.bool_),
    )


def all_bids_open(size: int, policy: str) -> AuctionInput:
    """Bisection over 80 bits of price in which no bid ever drops out: all have one limit, and money decides each quantity."""
    rng = np.random.default_rng(11)
    return replace(
        realistic(size),
        reserve_price=2**40,
        elasticity=np.full(size, 2**60),
        demand=np.full(size, 2**53),
        budget_left=rng.integers(2**61, 2**63 - 1, size),
        capped=rng.random(size) < (0.9 if policy == "uniform_price" else 1),
        capacity=2**60,
    )


VARIANTS: dict[str, Callable[[int, str], AuctionInput]] = {
    "plentiful": plentiful,
    "adversarial, beyond int64": beyond_int64,
    "adversarial, all bids open": all_bids_open,
    "adversarial, one leaves per round": one_leaves_per_round,
}


def _seconds(policy: str, inp: AuctionInput, repeats: int, *, with_charges: bool = True) -> float:
    times = []
    for _ in range(repeats):
        start = time.process_time()
        outcome = allocate(policy, inp)
        if with_charges:
            _ = outcome.charge
        times.append(time.process_time() - start)
    return min(times)


def _against_loop(policy: str, size: int, loop_seconds: dict[int, float], repeats: int) -> dict[str, object]:
    measured = size if size in loop_seconds else max(loop_seconds)
    loop = loop_seconds[measured] / measured * size
    seconds = _seconds(policy, realistic(size), repeats)
    baseline = "plain loop" if measured == size else f"plain loop, its time per tenant at {measured:,} tenants"
    goal = GOAL_SECONDS if size == max(SIZES) else None
    return _row(f"allocate {policy}, {size:,} tenants", seconds, "s", (baseline, loop), goal)


def _variant(policy: str, name: str, inp: AuctionInput, repeats: int) -> dict[str, object]:
    usual = _seconds(policy, realistic(inp.base.size), repeats)
    seconds = _seconds(policy, inp, repeats, with_charges=False)  # they may leave int64 here
    return _row(f"allocate {policy}, {inp.base.size:,} tenants, {name}", seconds, "s", ("realistic pool", usual), GOAL_SECONDS)


def _memory(policy: str, inp: AuctionInput) -> dict[str, object]:
    tracemalloc.start()
    allocate(policy, inp)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    columns = sum(column.nbytes for column in vars(inp).values() if isinstance(column, np.ndarray))
    return _row(
        f"memory of allocate {policy}, {inp.base.size:,} tenants", peak / 1e6, "MB", ("its input columns", columns / 1e6), None
    )


def _row(name: str, value: float, unit: str, baseline: tuple[str, float], goal: float | None) -> dict[str, object]:
    baseline_name, baseline_value = baseline
    return {
        "name": name,
        "value": value,
        "unit": unit,
        "baseline": baseline_name,
        "baseline_value": baseline_value,
        "ratio": baseline_value / value,
        "goal": goal,
        "met": None if goal is None else value <= goal,
    }


def _loop_seconds(policy: str, inp: AuctionInput) -> float:
    case = as_case(policy, inp)
    oracle = _oracle()
    start = time.process_time()
    oracle.solve(case)
    return time.process_time() - start


def as_case(policy: str, inp: AuctionInput) -> dict[str, object]:
    """The input as the loop reads it; ids whose byte order is the order of rows."""
    columns = zip(
        inp.base.tolist(),
        inp.elasticity.tolist(),
        inp.demand.tolist(),
        inp.budget_left.tolist(),
        inp.capped.tolist(),
        inp.weight.tolist(),
        strict=True,
    )
    tenants = [
        {"id": f"{row:09}", "base": b, "elasticity": e, "demand": d, "budget_left": m if capped else None, "weight": w}
        for row, (b, e, d, m, capped, w) in enumerate(columns)
    ]
    prices = {"base_price": inp.base_price, "reserve_price": inp.reserve_price}
    return {"policy": policy, "capacity": inp.capacity, **prices, "tenants": tenants}


def _oracle() -> ModuleType:
    """The oracle of the tests, which are files and not a package."""
    path = Path(__file__).parents[1] / "processors" / "allocation_oracle.py"
    spec = importlib.util.spec_from_file_location("allocation_oracle", path)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    for figure in run():
        print(json.dumps(figure, ensure_ascii=False))
