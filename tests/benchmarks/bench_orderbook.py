"""Speed and memory of the order book (the readable engine), and the published hashes of an open benchmark, whole.

Run alone: `python tests/benchmarks/bench_orderbook.py`. Times are processor seconds of one thread, the best of a few runs; deciding
and recording together, as the engine does.
"""

import gc
import importlib.util
import json
import random
import sys
import time
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from processors.orderbook import Book, Cancel, New, Op, apply, decide
from schemas.trading import Side

GOAL_US = 5.0
MIX = (0.6, 0.1)  # passive limits, crossing limits; the rest cancels


def run(events: int = 1_000_000, repeats: int = 3) -> list[dict[str, object]]:
    """Rows of {name, value, unit, baseline, baseline_value, ratio, goal, met}."""
    floor = _floor_us(repeats)
    return [_stream_row(events, repeats, floor), *_resting_rows(events), *_published_rows(events)]


def stream(count: int, seed: int = 1) -> list[Op]:
    """60 % passive limits within 50 ticks of a still mid, 10 % limits that cross some, 30 % cancels of any order before."""
    rng = random.Random(seed)
    ops: list[Op] = []
    submitted: list[tuple[str, str]] = []
    for number in range(count):
        kind, side = rng.random(), rng.choice((Side.BUY, Side.SELL))
        if kind >= sum(MIX) and submitted:
            place = rng.randrange(len(submitted))
            submitted[place], submitted[-1] = submitted[-1], submitted[place]
            ops.append(Cancel(*submitted.pop()))
            continue
        away = rng.randint(1, 50) if kind < MIX[0] else -10
        name, acct = f"o{number}", f"t{rng.randrange(100)}"
        ops.append(New(name, acct, side, 10_000 - away if side is Side.BUY else 10_000 + away, rng.randint(1, 100)))
        submitted.append((name, acct))
    return ops


def resting(count: int, prices: int) -> Book:
    """A book of so many orders on 2 × `prices` levels."""
    book = Book()
    for number in range(count):
        side, away = (Side.BUY, -1) if number % 2 else (Side.SELL, 1)
        price = 10_000_000 + away * (1 + number * 7919 % prices)
        for event in decide(book, New(f"o{number}", f"t{number % 1000}", side, price, 10)):
            apply(book, event)
    return book


def _stream_row(count: int, repeats: int, floor: float) -> dict[str, object]:
    seconds = []
    for _ in range(repeats):
        ops = stream(count)
        gc.collect()
        gc.freeze()  # what the benchmark itself holds is none of the book's
        book, start = Book(), time.process_time()
        for op in ops:
            for event in decide(book, op):
                apply(book, event)
        seconds.append(time.process_time() - start)
        gc.unfreeze()
    baseline = ("a dictionary filled and emptied", floor)
    return _row(
        f"matching, {count:,} operations: 60 % passive, 10 % crossing, 30 % cancels",
        min(seconds) / count * 1e6,
        "µs",
        baseline,
        GOAL_US,
    )


def _floor_us(repeats: int) -> float:
    """What plain Python takes for the least that any book does with an order: one insertion and one removal."""
    names, seconds = [f"o{number}" for number in range(200_000)], []
    for _ in range(repeats):
        orders: dict[str, object] = {}
        start = time.process_time()
        for name in names:
            orders[name] = (name, 1)
        for name in names:
            del orders[name]
        seconds.append(time.process_time() - start)
    return min(seconds) / len(names) * 1e6


def _resting_rows(count: int) -> list[dict[str, object]]:
    """Memory of a book, and a cancel in it against one in a book of a thousand orders: neither may grow with the book."""
    small = _cancel_us(resting(1000, 100), 1000)
    rows = []
    for prices in (1_000, count // 2):
        tracemalloc.start()
        book = resting(count, prices)
        used, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        name = f"{count:,} resting orders on {2 * prices:,} prices"
        rows.append(_row(f"{name}: memory of an order", used / count, "bytes", None, None))
        rows.append(_row(f"{name}: cancel", _cancel_us(book, count), "µs", ("1,000 orders", small), None))
        del book
    return rows


def _cancel_us(book: Book, count: int) -> float:
    picked = random.Random(2).sample(range(count), min(count, 50_000))
    ops = [Cancel(f"o{number}", f"t{number % 1000}") for number in picked]
    gc.collect()
    gc.freeze()
    start = time.process_time()
    for op in ops:
        for event in decide(book, op):
            apply(book, event)
    seconds = time.process_time() - start
    gc.unfreeze()
    return seconds / len(ops) * 1e6


def _published_rows(events: int) -> list[dict[str, object]]:
    """Every report of the five scenarios of flash1-dev/matching-engine-benchmark; with fewer events only as far, without a hash."""
    flow = _equity_flow()
    rows, matched = [], 0
    whole = events >= flow.ORDERS
    for scenario in flow.SCENARIOS if whole else ("normal",):
        asked = list(flow.messages(scenario, min(events, flow.ORDERS)))
        start = time.process_time()
        found, _ = flow.digest(flow.Reporter().lines(iter(asked)))
        rate = len(asked) / (time.process_time() - start)
        matched += found == flow.PUBLISHED[scenario]
        rows.append(_row(f"open benchmark, {scenario}: {len(asked):,} messages, reports hashed", rate, "messages/s", None, None))
    if whole:
        hashes = _row("open benchmark: published hashes reproduced", matched, "of 5", None, None)
        rows.append({**hashes, "goal": 5, "met": matched == len(flow.SCENARIOS)})
    return rows


def _row(name: str, value: float, unit: str, baseline: tuple[str, float] | None, goal: float | None) -> dict[str, object]:
    baseline_name, baseline_value = baseline or (None, None)
    return {
        "name": name,
        "value": value,
        "unit": unit,
        "baseline": baseline_name,
        "baseline_value": baseline_value,
        "ratio": None if baseline_value is None else baseline_value / value,
        "goal": goal,
        "met": None if goal is None else value <= goal,
    }


def _equity_flow() -> ModuleType:
    """The workload of the tests, which are files and not a package."""
    path = Path(__file__).parents[1] / "conformance" / "equity_flow.py"
    spec = importlib.util.spec_from_file_location("equity_flow", path)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    sizes: Sequence[int] = [int(argument) for argument in sys.argv[1:]]
    for figure in run(*sizes):
        print(json.dumps(figure, ensure_ascii=False))
