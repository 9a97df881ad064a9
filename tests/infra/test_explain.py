"""`bourse explain` on a real ClickHouse into which facts were landed as the sink does it."""

from __future__ import annotations

import json
import uuid
from types import SimpleNamespace

import pytest
from journal_world import World, pool, profile, usage
from pool_world import PERIOD, PoolWorld, tenant, token_pool

from infra import cli
from schemas.clickhouse import tables
from streams.clickhouse import connect, native_block, send_block
from streams.codecs import encode
from streams.landables import read_facts
from streams.landing import Collected, columns_of
from streams.settings import Settings
from streams.tables import create_tables

POLICIES = ("seed", "uniform_price", "max_min")


def landed(settings: Settings, worlds: list[World]) -> None:
    """Every fact of each world, one partition a world."""
    client = connect(settings)
    create_tables(client, settings.clickhouse_database)
    topic = settings.topic("facts")
    collected = Collected()
    for partition, world in enumerate(worlds):
        records = [
            SimpleNamespace(offset=offset, value=encode(fact), key=None, headers=(), timestamp=0)
            for offset, fact in enumerate(world.facts)
        ]
        read_facts(topic)(collected, partition, records)
    for ddl in tables(settings.clickhouse_database):
        if items := collected.tables.get(ddl.name):
            names, types = [column.name for column in ddl.columns], [column.clickhouse_type for column in ddl.columns]
            columns = columns_of(ddl, items, topic, 1_700_000_000_000)
            send_block(client, native_block(f"`{settings.clickhouse_database}`.`{ddl.insert_into}`", names, types, columns))


def world_of(policy: str) -> World:
    """Periods 5 to 8 of a pool that is called as its policy; tenant `poor` has a budget, `guest` no profile."""
    world = World()
    world.tick(8)
    world.take(
        pool(pool=policy, policy=policy, capacity=1000, base_price=2, reserve_price=5),
        profile("1", "big", pool=policy, base=200, elasticity=3),
        profile("2", "poor", pool=policy, base=100, elasticity=2, budget=(1500, 100)),
        profile("3", "calm [bold]", pool=policy, base=50, elasticity=1, weight=2),
    )
    for number in range(9, 17):
        world.take(usage(number, {"big": 300, "poor": 250, "calm [bold]": 200, "guest": 1}, pool=policy))
        world.run(number, number)
    world.take(pool("p2", pool=policy, policy=policy, capacity=280, base_price=2, reserve_price=5))
    world.run(17, 20)
    world.take(pool("p3", pool=f"{policy}-new", policy=policy))
    return world


def token_pool_world() -> World:
    """Pool `llm`, which lost replicas: the last closed period is short, and bases went by tier."""
    here = PoolWorld(tenant("e", "elastic", base=5000), tenant("g", "guaranteed", tier="guaranteed", base=5000))
    here.take(token_pool("p2", replicas=6))
    here.seconds(2 * PERIOD)
    return here


@pytest.fixture(scope="module")
def settings(clickhouse: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    settings = Settings(
        home=tmp_path_factory.mktemp("home"), clickhouse=clickhouse, clickhouse_database=f"explain_{uuid.uuid4().hex[:8]}"
    )
    landed(settings, [*(world_of(policy) for policy in POLICIES), token_pool_world()])
    return settings


@pytest.fixture
def bourse(settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Runs a command; (exit code, what it printed, what it complained of)."""
    for name, value in settings.as_environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            cli.main(list(arguments))
        return int(ended.value.code or 0), *capsys.readouterr()

    return run


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("tenant", ["big", "poor", "calm [bold]", "guest"])
def test_each_row_is_explained_and_proved(bourse, policy, tenant):
    code, page, complaint = bourse("explain", policy, "6", tenant)
    assert (code, complaint) == (0, "")
    assert f"{tenant} in period 6 of {policy}" in page
    assert "The recorded row is what the rule gives" in page


@pytest.mark.parametrize(
    ("policy", "tenant", "says"),
    [
        ("seed", "big", ["rank 1 of 3", "Nobody came before it", "all that was left", "3"]),
        ("seed", "poor", ["rank 2 of 3", "right before it", "1", "0 were left at its turn", "0.0000015 credits"]),
        ("seed", "guest", ["no profile in force", "without an allocation"]),
        (
            "uniform_price",
            "calm [bold]",
            ["bid for 750 tokens", "up to 5 nanocredits a token", "price was 15", "below that"],
        ),
        ("uniform_price", "poor", ["10 nanocredits a token: elasticity x reserve price"]),
        ("max_min", "big", ["Its need was 1,000 tokens", "The other 3 shared 650 tokens by weight: 1 of 4", "It got 163 tokens"]),
        ("max_min", "poor", ["budget bought", "of them after its base"]),
    ],
)
def test_the_page_tells_the_steps(bourse, policy, tenant, says):
    _, page, _ = bourse("explain", policy, "6", tenant)
    missing = [part for part in says if part not in page]
    assert not missing, page


def test_a_cut_guarantee_is_told(bourse):
    code, page, _ = bourse("explain", "seed", "last", "big")
    assert code == 0
    assert "all bases were cut in proportion, and 40 of its 200 tokens are owed to it" in page


def test_as_json(bourse):
    code, said, _ = bourse("explain", "seed", "6", "poor", "--json")
    told = json.loads(said)
    assert (code, told["proved"], told["differences"], told["rule"]["rank"]) == (0, True, [], 2)
    assert told["cap"] == {"amount": 1500, "window_s": 100}
    assert told["charge"] == told["charge_for_base"] + told["charge_for_surplus"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("ghost", "6", "big"), "pool 'ghost' is not known: known are llm, max_min, max_min-new, seed"),
        (("seed-new", "last", "big"), "pool 'seed-new' has no closed period yet"),
        (("seed", "4", "big"), "period 4 of pool 'seed': in it no period of the pool opened; closed are"),
        (("seed", "99", "big"), "period 99 of pool 'seed': it has not closed, or not landed, yet; closed are"),
        (("seed", "-1", "big"), "No such option"),
        (("seed", "six", "big"), "period 'six': the number of a period or 'last' is expected"),
        (("seed", "9" * 30, "big"), "the number of a period or 'last' is expected"),
        (
            ("seed", "6", "nobody"),
            "tenant 'nobody' has no row in period 6 of pool 'seed': it has rows of big, calm [bold], guest, poor",
        ),
        (("seed", "6", "'; DROP TABLE x; --"), "has no row in period 6"),
    ],
)
def test_what_is_not_there_is_said_clearly(bourse, arguments, says):
    code, page, complaint = bourse("explain", *arguments)
    assert (code, page) == (2, "")
    assert says in " ".join(complaint.split())
    assert "Traceback" not in complaint


def test_a_recorded_row_that_is_wrong_is_not_proved(bourse, settings):
    table = f"`{settings.clickhouse_database}`.allocations_landed"
    client = connect(settings)
    row = "pool = 'seed' AND period = 7 AND tenant = 'big'"
    client.command(f"ALTER TABLE {table} UPDATE charge = charge + 1 WHERE {row}", settings={"mutations_sync": 2})
    code, page, _ = bourse("explain", "seed", "7", "big")
    assert code == 1
    assert "The recorded row is not what the rule gives" in page
    assert "charge" in page
    code, page, _ = bourse("explain", "seed", "7", "poor")
    assert code == 0
    assert "1 other rows of the period are not" in page


def test_clickhouse_that_is_away_is_one_line(bourse, monkeypatch):
    monkeypatch.setenv("BOURSE_CLICKHOUSE", "http://127.0.0.1:9")
    code, page, complaint = bourse("explain", "seed", "7", "big")
    assert (code, page) == (1, "")
    assert complaint.startswith("bourse: ClickHouse at http://127.0.0.1:9: ")
    assert "Traceback" not in complaint


def test_a_token_pools_bases_go_by_tier(bourse) -> None:
    for who, base, shortfall in (("guaranteed", 5000, 0), ("elastic", 1000, 4000)):
        code, out, _ = bourse("explain", "llm", "last", who, "--json")
        said = json.loads(out)
        assert (code, said["proved"], said["base"], said["shortfall"]) == (0, True, base, shortfall)
    _, page, _ = bourse("explain", "llm", "last", "elastic")
    assert "then of all others, and it is elastic, and 4,000 of its 5,000 tokens are owed" in " ".join(page.split())
