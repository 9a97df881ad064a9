"""`bourse replay --verify`: what it prints and its exit code, on a real broker."""

from __future__ import annotations

import json
import uuid

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic
from journal_world import World, pool, profile, usage

from infra import cli
from infra.commands.replay import differing
from schemas.facts import AllocationsClosed
from streams.codecs import encode

pytestmark = pytest.mark.kafka


def a_world() -> World:
    world = World()
    world.take(pool(base_price=1), profile("1", "a", base=10), profile("2", "b"))
    for number in range(2, 9):
        world.take(usage(number, {"a": 5, "b": 7}))
        world.run(number, number)
    return world


@pytest.fixture
def recorded(broker: str, monkeypatch: pytest.MonkeyPatch, tmp_path):
    """Writes a journal and facts to the topics of a system of its own."""
    prefix = f"replay{uuid.uuid4().hex[:8]}."
    for name, value in {"HOME": str(tmp_path), "KAFKA": broker, "TOPIC_PREFIX": prefix}.items():
        monkeypatch.setenv(f"BOURSE_{name}", value)
    monkeypatch.setenv("COLUMNS", "160")

    def write(world: World, facts: list[bytes]) -> None:
        config = {"bootstrap.servers": broker}
        admin = AdminClient(config)
        for made in admin.create_topics([NewTopic(prefix + name, 2, 1) for name in ("journal", "facts")]).values():
            made.result(30)
        producer = Producer({**config, "enable.idempotence": True})
        for topic, values in (("journal", [encode(record) for _, record in world.journal]), ("facts", facts)):
            for value in values:
                producer.produce(prefix + topic, value, partition=1)
        assert producer.flush(30) == 0

    return write


def bourse(capsys, *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        cli.main(list(arguments))
    return int(ended.value.code or 0), *capsys.readouterr()


def test_equal_facts_are_proved_in_one_line(recorded, capsys):
    world = a_world()
    recorded(world, [encode(fact) for fact in world.facts])
    code, page, complaint = bourse(capsys, "replay", "--verify")
    assert (code, complaint) == (0, "")
    proof = (
        f"{len(world.journal)} journal records give the {len(world.facts)} published facts byte for byte, and 3 equal state hashes"
    )
    assert page.splitlines()[-1] == proof
    code, said, _ = bourse(capsys, "replay", "--verify", "--json")
    told = json.loads(said)
    assert (code, told["equal"]) == (0, True)
    assert [part["facts"] for part in told["partitions"]] == [0, len(world.facts)]


def test_facts_that_are_not_published_yet_are_no_difference(recorded, capsys):
    world = a_world()
    recorded(world, [encode(fact) for fact in world.facts[:-5]])
    code, page, _ = bourse(capsys, "replay", "--verify")
    assert code == 0
    assert page.splitlines()[-1].endswith("; the engine is about to publish 5 more")


def test_the_first_difference_is_shown(recorded, capsys):
    world = a_world()
    at = next(at for at, fact in enumerate(world.facts) if isinstance(fact, AllocationsClosed))
    right = world.facts[at]
    wrong = right.model_copy(update={"charge": [right.charge[0], right.charge[1] + 1]})
    recorded(world, [encode(fact) for fact in (*world.facts[:at], wrong, *world.facts[at + 1 :])])
    code, page, _ = bourse(capsys, "replay", "--verify")
    assert code == 1
    assert f"partition 1: the first difference is at journal offset {right.journal_offset}, fact {right.fact_index}" in page
    assert "charge[1]" in page
    code, said, _ = bourse(capsys, "replay", "--verify", "--json")
    difference = json.loads(said)["partitions"][1]["difference"]
    assert code == 1
    assert (difference["decided"]["charge"], difference["recorded"]["charge"]) == (right.charge, wrong.charge)


@pytest.mark.parametrize(
    ("kafka", "arguments", "expected"),
    [
        (None, [], (2, "what shall the replay do? --verify")),
        (None, ["--verify"], (1, "nothing is proved: replay")),  # there are no topics
        ("127.0.0.1:9", ["--verify"], (1, "Kafka at 127.0.0.1:9 does not answer")),
    ],
)
@pytest.mark.usefixtures("recorded")
def test_what_stands_in_the_way_is_one_line(capsys, monkeypatch, kafka, arguments, expected):
    if kafka:
        monkeypatch.setenv("BOURSE_KAFKA", kafka)
    code, page, complaint = bourse(capsys, "replay", *arguments)
    assert (code, page) == (expected[0], "")
    assert expected[1] in complaint
    assert "Traceback" not in complaint


def test_a_missing_fact_is_shown_whole():
    world = a_world()
    fact = next(fact for fact in world.facts if isinstance(fact, AllocationsClosed))
    rows = differing(fact, None)
    assert rows[0] == ("kind", "allocations_closed", "no such fact")
    assert ("charge", json.dumps(fact.charge), "–") in rows
    assert differing(None, fact)[0] == ("kind", "no such fact", "allocations_closed")
    assert differing(fact, fact.model_copy())[1][0] == "(bytes)"
