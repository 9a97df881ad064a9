"""A tick of a token pool of 100,000 tenants: demand, debts and limits in three dimensions, with and without encoding the facts.

Run alone: `python tests/benchmarks/bench_limits.py`. Seconds are of the processor, so that neighbours on the machine disturb
little. The busy tick is the worst there is: every tenant wants something else than before, more is wanted than there is in each
dimension, so that nearly every debt and limit changes and is told. In the quiet one nothing has happened since the last. In the end
the same tenants are in eight pools: with replicas that are scaled (processors/autoscale.py), and without.
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any

from processors.engine import facts_of, fold
from processors.sharing.rights import standing
from processors.sharing.state import SHARING_COLUMNS
from processors.snapshot import dump_pool
from processors.state import PartitionState
from schemas.entitlements import ConcurrencyQuota, KvQuota, RateQuota
from schemas.fact import CHUNK_ROWS, Fact
from schemas.journal import AdmissionSums, ClockTick, MeterMark, UsageSums
from schemas.model import Event
from schemas.published import PoolCommand, ProfileCommand
from schemas.scaling import Scaling
from schemas.scaling_facts import ScalingDecided
from schemas.sharing_facts import Debts, Limits
from streams.codecs import encode
from streams.outputs import Outputs

TENANTS = 100_000
GOAL_S = 1.0
POOL, PERIOD_S, BEGIN = "llm", 3600, 3_600_000
REPEATS = 5
POOLS = tuple(f"llm-{number}" for number in range(8))
TIERS = ("dedicated", "guaranteed", "elastic", "spot", "preemptible")
MANY = (1, 9, 60, 20, 10)
"""Of a hundred tenants."""


def run(tenants: int = TENANTS, repeats: int = REPEATS) -> list[dict[str, object]]:
    """Rows of {name, value, unit, baseline, baseline_value, ratio, goal, met}."""
    state = opened(tenants)
    outputs = Outputs(state, 0, limits="limits", market="market", leases="leases", scaling="scaling")
    list(outputs.round(0))
    ticks = [_busy_tick(state, outputs, tenants, number) for number in range(repeats + 1)][1:]  # the first tells new tenants
    deciding, encoding, told, rows = (statistics.median(column) for column in zip(*ticks, strict=True))
    quiet = min(_quiet_tick(state, tenants, repeats + number)[0] for number in range(2, repeats + 2))
    pool = state.pools[POOL]
    assert pool.sharing is not None
    assert pool.sharing.terms is not None
    terms = pool.sharing.terms
    begun = min(_timed(lambda: standing(pool, terms))[0] for _ in range(repeats))
    many = f"{tenants:,} tenants"
    alone = ("a tick in which nothing changed", quiet)
    size = sum(map(len, dump_pool(pool).chunks)) / 1e6
    fixed, scaled = (_pools_tick(tenants, repeats, scaling) for scaling in (None, Scaling(enabled=True, max_replicas=10_000)))
    return [
        _row(f"limits and debts of {many} recomputed in one tick", deciding, "s", alone, GOAL_S),
        _row(f"their facts encoded, {rows:,.0f} rows", encoding, "s", ("recomputing them", deciding)),
        _row("their limits told on the topic limits", told, "s", ("recomputing them", deciding)),
        _row("a tick in which nothing changed", quiet, "s", ("who stands where, alone", begun)),
        _row(
            f"state of a token pool of {many}",
            size,
            "MB",
            ("without a token pool's columns", size - len(SHARING_COLUMNS) * 8 * tenants / 1e6),
        ),
        _row(f"a tick of {len(POOLS)} scaled pools, {many} together", scaled, "s", ("pools that are not scaled", fixed), GOAL_S),
    ]


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


def opened(tenants: int, pools: Sequence[str] = (POOL,), scaling: Scaling | None = None) -> PartitionState:
    """Pools of so many tenants each, whose first period is open."""
    state = PartitionState()
    stated = (record for pool in pools for record in (terms_of(tenants, pool, scaling), *profiles(tenants, pool)))
    for offset, record in enumerate(chain([_tick(BEGIN - 1)], stated, [_tick(BEGIN)])):
        fold(state, record, offset)
    return state


def terms_of(tenants: int, pool: str, scaling: Scaling | None) -> PoolCommand:
    """500 tokens per second, 8 blocks and a request for each tenant."""
    return PoolCommand(
        id=f"{pool} p",
        pool=pool,
        capacity=500 * PERIOD_S * tenants,
        period_s=PERIOD_S,
        policy="uniform_price",
        replicas=max(tenants // 100, 1),
        replica_tokens_per_s=50_000,
        replica_kv_blocks=800,
        replica_concurrency=100,
        scaling=scaling,
    )


def profiles(tenants: int, pool: str) -> Iterator[ProfileCommand]:
    chosen = random.Random(1)
    for number in range(tenants):
        (tier,) = chosen.choices(TIERS, MANY)
        reserved = tier in ("dedicated", "guaranteed")
        yield ProfileCommand(
            id=f"{pool} c{number}",
            pool=pool,
            tenant=f"tenant-{number * 7919 % tenants:06}",
            base=chosen.randint(0, 900 * PERIOD_S) if reserved else 0,
            elasticity="1",
            weight=chosen.randint(1, 9),
            tier=tier,
            throughput=RateQuota(borrowing_limit=chosen.randint(0, 2000)) if chosen.random() < 0.5 else None,
            kv=KvQuota(nominal_quota=chosen.randint(1, 10), borrowing_limit=chosen.randint(0, 20)),
            concurrency=ConcurrencyQuota(nominal_quota=1, borrowing_limit=chosen.randint(0, 4)),
        )


def reports(tenants: int, tick: int, pool: str = POOL) -> Iterator[Event]:
    """What meters say of a tick in which everybody wanted two or three times what there is."""
    chosen = random.Random(tick)
    names = [f"tenant-{number:06}" for number in range(tenants)]
    for chunk, start in enumerate(range(0, tenants, CHUNK_ROWS)):
        some = names[start : start + CHUNK_ROWS]

        def column(most: int, some: list[str] = some) -> list[int]:
            return [chosen.randint(0, most) for _ in some]

        identity: dict[str, Any] = {"pool": pool, "meter_partition": 0, "tick": tick, "chunk": chunk, "tenant": some}
        yield UsageSums(
            meter_topic="usage",
            **identity,
            requests=column(9),
            input_tokens=column(700),
            cached_input_tokens=[0] * len(some),
            output_tokens=column(300),
        )
        yield AdmissionSums(
            meter_topic="admissions",
            **identity,
            admitted=column(9),
            refused=column(9),
            refused_tokens=column(2000),
            refused_kv_blocks=column(40),
            peak_kv_blocks=column(20),
            peak_concurrency=column(3),
        )


def _tick(number: int) -> ClockTick:
    return ClockTick(tick=number, tick_ms=1000, meter_partitions=1, grace_ticks=5)


def _busy_tick(state: PartitionState, outputs: Outputs, tenants: int, number: int) -> tuple[float, float, float, int]:
    """Seconds to decide and record, to encode the facts, and to tell the limits; and rows of debts and limits."""
    tick = BEGIN + 1 + number
    offset = 10 * tenants + 1000 * number
    for record in reports(tenants, tick):
        fold(state, record, offset)
    deciding, facts = _timed(lambda: _ticked(state, tick, offset + 1))
    encoding, _ = _timed(lambda: [encode(fact) for fact in facts])
    for fact in facts:
        outputs.note(fact)
    telling, _ = _timed(lambda: list(outputs.round(offset)))
    return deciding, encoding, telling, sum(len(fact.tenant) for fact in facts if isinstance(fact, (Debts, Limits)))


def _quiet_tick(state: PartitionState, tenants: int, number: int) -> tuple[float, list[Fact]]:
    """Demand fades and debts do: so all that is left of a second without a meter's mark."""
    tick = BEGIN + 1 + number
    return _timed(lambda: list(facts_of(state, _tick(tick), 20 * tenants + number)))


def _pools_tick(tenants: int, repeats: int, scaling: Scaling | None) -> float:
    """Seconds to decide and record a busy tick of several pools that share the tenants."""
    each = tenants // len(POOLS)
    state = opened(each, POOLS, scaling)
    taken = []
    for number in range(repeats + 1):
        tick, offset = BEGIN + 1 + number, 10 * tenants + 1000 * number
        for pool in POOLS:
            for record in reports(each, tick, pool):
                fold(state, record, offset)
        taken.append(_timed(lambda tick=tick, offset=offset: _ticked(state, tick, offset + 1)))
    if scaling is not None:
        assert any(isinstance(fact, ScalingDecided) for _, facts in taken for fact in facts)
    return statistics.median(seconds for seconds, _ in taken[1:])


def _ticked(state: PartitionState, tick: int, offset: int) -> list[Fact]:
    fold(state, MeterMark(meter_topic="usage", meter_partition=0, tick=tick), offset)
    return list(facts_of(state, _tick(tick), offset + 1))


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def main() -> None:
    for row in run():
        sys.stdout.write(
            f"{row['name']:62} {row['value']:10,.3f} {row['unit']:3} x{row['ratio']:<7,.2f} {row['baseline']} "
            f"{row['baseline_value']:,.3f} {'' if row['met'] is None else 'met' if row['met'] else 'MISSED'}\n"
        )


if __name__ == "__main__":
    main()
