"""The journal that the engine's benchmarks fold: everybody has a profile, a tenth a budget; all use something; then an auction."""

from __future__ import annotations

import random
from collections.abc import Iterator

from schemas.fact import CHUNK_ROWS
from schemas.journal import ClockTick, LatencySums, MeterMark, UsageSums
from schemas.model import Event
from schemas.planning import MOST_NEEDS, RebalanceCommand
from schemas.published import Budget, Forecaster, PoolCommand, ProfileCommand, Tier
from streams.codecs import encode

POOL, PERIOD, TICKS = "llm", 100, 60


def terms(tenants: int, forecaster: Forecaster) -> PoolCommand:
    capacity = 10_000 * tenants
    return PoolCommand(id="p", pool=POOL, capacity=capacity, period_s=TICKS, base_price=2, reserve_price=3, forecaster=forecaster)


def profiles(tenants: int) -> Iterator[ProfileCommand]:
    """Bases take 60 % of the capacity."""
    chosen = random.Random(1)
    for number in range(tenants):
        yield ProfileCommand(
            id=f"c{number}",
            pool=POOL,
            tenant=f"tenant-{number * 7919 % tenants:06}",
            base=chosen.randint(0, 12_000),
            elasticity=f"{chosen.randint(0, 3_000_000) / 1_000_000:.6f}",
            budget=Budget(amount=chosen.randint(0, 10**5), window_s=3600) if chosen.random() < 0.1 else None,
        )


def reports(tenants: int, period: int = PERIOD) -> Iterator[UsageSums]:
    """What one meter says of all tenants at the first tick of a period."""
    chosen = random.Random(2)
    names = [f"tenant-{number:06}" for number in range(tenants)]
    for chunk, start in enumerate(range(0, tenants, CHUNK_ROWS)):
        some = names[start : start + CHUNK_ROWS]
        columns = {
            "requests": [chosen.randint(1, 50) for _ in some],
            "input_tokens": [chosen.randint(0, 20_000) for _ in some],
            "cached_input_tokens": [0 for _ in some],
            "output_tokens": [chosen.randint(0, 5_000) for _ in some],
        }
        identity = {"meter_topic": "usage", "meter_partition": 0, "tick": period * TICKS + 1, "chunk": chunk}
        yield UsageSums(pool=POOL, **identity, tenant=some, **columns)


def tick_of(number: int) -> ClockTick:
    """Of one second."""
    return ClockTick(tick=number, tick_ms=1000, meter_partitions=1, grace_ticks=5)


def mark_of(topic: str, period: int = PERIOD) -> MeterMark:
    """A meter has reported the whole period."""
    return MeterMark(meter_topic=topic, meter_partition=0, tick=(period + 1) * TICKS)


def opening(tenants: int, forecaster: Forecaster = Forecaster.LAST_VALUE) -> list[bytes]:
    """The journal up to the opening of a period."""
    records: list[Event] = [tick_of(PERIOD * TICKS - 1), terms(tenants, forecaster), *profiles(tenants), tick_of(PERIOD * TICKS)]
    return [encode(record) for record in records]


def usage(tenants: int, period: int = PERIOD) -> list[bytes]:
    """What follows, up to the mark that closes it."""
    records = (*reports(tenants, period), tick_of((period + 1) * TICKS), mark_of("latency", period))
    return [encode(record) for record in records]


SLOW, FAST = tuple(range(500, 520)), tuple(range(200, 220))
"""Buckets of latencies above the SLA and far below it."""


def demanding(tenants: int) -> list[bytes]:
    """The journal up to the opening of a period, with SLAs; nobody's tier or weight leaves it without payers."""
    declared = [
        command.model_copy(update={"sla_ms": 1_000, "tier": (Tier.GUARANTEED, Tier.ELASTIC, Tier.SPOT)[number % 3]})
        for number, command in enumerate(profiles(tenants))
    ]
    records: list[Event] = [tick_of(PERIOD * TICKS - 1), terms(tenants, Forecaster.MIXTURE), *declared, tick_of(PERIOD * TICKS)]
    return [encode(record) for record in records]


def latencies(tenants: int, period: int) -> list[bytes]:
    """Of all tenants: the guaranteed third is slow."""
    slow = {command.tenant for number, command in enumerate(profiles(tenants)) if number % 3 == 0}
    names = [f"tenant-{number:06}" for number in range(tenants)]
    reported = []
    for chunk, start in enumerate(range(0, tenants, CHUNK_ROWS)):
        some = names[start : start + CHUNK_ROWS]
        buckets = [bucket for name in some for bucket in (SLOW if name in slow else FAST)]
        report = LatencySums(
            pool=POOL,
            meter_topic="latency",
            meter_partition=0,
            tick=period * TICKS + 1,
            chunk=chunk,
            tenant=some,
            owner=[owner for owner in range(len(some)) for _ in SLOW],
            bucket=buckets,
            count=[3] * len(buckets),
        )
        reported.append(encode(report))
    return reported


def proposal(tenants: int, period: int) -> list[bytes]:
    """Needs of all tenants, far from their bases."""
    chosen = random.Random(3)
    names = [f"tenant-{number:06}" for number in range(tenants)]
    chunks = -(-tenants // MOST_NEEDS)
    commands = []
    for chunk in range(chunks):
        some = names[chunk * MOST_NEEDS : (chunk + 1) * MOST_NEEDS]
        needs = [chosen.randint(0, 12_000) for _ in some]
        moment = {"as_of": period * TICKS * 1000, "look_back_s": 3600, "chunk": chunk, "chunks": chunks}
        commands.append(encode(RebalanceCommand(id=f"r{chunk}", pool=POOL, **moment, tenant=some, need=needs)))
    return commands
