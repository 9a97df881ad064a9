"""The demo's token pool: its commands are taken, its load is seeded and as heavy as it says, and its summary fits a terminal."""

from __future__ import annotations

from collections import Counter
from io import StringIO
from itertools import pairwise
from threading import Event

import pytest
from journal_world import World, of_kind
from rich.console import Console

from infra.demo import pool_view, view
from infra.demo.accounts import Landed, accounts
from infra.demo.clients import Answered, Reserved
from infra.demo.pool_store import Entitlement, Standing
from infra.demo.serving import Made
from infra.demo.shared_pool import (
    ACTS,
    BURST,
    BURST_MS,
    CALM,
    MOST_INPUT,
    REPLICA_CONCURRENCY,
    REPLICA_KV_BLOCKS,
    REPLICA_TOKENS_PER_S,
    REPLICAS,
    TENANTS,
    Act,
    act_at,
    pool_command,
    profile_commands,
    requests,
    reserved_output,
    span_ms,
)
from infra.demo.stage import Stage
from infra.workloads import Request
from processors.entitlement import RESERVED, TIERS
from schemas.facts import CommandRefused
from schemas.published import Tier
from schemas.sharing_facts import CapacityShared, Shortfalls
from streams.errors import Unavailable

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


def test_who_asks_as_much_in_the_burst_asks_the_same_as_before_it() -> None:
    def asked(act: int, tenant: str) -> list[tuple[int, int, int]]:
        first, behind = span_ms(act, SECONDS)
        found = [each for each in requests(1, SECONDS) if each.tenant == tenant and first <= each.at_ms < behind]
        return [(each.at_ms - first, each.input_tokens, each.output_tokens) for each in found]

    for place, tenant in enumerate(TENANTS):
        calm, loud = asked(CALM, tenant.name), asked(BURST, tenant.name)
        same = ACTS[CALM].loads[place] == ACTS[BURST].loads[place]
        assert same is (tenant.tier not in (Tier.SPOT, Tier.PREEMPTIBLE)), "the burst is of those alone"
        assert (calm == loud) is same
        assert len(loud) > 2 * len(calm) or same


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
    answered = {
        row.tenant: Answered(row.admitted - row.stopped, row.stopped, Counter(own_kv=row.own, pool_kv=sum(row.pool)))
        for row in rows
    }
    console = Console(width=80, file=StringIO(), record=True)
    console.print(pool_view.entitlements(rows, answered))
    text = console.export_text()
    assert "…" not in text
    for tenant in TENANTS:
        (line,) = (line.split() for line in text.splitlines() if line.startswith(tenant.name))
        assert line == [tenant.name, tenant.tier, "12,345", *["1,234"] * 5, "-34,567", "-12,345"]
    assert "✓ exact" in text
    assert not pool_view.agrees(rows[1:], answered)
    answered["lumen"].stopped += 1
    assert not pool_view.agrees(rows, answered)
    answered["lumen"].stopped -= 1
    answered["lumen"].failed["upstream_timeout"] += 1
    assert not pool_view.agrees(rows, answered)


def test_the_live_view_fits_a_hundred_columns_and_its_terminal() -> None:
    standing = Standing(1_234, 123, (1_234, 123, 123), 123, 12_345, 12_345, 12_345)
    columns = ("base", "demand", "bid", "surplus", "bought", "sold", "allocated", "used", "charge")
    pool = {
        "pool": "demo",
        "capacity": 1,
        "period_s": 5,
        "price": 1,
        "utilisation": 0.5,
        "tenants": [{"tenant": f"t{number}", **dict.fromkeys(columns, 1)} for number in range(10)],
    }
    everybody = {tenant.name: standing for tenant in TENANTS}
    token_pool = pool_view.live(everybody, everybody, "token pool: 1 served; the act")
    for height, shown in ((40, 10), (24, 5)):
        console = Console(width=100, file=StringIO(), record=True)
        console.print(view.live(pool, {}, [], ("market", "events"), beside=token_pool, height=height))
        lines = console.export_text().splitlines()
        assert len(lines) < height
        assert "…" not in "".join(line for line in lines if "more" not in line)
        assert sum(line.startswith("t") and line[1].isdigit() for line in lines) == shown
        for tenant in TENANTS:
            assert any(line.startswith(tenant.name) for line in lines)


def test_the_burst_is_told_as_it_was() -> None:
    calm = {"lumen": Standing(100, p50=900, p99=3_000, first_p99=90), "orchard": Standing(10, p50=1, p99=2)}
    loud = {"lumen": Standing(100, p50=950, p99=3_300, first_p99=120), "orchard": Standing(40, 0, (50, 5, 5), 0, 1, 2)}
    assert pool_view.told_of_burst(calm, loud) == [
        "lumen (guaranteed): P99 3,300 ms in the burst, 3,000 ms before: 1.10×; none of its requests refused",
        "orchard (spot): 60% of its requests refused",
    ]
    console = Console(width=100, file=StringIO(), record=True)
    console.print(pool_view.burst(calm, loud))
    text = console.export_text()
    (line,) = (words for words in map(str.split, text.splitlines()) if words[:2] == ["lumen", "guaranteed"])
    assert line[2:] == ["0%", "900", "950", "3,000", "3,300", "1.10×", "90", "120"]
    assert pool_view.told_of_burst({}, {}) == [], "a play of a moment"


WHOLE, STOPPED = Landed("r-1", "ann", 100, 50), Landed("r-2", "ben", 101, 20)
MADE = {"r-1": Made(100, 50), "r-2": Made(100, 23)}
KEPT = {"r-2": Reserved(100, 64)}
COUNTED = {"ann": 150, "ben": 121}


@pytest.mark.parametrize(
    ("landed", "made", "stopped", "counted", "wrong"),
    [
        ([WHOLE, STOPPED], MADE, KEPT, COUNTED, []),
        ([WHOLE, STOPPED._replace(output=23)], MADE, KEPT, {"ann": 150, "ben": 124}, []),
        ([WHOLE, STOPPED._replace(output=0)], {"r-1": Made(100, 50)}, KEPT, {"ann": 150, "ben": 101}, []),
        ([WHOLE, STOPPED], MADE, KEPT, {"ann": 150, "ben": 120}, ["ben"]),
        ([WHOLE._replace(output=49), STOPPED], MADE, KEPT, {"ann": 149, "ben": 121}, ["ann"]),
        ([WHOLE._replace(input=99, output=51), STOPPED], MADE, KEPT, COUNTED, ["ann"]),
        ([WHOLE, STOPPED], MADE, {}, COUNTED, ["ben"]),
        ([WHOLE, STOPPED._replace(output=24)], MADE, KEPT, {"ann": 150, "ben": 125}, ["ben"]),
        ([WHOLE, STOPPED], {**MADE, "r-2": Made(100, 65)}, KEPT, COUNTED, ["ben"]),
        ([WHOLE, STOPPED._replace(input=102)], MADE, KEPT, {"ann": 150, "ben": 122}, ["ben"]),
        ([WHOLE, STOPPED], {"r-2": Made(100, 23)}, KEPT, COUNTED, ["ann"]),
        ([STOPPED], MADE, KEPT, {"ben": 121}, [""]),
    ],
)
def test_accounts_agree_request_by_request(
    landed: list[Landed], made: dict[str, Made], stopped: dict[str, Reserved], counted: dict[str, int], wrong: list[str]
) -> None:
    rows = accounts(landed, made, stopped, counted)
    assert [row.tenant for row in rows if not row.exact] == wrong
    console = Console(width=100, file=StringIO(), record=True)
    console.print(pool_view.accounts(rows))
    text = console.export_text()
    assert text.count("✗ differs") == len(wrong)
    if not wrong:
        assert [line.split()[1:] for line in text.splitlines() if line.startswith("ann")] == [
            ["1", "150", "150", "150", "✓", "exact"]
        ]


def test_every_act_begins_once_and_in_order_however_late_it_is() -> None:
    looks = iter([(0, True), (100, True), (9_000, False)])
    begun: list[tuple[int, Act]] = []
    over = Event()

    def now() -> tuple[int, bool]:
        at_ms, more = next(looks)
        if not more:
            over.set()
        return at_ms, more

    stage = Stage(now, lambda number, act: begun.append((number, act)), seconds=6)
    assert stage.news() == ()
    stage.start()
    assert over.wait(60)
    stage.finish()
    assert begun == list(enumerate(ACTS))
    assert stage.news() == ACTS, "those are told, too, that began while nobody looked"
    assert stage.news() == ()


def test_what_keeps_an_act_from_beginning_is_raised_at_the_end() -> None:
    tried = Event()

    def change(number: int, act: Act) -> None:
        tried.set()
        raise Unavailable("the demo's backend is gone")

    stage = Stage(lambda: (0, True), change, seconds=6)
    stage.start()
    assert tried.wait(60)
    with pytest.raises(Unavailable, match="backend is gone"):
        stage.finish()
    assert (stage.begun, stage.news()) == (0, ())
