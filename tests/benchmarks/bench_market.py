"""What an order costs, from the bytes that a tenant published to the bytes of its settlement, and where the time goes.

Run alone: `python tests/benchmarks/bench_market.py`. Without Kafka: the very functions of intake and engine, in microseconds of the
processor for each command. The stream: ten signed tenants, four instruments, 40 % orders that rest, 30 % that trade at once, 30 %
cancels, reductions and replacements. Each stage runs by itself over what the one before it gave; the parts of deciding are told
apart by a clock around each of the functions in PARTS, whose own cost (0.3 µs a call) is spread over them.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from pkgutil import resolve_name
from typing import Any
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).parents[1] / "e2e"))  # the stream of orders that is sent through Kafka, too

from trading import POOL, TENANTS, Flow, market, private_key

from processors.engine import facts_of, fold
from processors.orderbook import Book, Op, apply, decide
from processors.state import PartitionState
from schemas.fact import Fact
from schemas.journal import ClockTick
from schemas.market_facts import CommandTaken, OrderEventKind, OrderEvents, Trades
from schemas.model import Event
from schemas.published import PoolCommand
from streams.codecs import decode as read
from streams.codecs import encode
from streams.door import Door, Published
from streams.signatures import object_to

PERIOD, TICKS = 100, 60
PERIODS = range(PERIOD, PERIOD + 4)
"""The open period and three forward ones."""

GOAL_PER_S = 1_000
SEED = 1

PARTS = {
    "has it been taken: digest": "processors.market.deciding.digest",
    "who signed it": "processors.market.deciding.authenticate",
    "match: the book decides": "processors.market.orders.decide",
    "hold and settle: rows of the ledger": "processors.market.outcome.Outcome.take",
    "hold and settle: the ledger judges": "processors.market.orders.judge",
    "facts: rows to columns": "processors.market.outcome._columns",
    "facts: made": "processors.stamping.Stamp.fact",
    "recorded: the book": "processors.market.recording.apply",
    "recorded: the ledger": "processors.market.recording.record",
    "recorded: all else": "processors.engine.evolve",
}
"""Parts of deciding, each without the others that it calls."""

Row = dict[str, object]
Stage = tuple[str, float]
"""A name, and processor microseconds a command."""


def run(events: int = 20_000, repeats: int = 3) -> list[Row]:
    """Rows of {name, value, unit, baseline, baseline_value, ratio, goal, met}."""
    commands = list(islice(Flow(SEED, _keys()).stream(PERIODS), events))
    published = [encode(command) for command in commands]
    intake = [_best(repeats, stage) for stage in _intake(published)]
    engine = [_best(repeats, stage) for stage in _engine(published)]
    books = _books_us(commands, repeats)
    whole = sum(us for _, us in (*intake, *engine))
    deciding = sum(us for _, us in engine)
    parts = _parts_of_deciding(commands, dict(engine)["engine: decide and record"])
    trades = sum(len(fact.number) for fact in _decided(commands) if isinstance(fact, Trades))
    mix = f"{events:,} signed commands, {trades:,} trades"
    return [
        _rate(f"intake and engine on one core: {mix}", whole, ("matching alone", books), GOAL_PER_S),
        _rate("engine alone: decode, hold, match, settle, facts", deciding, ("matching alone", books), GOAL_PER_S),
        *(_row(name, us, ("the whole path", whole)) for name, us in (*intake, *engine)),
        *(_row(f"  of it {name}", us, ("the whole path", whole)) for name, us in parts),
    ]


def _keys() -> dict[str, Any]:
    return {tenant: private_key(SEED, tenant) for tenant in TENANTS}


def begun() -> PartitionState:
    """A market in its period PERIOD, in which all tenants have tokens and money."""
    state = PartitionState()
    terms = PoolCommand(id="p", pool=POOL, capacity=len(TENANTS) * 1_000_000, period_s=TICKS)
    for offset, record in enumerate((_tick(PERIOD * TICKS - 1), *market(terms, _keys()), _tick(PERIOD * TICKS))):
        fold(state, record, offset)
    return state


def _tick(number: int) -> ClockTick:
    return ClockTick(tick=number, tick_ms=1000, meter_partitions=1, grace_ticks=5)


# Stages. Each is a function that gives itself what it works on, and returns the work.

Prepared = tuple[str, Callable[[], Callable[[], object]], int]


def _intake(published: Sequence[bytes]) -> Iterator[Prepared]:
    door = Door(max_event_bytes=1 << 20, max_ahead_ms=3_600_000, max_age_ms=86_400_000)

    def come_in() -> list[Any]:
        return [door.read("orders", data, (), None, 0) for data in published]

    taken: list[Any] = come_in()
    yield "intake: read and check", lambda: come_in, len(published)
    yield "intake: verify the signature", lambda: lambda: _all_good(taken), len(published)
    yield "intake: write for the journal", lambda: lambda: [encode(command) for command in taken], len(published)


def _all_good(taken: Iterable[Published]) -> None:
    for command in taken:
        if object_to(command) is not None:  # type: ignore[arg-type]  # the stream holds tenants' commands only
            raise RuntimeError(f"a good signature was refused: {command}")


def _engine(journal: Sequence[bytes]) -> Iterator[Prepared]:
    commands = [read(data) for data in journal]
    facts = _decided(commands)

    def deciding() -> Callable[[], object]:
        state = begun()
        return lambda: _all_facts(state, commands)

    yield "engine: read the journal", lambda: lambda: [read(data) for data in journal], len(journal)
    yield "engine: decide and record", deciding, len(journal)
    yield "engine: write facts", lambda: lambda: [encode(fact) for fact in facts], len(journal)


def _all_facts(state: PartitionState, commands: Sequence[Event]) -> list[Fact]:
    return [fact for offset, command in enumerate(commands, 1_000) for fact in facts_of(state, command, offset)]


def _decided(commands: Sequence[Event]) -> list[Fact]:
    """The facts; the stream is what it is meant to be.

    Raises:
        RuntimeError: a command was not taken, or too many were refused: the figures would be of something else.
    """
    facts = _all_facts(begun(), commands)
    taken = sum(isinstance(fact, CommandTaken) for fact in facts)
    refused = Counter(
        fact.reason[0] for fact in facts if isinstance(fact, OrderEvents) and fact.event[0] == OrderEventKind.REJECTED
    )
    # Who cancels does not know what has traded meanwhile.
    if taken != len(commands) or set(refused) - {"unknown_order", "too_many_orders"} or refused.total() > len(commands) / 5:
        raise RuntimeError(f"{len(commands)} commands, of which {taken} were taken; refused: {refused}")
    return facts


def _best(repeats: int, stage: Prepared) -> Stage:
    name, prepare, commands = stage
    return name, min(_timed(prepare()) for _ in range(repeats)) / commands * 1e6


def _timed(work: Callable[[], object]) -> float:
    gc.collect()
    gc.freeze()  # what the benchmark itself holds is none of the stage's
    start = time.process_time()
    work()
    seconds = time.process_time() - start
    gc.unfreeze()
    return seconds


def _books_us(commands: Sequence[Event], repeats: int) -> float:
    """The same operations on bare books: what matching alone takes, without accounts, signatures or facts."""
    asked: list[tuple[int, Op]] = []
    books: dict[int, int] = {}

    def listen(book: Book, op: Op) -> Any:
        asked.append((books.setdefault(id(book), len(books)), op))
        return decide(book, op)

    state = begun()
    with patch("processors.market.orders.decide", listen):
        _all_facts(state, commands)

    def match() -> Callable[[], object]:
        bare: defaultdict[int, Book] = defaultdict(Book)

        def work() -> None:
            for number, op in asked:
                book = bare[number]
                for event in decide(book, op):
                    apply(book, event)

        return work

    return _best(repeats, ("", match, len(commands)))[1]


# Where deciding spends its time


class _Clock:
    """Time of functions that call each other, each without what the others took."""

    def __init__(self) -> None:
        self.own: dict[str, int] = {}
        self._running: list[str] = []
        self._since = 0

    def wrap(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, timed as `name`."""
        self.own[name] = 0

        def timed(*arguments: Any, **named: Any) -> Any:
            self._enter(name)
            try:
                return function(*arguments, **named)
            finally:
                self._leave()

        return timed

    def _enter(self, name: str) -> None:
        now = time.perf_counter_ns()
        if self._running:
            self.own[self._running[-1]] += now - self._since
        self._running.append(name)
        self._since = time.perf_counter_ns()

    def _leave(self) -> None:
        now = time.perf_counter_ns()
        self.own[self._running.pop()] += now - self._since
        self._since = time.perf_counter_ns()


def _parts_of_deciding(commands: Sequence[Event], whole_us: float) -> list[Stage]:
    """Shares of the wall time, of what deciding takes when nobody watches it; the longest first."""
    clock, rest = _Clock(), "judging: checks of the market, all else"
    with ExitStack() as patched:
        for name, path in PARTS.items():
            patched.enter_context(_wrapped(clock, name, path))
        state = begun()
        clock.own = dict.fromkeys(clock.own, 0)
        clock.wrap(rest, _all_facts)(state, commands)
    total = sum(clock.own.values())
    shares = [(name, own / total * whole_us) for name, own in clock.own.items()]
    return sorted(shares, key=lambda stage: -stage[1])


@contextmanager
def _wrapped(clock: _Clock, name: str, path: str) -> Iterator[None]:
    owner, _, attribute = path.rpartition(".")
    held = resolve_name(owner)
    with patch.object(held, attribute, clock.wrap(name, getattr(held, attribute))):
        yield


def _row(name: str, us: float, baseline: tuple[str, float]) -> Row:
    return {
        "name": name,
        "value": us,
        "unit": "µs/command",
        "baseline": baseline[0],
        "baseline_value": baseline[1],
        "ratio": us / baseline[1],
        "goal": None,
        "met": None,
    }


def _rate(name: str, us: float, baseline: tuple[str, float], goal: float) -> Row:
    value, reference = 1e6 / us, 1e6 / baseline[1]
    return {
        "name": name,
        "value": value,
        "unit": "commands/s",
        "baseline": baseline[0],
        "baseline_value": reference,
        "ratio": value / reference,
        "goal": goal,
        "met": value >= goal,
    }


if __name__ == "__main__":
    for figure in run(*(int(argument) for argument in sys.argv[1:])):
        print(json.dumps(figure, ensure_ascii=False))
