"""The order book's two engines against other books of PyPI: one stream, one core, the same trades.

Run alone: `python tests/benchmarks/bench_matching.py [OPERATIONS]`. Times are processor seconds of one thread, the best of some
runs. What a book is given is ready made, as it takes it. The compiled engine's times hold more than its own: columns of Python
integers are put into arrays, batch by batch, and trades come back as tuples of Python integers.
"""

import gc
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from bench_orderbook import stream
from rivals import BOURSE, MATCHING_ENGINE, PYORDERBOOK, Rival, UnavailableError, measure

from processors.orderbook import Book, BookEvent, Cancel, Config, Filled, New, Op, apply, decide
from processors.orderbook.compiled import CompiledBook, NamedBook
from processors.orderbook.compiled.layout import (
    CANCEL,
    EVENT_FIRST,
    EVENT_KIND,
    FILLED_EVENT,
    NEW,
    OP_ACCT,
    OP_COLUMNS,
    OP_ID,
    OP_KIND,
    OP_PRICE,
    OP_QTY,
    OP_STYLE,
    PRICED,
    SELLS,
)
from schemas.trading import Side

Row = dict[str, object]
Trade = tuple[int, ...]
"""Resting id, arriving id, price, quantity."""

BATCH = 16_384
GOALS = {BOURSE: 1.0, PYORDERBOOK: None, MATCHING_ENGINE: 3.0}
RESTING, LEVELS, CANCELLED = 1_000_000, 1_000, 50_000
_PROJECT = Path(__file__).parents[2]


def run(events: int = 1_000_000, repeats: int = 3) -> list[Row]:
    """Rows of {name, value, unit, baseline, baseline_value, ratio, goal, met}."""
    ops = stream(events)
    asked = _in_numbers(ops)
    _warm()
    compiled, trades = _best(lambda: _compiled(asked), repeats)
    readable, same = _best(lambda: _readable(ops), repeats)
    named, also = _best(lambda: _named(ops), repeats)
    _assert_same("the readable engine", trades, [_numbered(asked, ops, event) for event in same])
    if also != same:
        raise RuntimeError("the compiled engine tells other events than the readable one")
    mine = (("compiled", events / compiled), ("readable", events / readable))
    rows = [row for rival in GOALS for row in _against(rival, asked, trades, mine)]
    base = ("readable engine", events / readable)
    return [
        *rows,
        _rate("compiled engine, numbers in and out", events / compiled, base),
        _rate("compiled engine, operations with names in, all events out", events / named, base),
        *_start_rows(),
        *_resting_rows(),
        *_crowd_rows(events),
    ]


# The stream


def _in_numbers(ops: list[Op]) -> list[tuple[int, ...]]:
    """Columns kind, id, side, price, quantity, account. Ids are numbers in the order of arrival."""
    ids: dict[str, int] = {}
    rows = []
    for op in ops:
        if isinstance(op, New):
            ids[op.id] = len(ids)
            rows.append((0, ids[op.id], int(op.side == Side.SELL), op.price, op.qty, int(op.acct[1:])))
        elif isinstance(op, Cancel):
            rows.append((1, ids[op.id], 0, 0, 0, int(op.acct[1:])))
    return list(zip(*rows, strict=True))


def _numbered(asked: list[tuple[int, ...]], ops: list[Op], fill: Filled) -> Trade:
    """A trade of names as one of numbers. A name is `o` and the place of its operation in the stream."""
    return asked[1][int(fill.maker[1:])], asked[1][int(fill.taker[1:])], fill.price, fill.qty


# The engines


def _compiled(asked: list[tuple[int, ...]]) -> tuple[float, list[Trade]]:
    kind, name, side, price, qty, acct = asked
    gc.collect()
    gc.freeze()
    start = time.process_time()
    book, trades = CompiledBook(), []
    rows = np.zeros((BATCH, OP_COLUMNS), np.int64)
    for first in range(0, len(kind), BATCH):
        some = slice(first, first + BATCH)
        ops = rows[: len(kind[some])]
        ops[:, OP_KIND] = kind[some]  # 0 and 1 are NEW and CANCEL
        ops[:, OP_ID] = name[some]
        ops[:, OP_ACCT] = acct[some]
        ops[:, OP_PRICE] = price[some]
        ops[:, OP_QTY] = qty[some]
        ops[:, OP_STYLE] = side[some]
        ops[:, OP_STYLE] *= SELLS
        ops[:, OP_STYLE] |= PRICED
        events = book.run(ops)
        fills = events[events[:, EVENT_KIND] == FILLED_EVENT, EVENT_FIRST:]
        trades += zip(*fills.T.tolist(), strict=True)
    seconds = time.process_time() - start
    gc.unfreeze()
    return seconds, trades


def _readable(ops: list[Op]) -> tuple[float, list[Filled]]:
    return _asked(ops, lambda: list(_recorded(Book(), ops)))


def _named(ops: list[Op]) -> tuple[float, list[Filled]]:
    return _asked(ops, lambda: NamedBook().run(ops))


def _recorded(book: Book, ops: list[Op]) -> Iterator[BookEvent]:
    for op in ops:
        decided = decide(book, op)
        for event in decided:
            apply(book, event)
        yield from decided


def _asked(ops: list[Op], engine: Callable[[], list[BookEvent]]) -> tuple[float, list[Filled]]:
    gc.collect()
    gc.freeze()
    start = time.process_time()
    events = engine()
    seconds = time.process_time() - start
    gc.unfreeze()
    return seconds, [event for event in events if isinstance(event, Filled)]


def _best(engine: Callable[[], tuple[float, list]], repeats: int) -> tuple[float, list]:
    runs = [engine() for _ in range(repeats)]
    return min(seconds for seconds, _ in runs), runs[-1][1]


def _warm() -> None:
    """What was compiled is loaded before anything is timed; _start_rows says what that takes."""
    book = CompiledBook()
    book.run(np.zeros((1, OP_COLUMNS), np.int64))
    book.resting(sells=True)


# The rows


def _against(rival: Rival, asked: list[tuple[int, ...]], trades: list[Trade], mine: tuple[tuple[str, float], ...]) -> Iterator[Row]:
    count = len(asked[0])
    try:
        measured = measure(rival, list(zip(*asked, strict=True)))
    except UnavailableError as unavailable:
        name = f"matching against {rival.label}: skipped, {unavailable}"
        yield {**_rate(name, 0.0, (rival.label, 0.0)), "value": None, "baseline_value": None, "ratio": None}
        return
    _assert_same(rival.label, measured.trades, trades)
    for engine, rate in mine:
        row = _rate(f"matching, {count:,} operations, {engine} engine", rate, (rival.label, count / measured.seconds))
        goal = GOALS[rival] if engine == "compiled" else None
        yield {**row, "goal": goal, "met": None if goal is None else rate * measured.seconds / count >= goal}


def _assert_same(other: str, found: list[Trade], expected: list[Trade]) -> None:
    if found != expected:
        where = next((place for place, (one, two) in enumerate(zip(found, expected, strict=False)) if one != two), "their number")
        raise RuntimeError(f"other trades than {other}'s: {len(found)} and {len(expected)}; first difference: {where}")


def _start_rows() -> Iterator[Row]:
    """From the start of Python to the first answer: with machine code that was kept, and with everything compiled anew."""
    code = (
        "import numpy as np; from processors.orderbook.compiled import CompiledBook; CompiledBook().run(np.zeros((1, 8), np.int64))"
    )
    plain, kept = _seconds("from processors.orderbook import Book; Book()"), _seconds(code)
    with tempfile.TemporaryDirectory() as nothing_kept:
        anew = _seconds(code, NUMBA_CACHE_DIR=nothing_kept)
    base = ("readable engine", plain)
    yield _row("compiled engine: start", kept, "s", base, plain / kept)
    yield _row("compiled engine: first start, when it is compiled", anew, "s", base, plain / anew)


def _seconds(code: str, **environment: str) -> float:
    """Processor seconds of a process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], check=True, cwd=_PROJECT, env={**os.environ, **environment})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _resting_rows() -> Iterator[Row]:
    """A million orders on 2,000 prices. The readable engine's own figures, on more prices too: bench_orderbook.py."""
    rows = _resting_orders(RESTING)
    book = CompiledBook(Config(pmin=1))
    book.run(rows)
    picked = random.Random(2).sample(range(RESTING), CANCELLED)
    cancels = np.zeros((CANCELLED, OP_COLUMNS), np.int64)
    cancels[:, OP_KIND] = CANCEL
    cancels[:, OP_ID] = picked
    cancels[:, OP_ACCT] = rows[picked, OP_ACCT]
    small = CompiledBook()
    small.run(rows[:CANCELLED])
    few = cancels[cancels[:, OP_ID] < CANCELLED]
    few_us = _timed(lambda: small.run(few)) / len(few) * 1e6
    used = book.nbytes / RESTING
    us = _timed(lambda: book.run(cancels)) / CANCELLED * 1e6
    name = f"{RESTING:,} resting orders, compiled engine"
    yield _row(f"{name}: memory of an order, its name elsewhere", used, "bytes", None, None)
    yield _row(f"{name}: cancel, of any", us, "µs", (f"{CANCELLED:,} orders", few_us), few_us / us)


def _resting_orders(count: int) -> np.ndarray:
    number = np.arange(count)
    rows = np.zeros((count, OP_COLUMNS), np.int64)
    sells = number % 2
    rows[:, OP_KIND] = NEW
    rows[:, OP_ID] = number
    rows[:, OP_ACCT] = number % 1000
    rows[:, OP_PRICE] = 10_000_000 + np.where(sells, 1, -1) * (1 + number * 7919 % LEVELS)
    rows[:, OP_QTY] = 10
    rows[:, OP_STYLE] = PRICED + SELLS * sells
    return rows


def _timed(engine: Callable[[], object]) -> float:
    start = time.process_time()
    engine()
    return time.process_time() - start


def _crowd_rows(count: int) -> Iterator[Row]:
    """Operations of every kind, most of which do something. All events of both engines are compared."""
    sys.path.insert(0, str(_PROJECT / "tests" / "processors"))
    from book_world import Crowd, operation

    rng, book, ops, events = random.Random(7), Book(ref=100), [], []
    crowd = Crowd(rng, spread=15)
    for _ in range(count):
        ops.append(operation(crowd.next(book)))
        events += _recorded(book, ops[-1:])
    readable = _timed(lambda: list(_recorded(Book(ref=100), ops)))
    compiled = NamedBook(ref=100)
    told: list[BookEvent] = []
    seconds = _timed(lambda: told.extend(compiled.run(ops)))
    if told != events:
        raise RuntimeError("the compiled engine tells other events than the readable one")
    name = f"operations of every kind, {count:,}, {len(events):,} events the same: compiled engine, names in, events out"
    yield _rate(name, count / seconds, ("readable engine", count / readable))


def _rate(name: str, value: float, baseline: tuple[str, float]) -> Row:
    return _row(name, value, "operations/s", baseline, value / baseline[1] if baseline[1] else 0.0)


def _row(name: str, value: float, unit: str, baseline: tuple[str, float] | None, ratio: float | None) -> Row:
    baseline_name, baseline_value = baseline or (None, None)
    return {
        "name": name,
        "value": value,
        "unit": unit,
        "baseline": baseline_name,
        "baseline_value": baseline_value,
        "ratio": ratio,
        "goal": None,
        "met": None,
    }


if __name__ == "__main__":
    sizes = [int(argument) for argument in sys.argv[1:]]
    for figure in run(*sizes):
        print(json.dumps(figure, ensure_ascii=False))
