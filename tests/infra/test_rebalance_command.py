"""`bourse rebalance` on a real broker and ClickHouse: the table is what the engine makes of the proposal."""

from __future__ import annotations

import json
import uuid

import pytest
from journal_world import World, needed, pool, profile, usage
from landed_world import append, publish

from infra import cli
from streams.clickhouse import connect
from streams.history import Reader
from streams.settings import Settings

pytestmark = pytest.mark.kafka

HOURS = 30
BEGIN = 480_000
ON = {"sla": None, "rebalance": None}


@pytest.fixture(scope="module")
def world() -> World:
    """Hours as periods and ticks. In `llm` ann uses more than her base, bob less; `off` has rebalancing switched off."""
    world = World(tick_ms=3_600_000)
    world.tick(BEGIN - 1)
    for name, terms in (("llm", ON), ("new", ON), ("off", {})):
        world.take(pool(f"p-{name}", pool=name, capacity=10_000, period_s=3600, **terms))
        world.take(profile("a", "ann [bold]", base=1_000, pool=name), profile("b", "bob", base=4_000, pool=name))
    for number in range(BEGIN, BEGIN + HOURS):
        for name in ("llm", "new", "off"):
            world.take(usage(number, {"ann [bold]": 3_000, "bob": 100}, pool=name))
        world.run(number, number)
    return world


@pytest.fixture(scope="module")
def settings(broker: str, clickhouse: str, world: World, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    name = f"rebalance_{uuid.uuid4().hex[:8]}"
    home = tmp_path_factory.mktemp("home")
    settings = Settings(home=home, kafka=broker, topic_prefix=f"{name}.", clickhouse=clickhouse, clickhouse_database=name)
    publish(settings, world)
    return settings


@pytest.fixture
def bourse(settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Runs the command; (exit code, what it printed, what it complained of)."""
    for name, value in settings.as_environment().items():
        monkeypatch.setenv(name, value)

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            cli.main(["rebalance", *arguments])
        return int(ended.value.code or 0), *capsys.readouterr()

    return run


def test_a_dry_run_shows_what_the_engine_would_do_and_publishes_nothing(bourse):
    code, said, _ = bourse("llm", "--dry-run", "--json")
    assert (code, json.loads(said)) == (
        0,
        {
            "pool": "llm",
            "status": "proposed",
            "rows": [
                {"tenant": "ann [bold]", "need": 3_000, "base": 1_000, "after": 1_100},
                {"tenant": "bob", "need": 100, "base": 4_000, "after": 3_900},
            ],
        },
    )
    code, said, _ = bourse("llm", "--dry-run")
    assert code == 0
    assert "llm: 100 tokens a period move, 2 bases change" in said
    assert [word in said for word in ("ann [bold]", "+100", "-100", "nothing was published")] == [True] * 4


@pytest.mark.parametrize(
    ("names", "says", "code"),
    [
        (["off"], "pool 'off' has rebalancing switched off", 2),
        (["nowhere"], "no closed period of pool 'nowhere' has landed in ClickHouse; there are: llm, new, off", 2),
        ([], "say which pool; there are: llm, new, off", 2),
    ],
)
def test_what_cannot_be_rebalanced_is_one_line(bourse, names, says, code):
    ended, _, complaint = bourse(*names, "--dry-run")
    assert ended == code
    assert says in " ".join(complaint.split())


def test_a_proposal_that_the_engine_took_already_is_named_and_one_that_it_would_refuse(bourse, settings):
    as_of_s = Reader(settings.clickhouse_database).pools(connect(settings))[0].end_s
    append(settings, [needed(f"rebalance-{as_of_s}-0", {"bob": 100}, pool="new", as_of=as_of_s * 1000)])
    code, said, _ = bourse("new", "--json")
    assert (code, json.loads(said)) == (0, {"pool": "new", "status": "taken before", "rows": []})
    append(settings, [needed("by hand", {"bob": 100}, as_of=as_of_s * 1000 + 1)])
    code, said, complaint = bourse("llm", "--dry-run")
    assert (code, said) == (1, "")
    assert "refused: stale; as_of:" in complaint
