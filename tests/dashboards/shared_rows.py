"""A token pool's facts as the engine decided them, and events as gateways publish them."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from databases import insert
from landed_world import land
from pool_world import PoolWorld, of_kind, tenant

from schemas.sharing_facts import CapacityShared
from streams.settings import Settings

POOL = "llm"
SECONDS = 40
RARELY = {"interval_ms": 4_000, "peak_kv_blocks": 40}
"""Another gateway reports less often than the page has points."""
ZERO = datetime(1970, 1, 1, tzinfo=UTC)


def shared_pool() -> PoolWorld:
    """Two elastic tenants of whom one comes late, a guaranteed one that mostly lends, a spot tenant; two replicas are lost."""
    world = PoolWorld(
        tenant("d", "ded", tier="dedicated", base=2_000),
        tenant("g", "gua", tier="guaranteed", base=3_000, throughput=(100, None)),
        tenant("e", "eve", tier="elastic", base=1_000),
        tenant("f", "fay", tier="elastic", base=1_000),
        tenant("s", "spo", tier="spot"),
    )
    asked = {"spo": (3, 150, 10, 20, 4)}
    world.seconds(SECONDS // 2, {"ded": 150, "gua": 20, "eve": 600, "spo": 200}, asked)
    late = {"eve": (1, 100, 8, 40, 6), "fay": (4, 300, 20, 0, 0), "spo": (5, 400, 30, 0, 0)}
    world.seconds(SECONDS // 2, {"ded": 150, "gua": 290, "eve": 500}, late)
    return world


def seed_shared(settings: Settings, world: PoolWorld) -> None:
    """Its facts, and the events of the same seconds."""
    client = land(settings, [world])
    last = of_kind(world.facts, CapacityShared)[-1].at // 1000
    seconds = range(last - SECONDS, last)
    usage = [_used(at, each, tokens) for at in seconds for each, tokens in (("ded", 150), ("gua", 290), ("eve", 500))]
    insert(client, settings, "usage_events", usage)
    insert(client, settings, "usage_events", usage[1::3])
    told = [_admission(at, "spo", admitted=2, refused_pool_kv=3, peak_kv_blocks=20, peak_concurrency=4) for at in seconds]
    told += [_admission(at, "eve", **RARELY, admitted=5, refused_own_throughput=1, stopped=1) for at in seconds[3::4]]
    told += [_admission(at, "eve", pool="other", admitted=9, refused_own_kv=9) for at in seconds]
    insert(client, settings, "admission_events", told)
    insert(client, settings, "admission_events", told[::3])  # once more: they count once


def _used(at: int, who: str, tokens: int) -> dict[str, Any]:
    return {**_named(at, who), "pool": POOL, "input_tokens": tokens - 7, "output_tokens": 7}


def _admission(at: int, who: str, pool: str = POOL, **counts: int) -> dict[str, Any]:
    return {**_named(at, who), "pool": pool, "interval_ms": 1_000, **counts}


def _named(at: int, who: str) -> dict[str, Any]:
    time = ZERO + timedelta(seconds=at + 1)
    return {"time": time, "landed_at": time, "source": "gateway", "id": f"{at}-{uuid.uuid4().hex}", "tenant": who}
