"""Backtests of 1,000 tenants: how much faster than time itself one variant is folded and measured, on one core.

Run alone: `python tests/benchmarks/bench_backtest.py`. Seconds are of the processor, so that neighbours disturb little.
The journal: ticks of a second, periods of a minute; of the tenants a tenth, or all, use tokens in each second.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Iterator

from infra.backtest.folding import fold_variants
from infra.backtest.journal import KeptJournal
from infra.backtest.variants import variants
from processors.allocation import POLICIES
from schemas.journal import ClockTick, MeterMark, UsageSums
from schemas.model import Event
from schemas.published import Budget, PoolCommand, ProfileCommand
from streams.codecs import decode, encode

TENANTS, PERIODS, PERIOD_S = 1_000, 20, 60
GOAL = 1_000.0


def run(tenants: int = TENANTS) -> list[dict[str, object]]:
    """Rows of {name, value, unit, baseline, baseline_value, ratio, goal, met}."""
    return [
        _measured(tenants, 0.1, "a tenth", ["uniform_price"]),
        _measured(tenants, 1.0, "all", ["uniform_price"]),
        _measured(tenants, 0.1, "a tenth", list(POLICIES)),
        _measured(tenants, 1.0, "all", list(POLICIES)),
    ]


def _measured(tenants: int, active: float, words: str, policies: list[str]) -> dict[str, object]:
    """Of several policies the seconds are those of one, in the mean: what they share is done once."""
    journal = KeptJournal(tuple(enumerate(encode(record) for record in _records(tenants, active))))
    tried = variants(policies, [])[1:]
    start = time.process_time()
    for _, data in journal.records:
        decode(data)
    decoding = PERIODS * PERIOD_S / (time.process_time() - start)
    start = time.process_time()
    fold_variants(journal, tried, "llm", lambda *_: None)
    speed = PERIODS * PERIOD_S * len(tried) / (time.process_time() - start)
    return {
        "name": f"backtest, {tenants:,} tenants, {words} of them active each second, {len(tried)} at once",
        "value": speed,
        "unit": "x real time",
        "baseline": "decoding the journal alone",
        "baseline_value": decoding,
        "ratio": speed / decoding,
        "goal": GOAL,
        "met": speed >= GOAL,
    }


def _records(tenants: int, active: float) -> Iterator[Event]:
    chosen = random.Random(3)
    names = [f"tenant-{number:06}" for number in range(tenants)]
    level = [chosen.lognormvariate(3.5, 1) for _ in names]
    yield PoolCommand(id="p", pool="llm", capacity=6_000 * tenants, period_s=PERIOD_S, base_price=1_000, reserve_price=1_500)
    for number, name in enumerate(names):
        budget = Budget(amount=chosen.randint(10**8, 10**9), window_s=3600) if number % 5 == 0 else None
        elasticity = f"{chosen.randint(0, 4000) / 1000}"
        yield ProfileCommand(
            id=f"c{number}", pool="llm", tenant=name, base=chosen.randint(500, 4000), elasticity=elasticity, budget=budget
        )
    for tick in range(PERIODS * PERIOD_S + 1):
        rows = [at for at in range(tenants) if chosen.random() < active]
        yield UsageSums(
            pool="llm",
            meter_topic="usage",
            meter_partition=0,
            tick=tick,
            chunk=0,
            tenant=[names[at] for at in rows],
            requests=[1] * len(rows),
            input_tokens=[int(2 * level[at] / active) for at in rows],
            cached_input_tokens=[0] * len(rows),
            output_tokens=[int(level[at] / active) for at in rows],
        )
        yield ClockTick(tick=tick, tick_ms=1000, meter_partitions=1, grace_ticks=3)
        for topic in ("latency", "usage"):
            yield MeterMark(meter_topic=topic, meter_partition=0, tick=tick)


if __name__ == "__main__":
    for row in run(*map(int, sys.argv[1:])):
        print({name: row[name] for name in ("name", "value", "baseline_value", "goal", "met")})
