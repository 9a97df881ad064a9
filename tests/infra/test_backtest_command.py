"""`bourse backtest` on a real broker: what it prints and writes, and what it says of input that can't be taken."""

from __future__ import annotations

import json
import re
import uuid
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic
from databases import drop
from journal_world import World, pool, profile, usage

from infra import cli
from streams.clickhouse import connect
from streams.codecs import encode
from streams.partitioning import home_partition
from streams.settings import Settings

pytestmark = pytest.mark.kafka

PARTITIONS = 2


def a_world() -> World:
    world = World()
    world.take(pool(capacity=100, base_price=1, reserve_price=2), profile("1", "a", base=10, elasticity="3"), profile("2", "b"))
    for number in range(2, 11):
        world.take(usage(number, {"a": 60, "b": 30}))
        world.run(number, number)
    return world


@pytest.fixture
def system(broker: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Makes the journal of a system of its own, of given records; None: it has no topics."""
    prefix = f"backtest{uuid.uuid4().hex[:8]}."
    for name, value in {"HOME": str(tmp_path), "KAFKA": broker, "TOPIC_PREFIX": prefix}.items():
        monkeypatch.setenv(f"BOURSE_{name}", value)
    monkeypatch.setenv("COLUMNS", "160")

    def write(world: World) -> None:
        config = {"bootstrap.servers": broker}
        admin = AdminClient(config)  # its answers come only while it lives
        for made in admin.create_topics([NewTopic(prefix + "journal", PARTITIONS, 1)]).values():
            made.result(30)
        producer = Producer({**config, "enable.idempotence": True})
        for _, record in world.journal:
            producer.produce(prefix + "journal", encode(record), partition=home_partition(b"llm", PARTITIONS))
        assert producer.flush(30) == 0

    return write


def bourse(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        cli.main(list(arguments))
    return int(ended.value.code or 0), *capsys.readouterr()


def test_variants_stand_beside_what_happened(system, capsys, tmp_path: Path) -> None:
    system(a_world())
    files = {"--json": tmp_path / "b.json", "--plot": tmp_path / "b.png"}
    code, page, complaint = bourse(
        capsys, "backtest", "--policy", "seed", "--policy", "max_min", *(str(part) for pair in files.items() for part in pair)
    )
    assert (code, complaint) == (0, "")
    assert "as recorded" in page
    assert "max_min" in page
    assert "seed: reproduces what happened, state for state." in page
    assert "What a backtest can't know:" in page
    assert "What was never sent" in page
    found = json.loads(files["--json"].read_text())
    assert [each["name"] for each in found["variants"]] == ["as recorded", "seed", "max_min"]
    assert found["variants"][0]["by_period"] == found["variants"][1]["by_period"] != found["variants"][2]["by_period"]
    assert files["--plot"].read_bytes()[:4] == b"\x89PNG"


def test_figures_are_kept_once_however_often_they_are_recorded(system, capsys, clickhouse, monkeypatch) -> None:
    database = f"backtests_{uuid.uuid4().hex[:8]}"
    monkeypatch.setenv("BOURSE_CLICKHOUSE", clickhouse)
    monkeypatch.setenv("BOURSE_CLICKHOUSE_DATABASE", database)
    for name, value in {"ROLLUP_EVERY": "77s", "RETENTION_EVENTS": "90d", "RETENTION_MINUTES": "30d"}.items():
        monkeypatch.setenv(f"BOURSE_{name}", value)
    system(a_world())
    asked = ("backtest", "--policy", "max_min", "--from", "2", "--to", "3", "--record")
    said = [bourse(capsys, *asked) for _ in range(2)]
    assert {code for code, _, _ in said} == {0}
    kept = {re.search(r"Kept as (\w{16}) in ", page).group(1) for _, page, _ in said}
    assert len(kept) == 1
    client = connect(Settings.load())
    whole = client.query(
        "SELECT variant, place, policy, settings, from_period, to_period, periods, served, unmet, jain, welfare, optimum, "
        f"same_as_recorded, topic, offset FROM {database}.backtests WHERE id = '{kept.pop()}' ORDER BY place"
    ).result_rows
    by_period = client.query(
        "SELECT variant, count(), sum(served), sum(demand - served), sum(welfare), min(period), max(period) "
        f"FROM {database}.backtest_periods GROUP BY variant, place ORDER BY place"
    ).result_rows
    made = dict(client.query(f"SELECT name, create_table_query FROM system.tables WHERE database = '{database}'").result_rows)
    drop(client, database)
    # Tables are made as the system would make them: its refreshes and its retention stand.
    assert "EVERY 1 MINUTE 17 SECOND" in made["usage_by_minute_refresh"]
    assert f"TTL toDateTime(landed_at) + toIntervalSecond({90 * 86_400})" in made["usage_events_landed"]
    assert f"toIntervalSecond({30 * 86_400})" in made["usage_by_minute_computed"]
    assert [(row[0], row[1], row[2], row[3]) for row in whole] == [
        ("as recorded", 0, "seed", "{}"),
        ("max_min", 1, "max_min", '{"policy": "max_min"}'),
    ]
    for row, sums in zip(whole, by_period, strict=True):
        assert row[4:7] == (2, 3, 2)
        assert (row[0], 2, row[7], row[8], row[10], 2, 3) == sums
        assert row[7] > 0
        assert 0 < row[9] <= 1
        assert row[10] <= row[11]
    assert [row[12] for row in whole] == [True, False]
    assert {row[13:] for row in whole} == {(Settings.load().topic("journal"), len(a_world().journal) - 1)}


def test_what_cannot_be_folded_is_told_in_one_line(system, capsys, tmp_path: Path) -> None:
    tried = ("backtest", "--policy", "max_min")
    told = [(tried, "there is no journal to fold: ")]
    for arguments, line in told:
        assert refused(capsys, *arguments).startswith(f"bourse: {line}")
    system(World())
    assert refused(capsys, *tried) == "bourse: the journal defines no pool: there is nothing to fold again"
    assert refused(capsys, *tried, "--pool", "llm") == "bourse: the journal has no pool 'llm'"
    assert "unknown" not in refused(capsys, *tried, "--plot", str(tmp_path / "b.svg"))


def test_a_pool_that_is_not_there_is_told_with_those_that_are(system, capsys) -> None:
    world = World()
    world.take(pool(), pool("p2", pool="gpt"))
    system(world)
    assert refused(capsys, "backtest", "--set", "lot=2") == "bourse: --pool: which of them; known are gpt, llm"
    assert "no period of pool 'llm' has closed yet" in refused(capsys, "backtest", "--set", "lot=2", "--pool", "llm")
    assert refused(capsys, "backtest", "--set", "lot=0", "--pool", "llm").startswith("bourse: --set lot=0: lot: ")


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    code, page, complaint = bourse(capsys, *arguments)
    assert (code, page) == (2, "")
    assert complaint.count("\n") == 1
    return complaint.strip()
