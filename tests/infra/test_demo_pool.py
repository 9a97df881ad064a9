"""The demo's token pool: its commands are taken, its load is seeded and as heavy as it says, and its summary fits a terminal."""

from __future__ import annotations

from collections import Counter
from io import StringIO
from itertools import pairwise

import pytest
from journal_world import World, of_kind
from rich.console import Console

from infra.demo import pool_view
from infra.demo.gateway import BURST_MS
from infra.demo.shared_pool import (
    ACTS,
    MOST_INPUT,
    REPLICA_CONCURRENCY,
    REPLICA_KV_BLOCKS,
    REPLICA_TOKENS_PER_S,
    REPLICAS,
    TENANTS,
    act_at,
    pool_command,
    profile_commands,
    requests,
    reserved_output,
)
from infra.demo.store import Entitlement
from infra.workloads import Request
from processors.entitlement import RESERVED, TIERS
from schemas.facts import CommandRefused
from schemas.published import Tier
from schemas.sharing_facts import CapacityShared, Shortfalls

SECONDS = 60.0


def test_the_engine_takes_every_command_and_half_the_replicas_break_a_promise() -> None:
    world = World()
    world.tick(100)
    world.take(pool_command("demo", "r", 5), *profile_commands("demo", "r", 5))
    for number in range(101, 111):
        world.tick(number)
    assert not of_kind(world.facts, CommandRefused)
    assert not of_kind(world.facts, Shortfalls)
    shared = of_kind(world.facts, CapacityShared)[-1]
    assert (shared.throughput, shared.kv, shared.concurrency) == tuple(
        REPLICAS * each for each in (REPLICA_TOKENS_PER_S, REPLICA_KV_BLOCKS, REPLICA_CONCURRENCY)
    )
    (cut,) = (act.replicas for act in ACTS if act.replicas != REPLICAS)
    world.take(pool_command("demo", "r", 5, replicas=cut, version=1))
    world.tick(111)
    short = [
        (tenant, tier)
        for fact in of_kind(world.facts, Shortfalls)
        for tenant, tier, dimension in zip(fact.tenant, fact.tier, fact.dimension, strict=True)
        if dimension == "throughput"
    ]
    assert short == [("lumen", Tier.GUARANTEED)], "dedicated first"


def test_there_is_a_tenant_of_every_tier_and_acts_load_them_all() -> None:
    assert {tenant.tier for tenant in TENANTS} == set(Tier)
    assert all(len(act.loads) == len(TENANTS) for act in ACTS)
    assert all(any(act.loads[place] for act in ACTS) for place in range(len(TENANTS)))
    promised = sum(tenant.rate for tenant in TENANTS if TIERS.index(tenant.tier) in RESERVED)
    assert promised <= REPLICAS * REPLICA_TOKENS_PER_S


def test_the_same_seed_asks_the_same() -> None:
    assert list(requests(1, SECONDS)) == list(requests(1, SECONDS))
    assert list(requests(1, SECONDS)) != list(requests(2, SECONDS))


def test_load_is_in_order_and_about_what_the_acts_say() -> None:
    asked = list(requests(3, SECONDS))
    assert all(first.at_ms <= second.at_ms for first, second in pairwise(asked))
    tokens: Counter[str] = Counter()
    for request in asked:
        tokens[request.tenant] += request.tokens
    for place, tenant in enumerate(TENANTS):
        wanted = SECONDS * sum(act.loads[place] for act in ACTS) / len(ACTS)
        assert tokens[tenant.name] == pytest.approx(wanted, rel=0.35), "sizes above the bounds are cut"


def test_what_is_promised_holds_the_largest_request() -> None:
    largest = max(requests(1, 600), key=lambda request: request.input_tokens + reserved_output(request))
    assert largest.input_tokens == MOST_INPUT
    for tenant in TENANTS:
        if TIERS.index(tenant.tier) in RESERVED:
            assert largest.input_tokens + reserved_output(largest) <= tenant.rate * BURST_MS // 1000


@pytest.mark.parametrize(("output", "reserved"), [(1, 64), (64, 64), (65, 128), (256, 256), (257, 512), (600, 1024)])
def test_clients_reserve_the_next_power_of_two(output: int, reserved: int) -> None:
    assert reserved_output(Request(0, "kestrel", 1, 0, output)) == reserved


def test_acts_are_equally_long() -> None:
    assert [act_at(at, 10) for at in (0, 1_999, 2_000, 3_999, 8_000, 9_999, 10_000)] == [0, 0, 1, 1, 4, 4, 4]


def test_the_summary_fits_eighty_columns() -> None:
    rows = [
        Entitlement(tenant.name, tenant.tier, 12_345, 1_234, (1_234, 1_234, 1_234), 1_234, 23_456, -34_567, -12_345)
        for tenant in TENANTS
    ]
    counted = {row.tenant: (row.admitted, row.refused, row.stopped) for row in rows}
    console = Console(width=80, file=StringIO(), record=True)
    console.print(pool_view.entitlements(rows, counted))
    text = console.export_text()
    assert "…" not in text
    for tenant in TENANTS:
        (line,) = (line.split() for line in text.splitlines() if line.startswith(tenant.name))
        assert line == [tenant.name, tenant.tier, "12,345", *["1,234"] * 5, "-34,567", "-12,345"]
    assert "✓ exact" in text
    assert not pool_view.agrees(rows, counted | {"lumen": (12_345, rows[0].refused, 0)})
    assert not pool_view.agrees(rows[1:], counted)
