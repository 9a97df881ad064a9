"""A token pool's facts as the engine decided them, and events as gateways publish them."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from databases import insert
from landed_world import land
from lease_world import TenantUse, report
from pool_world import PoolWorld, of_kind, tenant

from schemas.lease_facts import CapacityLeased
from schemas.scaling import Scaling
from schemas.sharing_facts import CapacityShared
from streams.settings import Settings

POOL = "llm"
SECONDS = 40
RARELY = {"interval_ms": 4_000, "peak_kv_blocks": 40}
"""Another gateway reports less often than the page has points."""
ZERO = datetime(1970, 1, 1, tzinfo=UTC)
GATEWAYS = ("east", "west")
LEFT_AFTER = 30
"""Seconds in which `west` takes part."""
BASES = ("reported", "reported", "counted", "reserved", "")
FIRST_TOKEN_MS, SLA_MS = 30, 200


def shared_pool() -> PoolWorld:
    """Two elastic tenants of whom one comes late, a guaranteed one that mostly lends, a spot tenant; one of two gateways leaves."""
    world = PoolWorld(
        tenant("d", "ded", tier="dedicated", base=2_000),
        tenant("g", "gua", tier="guaranteed", base=3_000, throughput=(100, None), sla_ms=SLA_MS),
        tenant("e", "eve", tier="elastic", base=1_000),
        tenant("f", "fay", tier="elastic", base=1_000),
        tenant("s", "spo", tier="spot"),
        scaling=Scaling(enabled=True, max_replicas=12),
    )
    asked = {"spo": (3, 150, 10, 20, 4)}
    late = {"eve": (1, 100, 8, 40, 6), "fay": (4, 300, 20, 0, 0), "spo": (5, 400, 30, 0, 0)}
    for second in range(SECONDS):
        _report(world, second)
        if second < SECONDS // 2:
            world.second({"ded": 150, "gua": 20, "eve": 600, "spo": 200}, asked)
        else:
            world.second({"ded": 150, "gua": 290, "eve": 500}, late)
    return world


def _report(world: PoolWorld, second: int) -> None:
    """What gateways use, for which they get leases: `east` three times as much."""
    for name, tokens in zip(GATEWAYS, (300, 100), strict=True):
        if name == GATEWAYS[0] or second <= LEFT_AFTER:
            leased = [fact.tick for fact in of_kind(world.facts, CapacityLeased) if fact.gateway == name]
            leaving = name == GATEWAYS[1] and second == LEFT_AFTER
            use = {"eve": TenantUse(tokens, 10, 2, 10, 2), "gua": TenantUse(20, 3, 1, 3, 1)}
            applied = leased[-1] if leased else 0
            told = report(name, second + 1, {} if leaving else use, applied=applied, time=world.now * 1000 + 500, leaving=leaving)
            world.take(told)


def seed_shared(settings: Settings, world: PoolWorld) -> None:
    """Its facts, and the events of the same seconds."""
    client = land(settings, [world])
    last = of_kind(world.facts, CapacityShared)[-1].at // 1000
    seconds = range(last - SECONDS, last)
    used = [(at, each, tokens) for at in seconds for each, tokens in (("ded", 150), ("gua", 290), ("eve", 500))]
    usage = [_used(*each, BASES[number % len(BASES)]) for number, each in enumerate(used)]
    insert(client, settings, "usage_events", usage)
    insert(client, settings, "usage_events", usage[1::3])
    told = [_admission(at, "spo", admitted=2, refused_pool_kv=3, peak_kv_blocks=20, peak_concurrency=4) for at in seconds]
    told += [
        _admission(at, "eve", **RARELY, admitted=5, refused_own_throughput=1, refused_unknown=2, stopped=1) for at in seconds[3::4]
    ]
    told += [_admission(at, "eve", pool="other", admitted=9, refused_own_kv=9) for at in seconds]
    insert(client, settings, "admission_events", told)
    insert(client, settings, "admission_events", told[::3])  # once more: they count once
    took = [_took(at, "gua", ms, "ok") for number, at in enumerate(seconds) for ms in (100, 110, 400 if number % 2 else 120)]
    took += [_took(at, "eve", 5_000, "stopped") for at in seconds] + [_took(at, "eve", 50, "ok") for at in seconds]
    insert(client, settings, "latency_events", took)
    insert(client, settings, "latency_events", took[::2])


def _used(at: int, who: str, tokens: int, basis: str) -> dict[str, Any]:
    return {**_named(at, who), "pool": POOL, "input_tokens": tokens - 7, "output_tokens": 7, "basis": basis}


def _took(at: int, who: str, latency_ms: int, status: str) -> dict[str, Any]:
    times = {"latency_ms": latency_ms, "ttft_ms": FIRST_TOKEN_MS, "tpot_ms": 9, "status": status}
    return {**_named(at, who), "pool": POOL, **times}


def _admission(at: int, who: str, pool: str = POOL, **counts: int) -> dict[str, Any]:
    return {**_named(at, who), "pool": pool, "interval_ms": 1_000, **counts}


def _named(at: int, who: str) -> dict[str, Any]:
    time = ZERO + timedelta(seconds=at + 1)
    return {"time": time, "landed_at": time, "source": GATEWAYS[0], "id": f"{at}-{uuid.uuid4().hex}", "tenant": who}
