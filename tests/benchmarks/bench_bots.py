"""Trading bots, one of each of 100,000 tenants: what a tick costs where they sleep, where all are evaluated, where a thousand act.

Run alone: `python tests/benchmarks/bench_bots.py`. Seconds are of the processor, so that neighbours on the machine disturb little.
Every world is one pool whose tenants' bots sell idle tokens of the open period; 60 ticks make a period.
"""

from __future__ import annotations

import sys
import time
import tracemalloc
from collections.abc import Iterable, Sequence

from processors.bots import ticking
from processors.engine import facts_of
from processors.market.dumping import dump_market, load_market
from processors.state import PartitionState
from schemas.fact import CHUNK_ROWS
from schemas.journal import ClockTick, MeterMark, UsageSums
from schemas.market import BotCommand
from schemas.model import Event
from schemas.published import PoolCommand, ProfileCommand
from streams.codecs import encode

TENANTS = 100_000
GOAL_ASLEEP_US = 1.0
FIRST = 120
WEIGHED = 5_000
"""Bots whose memory is measured: that takes time."""
REMEMBERED_BYTES = 120
"""Of a command's digest (processors/state.py)."""
REPEATS = 3


def run(tenants: int = TENANTS, repeats: int = REPEATS) -> list[dict[str, object]]:
    """Rows of {name, value, unit, baseline, baseline_value, ratio, goal, met}."""
    world = _World(tenants)
    plain = min(world.tick() for _ in range(repeats))
    memory = world.set_bots()
    told = world.tick()
    asleep = min(world.tick() for _ in range(repeats))
    awake = min(world.tick_awake() for _ in range(repeats))
    acting = world.tick_acting()
    dumped, loaded = world.dump_and_load()
    many = f"{tenants:,} bots"
    per_bot = 1e6 / tenants
    return [
        _row(f"a tick of {many}, all asleep: one bot", (asleep - plain) * per_bot, "µs", ("none", plain * per_bot), GOAL_ASLEEP_US),
        _row(f"a tick of {many} whose tenants all used tokens: one bot", awake * per_bot, "µs", ("asleep", asleep * per_bot)),
        _row(f"the first tick of {many}, each tells why it rests: one bot", told * per_bot, "µs", ("asleep", asleep * per_bot)),
        _row(f"a tick in which {ticking.MOST_ACTIONS:,} of {many} act, facts encoded", acting, "s", ("asleep", asleep)),
        _row(f"memory of {many}: one bot", memory, "bytes", ("its settings in Avro", len(encode(_command(0))))),
        _row(f"dump {many}", dumped, "s", ("load them", loaded)),
    ]


class _World:
    """A pool, its tenants, and a journal that is written as it is folded."""

    def __init__(self, tenants: int) -> None:
        self.tenants = tenants
        self.names = [_tenant(number) for number in range(tenants)]
        self.state = PartitionState()
        self.offset = 0
        self.now = FIRST - 1
        self.fold([self._tick(self.now)])
        self.fold([PoolCommand(id="pool", pool="llm", capacity=100 * tenants, allow_unsigned=True)])
        self.fold(ProfileCommand(id=name, pool="llm", tenant=name, base=100, elasticity="1") for name in self.names)
        self._until(120)
        self.use(60)
        self._until(180)  # a period in which everybody used 60: the forecast

    def set_bots(self) -> float:
        """Everybody's bot; the memory that one takes, bytes, besides what its command is remembered by."""
        weighed = min(WEIGHED, self.tenants)
        tracemalloc.start()
        self.fold(_command(number) for number in range(weighed))
        memory = tracemalloc.get_traced_memory()[0] / weighed
        tracemalloc.stop()
        self.fold(_command(number) for number in range(weighed, self.tenants))
        return memory - REMEMBERED_BYTES

    def tick(self) -> float:
        """The next tick, seconds of the processor. The bots keep 100 tokens each, so none has any to sell."""
        self.now += 1
        return self.fold([self._tick(self.now)])

    def tick_awake(self) -> float:
        """A tick after everybody used a token; what its usage costs is not counted."""
        self.use(1)
        return self.tick()

    def tick_acting(self) -> float:
        """A tick at which as many bots act as it takes: so many tenants set their bots to keep less."""
        many = min(ticking.MOST_ACTIONS, self.tenants)
        self.fold(_command(number, keep=0) for number in range(many))
        return self.tick()

    def dump_and_load(self) -> tuple[float, float]:
        """Seconds."""
        market = self.state.pools["llm"].market
        begun = time.process_time()
        chunks = dump_market(market)
        dumped = time.process_time()
        load_market(chunks)
        return dumped - begun, time.process_time() - dumped

    def fold(self, records: Iterable[Event]) -> float:
        """Folds records and encodes their facts."""
        begun = time.process_time()
        for record in records:
            for fact in facts_of(self.state, record, self.offset):
                encode(fact)
            self.offset += 1
        return time.process_time() - begun

    def use(self, tokens: int) -> None:
        """Everybody's usage, counted before the next tick."""
        for chunk, start in enumerate(range(0, self.tenants, CHUNK_ROWS)):
            self.fold([_usage(self.now + 1, chunk, self.names[start : start + CHUNK_ROWS], tokens)])

    def _until(self, tick: int) -> None:
        self.now = tick
        self.fold([self._tick(tick)])
        self.fold(MeterMark(meter_topic=topic, meter_partition=0, tick=tick) for topic in ("latency", "usage"))

    def _tick(self, number: int) -> ClockTick:
        return ClockTick(tick=number, tick_ms=1000, meter_partitions=1, grace_ticks=3)


def _tenant(number: int) -> str:
    return f"tenant-{number:06}"


def _command(number: int, keep: int = 100) -> BotCommand:
    return BotCommand(
        id=f"bot-{number}-{keep}", pool="llm", tenant=_tenant(number), name="idle", strategy="sell_idle", min_price=10, keep=keep
    )


def _usage(tick: int, chunk: int, tenants: Sequence[str], tokens: int) -> UsageSums:
    zeros = [0] * len(tenants)
    return UsageSums(
        pool="llm",
        meter_topic="usage",
        meter_partition=0,
        tick=tick,
        chunk=chunk,
        tenant=list(tenants),
        requests=[1] * len(tenants),
        input_tokens=zeros,
        cached_input_tokens=zeros,
        output_tokens=[tokens] * len(tenants),
    )


def _row(name: str, value: float, unit: str, baseline: tuple[str, float], goal: float | None = None) -> dict[str, object]:
    return {
        "name": name,
        "value": value,
        "unit": unit,
        "baseline": baseline[0],
        "baseline_value": baseline[1],
        "ratio": baseline[1] / max(value, 1e-9),
        "goal": goal,
        "met": None if goal is None else value <= goal,
    }


if __name__ == "__main__":
    for row in run(*map(int, sys.argv[1:])):
        print({name: row[name] for name in ("name", "value", "unit", "baseline", "baseline_value")})
