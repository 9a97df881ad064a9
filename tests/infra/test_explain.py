"""`bourse explain` on a real broker, and from a real ClickHouse into which facts were landed as the sink does it."""

from __future__ import annotations

import json
import uuid

import pytest
from explained_pools import by_policy
from journal_world import World, pool
from landed_world import publish

from infra import cli
from streams.clickhouse import connect
from streams.settings import Settings

pytestmark = pytest.mark.kafka

POLICIES = ("seed", "uniform_price", "max_min")
CALM = "calm [bold]"


@pytest.fixture(scope="module")
def world() -> World:
    """With a pool in which no period has closed."""
    world = by_policy(POLICIES, CALM)
    world.take(pool("p3", pool="seed-new"))
    return world


@pytest.fixture(scope="module")
def settings(broker: str, clickhouse: str, world: World, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A system of its own: the world's journal in one partition, and its facts landed."""
    name = f"explain_{uuid.uuid4().hex[:8]}"
    settings = Settings(
        home=tmp_path_factory.mktemp("home"),
        kafka=broker,
        topic_prefix=f"{name}.",
        clickhouse=clickhouse,
        clickhouse_database=name,
    )
    publish(settings, world)
    return settings


@pytest.fixture
def bourse(settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Runs a command; (exit code, what it printed, what it complained of)."""
    for name, value in settings.as_environment().items():
        monkeypatch.setenv(name, value)

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            cli.main(list(arguments))
        return int(ended.value.code or 0), *capsys.readouterr()

    return run


@pytest.mark.parametrize("policy", POLICIES)
def test_a_period_of_a_tenant_is_one_page_from_the_journal_alone(bourse, monkeypatch, policy):
    monkeypatch.setenv("BOURSE_CLICKHOUSE", "http://127.0.0.1:9")
    code, page, complaint = bourse("explain", policy, "6", CALM)
    assert (code, complaint) == (0, "")
    assert f"{CALM} in period 6 of {policy}" in page
    assert "What would have changed it" in page
    assert "The recorded row is what the rule gives" in page
    assert len(page.splitlines()) <= 60
    assert max(map(len, page.splitlines())) <= 132


def test_as_json_from_both(bourse):
    code, said, _ = bourse("explain", "seed", "6", "poor", "--json")
    told = json.loads(said)
    assert (code, told["proved"], told["differences"], told["rule"]["rank"]) == (0, True, [], 2)
    assert (told["profile"]["budget_amount"], told["profile"]["budget_window_s"]) == (1500, 100)
    assert told["charge"] == told["charge_for_base"] + told["charge_for_surplus"]
    assert told["forecast"]["mean"] == told["demand"] == 1000
    changes = {(each["input"], each["of"]): each for each in told["what_if"]["inputs"]}
    assert changes["demand", "poor"]["higher"]["outcome"]["value"] == 1801
    code, said, _ = bourse("explain", "seed", "6", "poor", "--json", "--from-clickhouse")
    read = json.loads(said)
    assert code == 0
    differs = {name for name in told if told[name] != read[name]}
    assert differs == {"forecast", "limits"}, "experts and how limits moved are the journal's"


def test_the_last_period_and_no_search(bourse):
    code, page, _ = bourse("explain", "seed", "last", "big", "--no-what-if")
    assert code == 0
    assert "all bases were cut in proportion, and 40 of its 200 tokens are owed to it" in page
    assert "What would have changed it" not in page


@pytest.mark.parametrize("where", [(), ("--from-clickhouse",)])
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("ghost", "6", "big"), "'ghost'"),
        (("seed-new", "last", "big"), "pool 'seed-new' has no closed period yet"),
        (("seed", "99", "big"), "period 99 of pool 'seed'"),
        (("seed", "six", "big"), "period 'six': the number of a period or 'last' is expected"),
        (("seed", "6", "'; DROP TABLE x; --"), "in period 6 of pool 'seed': it has rows of big, calm [bold], guest, poor"),
    ],
)
def test_what_is_not_there_is_one_line(bourse, arguments, says, where):
    code, page, complaint = bourse("explain", *arguments, *where)
    assert (code, page) == (2, "")
    assert says in complaint
    assert complaint.startswith("bourse: ")
    assert complaint.count("\n") == 1


def test_a_number_that_is_none_is_bad_usage(bourse):
    assert bourse("explain", "seed", "-1", "big")[0] == 2
    assert "the number of a period or 'last' is expected" in bourse("explain", "seed", "9" * 30, "big")[2]


def test_a_recorded_row_that_is_wrong_is_not_proved(bourse, settings):
    table = f"`{settings.clickhouse_database}`.allocations_landed"
    row = "pool = 'seed' AND period = 7 AND tenant = 'big'"
    connect(settings).command(f"ALTER TABLE {table} UPDATE charge = charge + 1 WHERE {row}", settings={"mutations_sync": 2})
    code, page, _ = bourse("explain", "seed", "7", "big", "--from-clickhouse")
    assert code == 1
    assert "The recorded row is not what the rule gives" in page
    assert "charge" in page
    code, page, _ = bourse("explain", "seed", "7", "poor", "--from-clickhouse")
    assert code == 0
    assert "1 other rows of the period are not" in page


def test_clickhouse_that_is_away_is_one_line(bourse, monkeypatch):
    monkeypatch.setenv("BOURSE_CLICKHOUSE", "http://127.0.0.1:9")
    code, page, complaint = bourse("explain", "seed", "7", "big", "--from-clickhouse")
    assert (code, page) == (1, "")
    assert complaint.startswith("bourse: ClickHouse at http://127.0.0.1:9: ")
    assert "Traceback" not in complaint
