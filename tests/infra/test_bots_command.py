"""`bourse bots`: settings that are good or not, and dry runs over a journal on a real broker."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import pytest
from bot_world import BotWorld
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from infra import cli
from schemas.journal import ClockTick
from streams.codecs import encode
from streams.partitioning import home_partition

PARTITIONS = 3
IDLE = {"name": "idle", "strategy": "sell_idle", "min_price": 5}


def a_history() -> BotWorld:
    """Of a with 100 tokens, who uses 60 a period; b bids for 20 of each."""
    world = BotWorld(used={"a": 60}, period_s=4)
    for _ in range(5):
        world.buy("b", 20, 7)
        world.use(a=60)
        world.step(3)
        world.close()
    return world


@pytest.fixture
def recorded(broker: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> BotWorld:
    """The history in the journal of a system of its own."""
    world, prefix = a_history(), f"bots{uuid.uuid4().hex[:8]}."
    for name, value in {"HOME": str(tmp_path), "KAFKA": broker, "TOPIC_PREFIX": prefix}.items():
        monkeypatch.setenv(f"BOURSE_{name}", value)
    monkeypatch.setenv("COLUMNS", "160")
    config = {"bootstrap.servers": broker}
    admin = AdminClient(config)
    for made in admin.create_topics([NewTopic(prefix + "journal", PARTITIONS, 1)]).values():
        made.result(30)
    producer = Producer({**config, "enable.idempotence": True})
    for partition in range(PARTITIONS):
        records = [record for _, record in world.journal] if partition == home_partition(b"llm", PARTITIONS) else []
        for record in records or [ClockTick(tick=1, tick_ms=1000, meter_partitions=1, grace_ticks=3)]:
            producer.produce(prefix + "journal", encode(record), partition=partition)
    assert producer.flush(30) == 0
    return world


def bourse(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        cli.main(list(arguments))
    return int(ended.value.code or 0), *capsys.readouterr()


def written(folder: Path, settings: object) -> str:
    path = folder / "bot.json"
    path.write_text(settings if isinstance(settings, str) else json.dumps(settings))
    return str(path)


@pytest.mark.kafka
def test_a_dry_run_tells_orders_trades_and_what_they_change(recorded, tmp_path, capsys):
    file = written(tmp_path, IDLE | {"pool": "llm"})
    code, out, err = bourse(capsys, "bots", "test", file, "--history", "--tenant", "a", "--from", "13000", "--json")
    assert (code, err) == (0, "")
    said = json.loads(out)
    assert (said["pool"], said["tenant"], said["bot"], said["from"]) == ("llm", "a", "idle", 16_000)
    sold = [(trade["side"], trade["price"], trade["qty"]) for trade in said["trades"]]
    assert len(sold) == said["periods"] - 1
    assert all(side == "sell" and price >= 5 and qty == 20 for side, price, qty in sold)
    assert said["actual"]["sold"] == 0
    assert said["with_bot"]["sold"] == 20 * len(sold)
    assert said["with_bot"]["money"] - said["actual"]["money"] == sum(price * qty for _, price, qty in sold)
    assert said["actual"]["idle"] - said["with_bot"]["idle"] == 20 * len(sold)
    assert {action["action"] for action in said["actions"]} >= {"placed"}
    assert "as it was recorded" in said["assumed"]


@pytest.mark.kafka
def test_a_dry_run_is_a_page_for_people(recorded, tmp_path, capsys):
    file = written(tmp_path, IDLE)
    code, out, _ = bourse(
        capsys, "bots", "test", file, "--history", "--pool", "llm", "--tenant", "a", "--to", "1970-01-01T00:00:30Z"
    )
    assert code == 0
    for part in (
        "idle (sell_idle) of a in llm",
        "with the bot",
        "placed",
        "tokens sold",
        "They would have sold",
        "as it was recorded",
    ):
        assert part in " ".join(out.split())


@pytest.mark.kafka
@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--pool", "ghost", "--tenant", "a"], "never has tenant 'a' in pool 'ghost'"),
        (["--pool", "llm", "--tenant", "ghost"], "never has tenant 'ghost'"),
        (["--pool", "llm", "--tenant", "a", "--from", "2030-01-01T00:00:00Z"], "in this range"),
        (["--pool", "llm", "--tenant", "a", "--from", "soon"], "--from soon: RFC 3339"),
    ],
)
def test_what_can_not_be_tried_is_told_in_one_line(recorded, tmp_path, capsys, options, told):
    code, out, err = bourse(capsys, "bots", "test", written(tmp_path, IDLE), "--history", *options)
    assert (code, out) == (2, "")
    assert told in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (IDLE, None),
        (IDLE | {"conditions": [{"on": "time_of_day", "op": "between", "value": "22:00", "upper": "06:00"}]}, None),
        (IDLE | {"min_price": 0}, "min_price: 0 is less than 1"),
        (IDLE | {"max_price": 5}, "max_price: it means nothing to sell_idle"),
        (IDLE | {"nonsense": 5}, "nonsense"),
        (IDLE | {"strategy": "luck"}, "strategy"),
        ({"name": "x"}, "strategy: Field required"),
        ([IDLE], "one JSON object is expected"),
        ("{", "no JSON"),
    ],
)
def test_settings_are_checked_without_a_system(settings, told, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("BOURSE_TENANT", "a")
    code, out, err = bourse(capsys, "bots", "test", written(tmp_path, settings), "--pool", "llm")
    assert code == (0 if told is None else 2)
    assert (told or "good settings") in (out if told is None else err)
    assert "Traceback" not in err


def test_a_file_that_is_not_there(tmp_path, capsys):
    code, _, err = bourse(capsys, "bots", "test", str(tmp_path / "none.json"))
    assert (code, len(err.splitlines())) == (2, 1)
    assert "No such file" in err


def test_whose_bot_it_is_must_be_said(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("BOURSE_TENANT", raising=False)
    code, _, err = bourse(capsys, "bots", "test", written(tmp_path, IDLE), "--pool", "llm")
    assert code == 2
    assert "tenant: Field required" in err
