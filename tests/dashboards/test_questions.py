"""The README's ten questions, each asked of rows in a real ClickHouse that landed twice; the answers are counted by hand here."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from databases import drop

from dashboards.questions import as_markdown, questions
from schemas.clickhouse import tables
from schemas.upkeep import Upkeep
from streams.clickhouse import connect
from streams.rollups import rebuild, refresh
from streams.settings import Settings
from streams.tables import create_tables

NOW = datetime(2026, 3, 15, 12, tzinfo=UTC)
MOMENT = "toDateTime('2026-03-15 12:00:00', 'UTC')"
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
PERIOD_S = 600


def ago(**time):
    return NOW - timedelta(**time)


def period(start):
    return int(start.timestamp()) // PERIOD_S


USAGE = [  # time, tenant, model, input, cached, output
    (ago(minutes=30), "ann", "m1", 1000, 250, 100),
    (ago(minutes=30) + timedelta(seconds=20), "ann", "m1", 3000, 750, 400),
    (ago(minutes=30), "ben", "m2", 500, 0, 0),
    (ago(hours=5), "ben", "m1", 100, 0, 20),
    (ago(days=2), "ann", "m2", 2000, 1000, 0),
    (ago(days=3), "ben", "m1", 2**53, 0, 0),
    (ago(days=3), "ben", "m1", 2**53, 2**53, 0),
    (ago(days=9), "ann", "m1", 7000, 0, 0),
    (ago(days=12), "ben", "m2", 40, 0, 2),
    (ago(days=40), "ann", "m1", 1, 0, 0),
]

ALLOCATED = [  # start, tenant, base, demand, bid, surplus, bought, sold, allocated, used, charge, price, shortfall
    (ago(hours=2), "ann", 100, 300, 200, 50, 10, 0, 160, 160, 500, 10, 0),
    (ago(hours=2), "ben", 100, 40, 0, 0, 0, 10, 90, 30, 0, 10, 0),
    (ago(hours=2), "cat", 100, 90, 0, 0, 0, 0, 100, 95, 0, 10, 0),
    (ago(hours=3), "ann", 100, 200, 60, 60, 0, 0, 160, 150, 720, 12, 0),
    (ago(hours=3), "ben", 60, 90, 0, 0, 0, 0, 60, 60, 0, 12, 40),
    (ago(hours=3), "cat", 100, 90, 0, 0, 0, 20, 80, 80, 0, 12, 0),
    (ago(days=3), "ann", 100, 50, 0, 0, 0, 0, 100, 20, 70, 9, 0),
]

PERIODS = [  # start, capacity, allocated, used, price
    (ago(hours=2), 400, 350, 285, 10),
    (ago(hours=2) + timedelta(minutes=10), 400, 100, 15, 14),
    (ago(hours=3), 400, 300, 290, 12),
    (ago(days=3), 100, 100, 20, 9),
]

SETTLED = [  # start of the period, kind, buyer, seller, tokens, paid, earned, fees
    (ago(hours=2), "secured", "ann", "ben", 10, 130, 110, 20),  # forward: earns when it is delivered
    (ago(hours=3), "delivered", "dan", "cat", 20, 220, 200, 20),
    (NOW, "secured", "ann", "ben", 5, 60, 50, 10),  # the period has not closed
]

DELIVERED = [  # start of the period, tenant, earned, refunded, shortfall
    (ago(hours=2), "ben", 80, 0, 0),
    (ago(hours=2), "ann", 0, 26, 2),
]


@pytest.fixture(scope="module")
def client(clickhouse, tmp_path_factory):
    database = f"asked_{uuid.uuid4().hex[:8]}"
    client = connect(Settings(home=tmp_path_factory.mktemp("home"), clickhouse=clickhouse, clickhouse_database=database))
    create_tables(client, database)
    client.database = database
    land(client)
    rebuild(client, database, Upkeep())  # no refresh of today would look for what landed in March
    refresh(client, database)
    yield client
    drop(client, database)
    client.close()


def land(client):
    """Every row twice: a sink that was frozen past its session."""
    names = ("time", "tenant", "model", "input_tokens", "cached_input_tokens", "output_tokens")
    usage = [dict(zip(names, row, strict=True)) | {"source": "s", "id": str(n)} for n, row in enumerate(USAGE)]
    insert(client, "usage_events", usage, lambda row: row["time"])
    names = ("period_start", "tenant", "base", "demand", "bid", "surplus", "bought", "sold", "allocated", "used", "charge", "price")
    outcomes = [dict(zip((*names, "shortfall"), row, strict=True)) | {"policy": "seed"} for row in ALLOCATED]
    insert(client, "allocations", outcomes, lambda row: row["period_start"])
    closed = [dict(zip(("period_start", "capacity", "allocated", "used", "price"), row, strict=True)) for row in PERIODS]
    insert(client, "periods", closed, lambda row: row["period_start"])
    trades = [
        dict(zip(("start", "kind", "buyer", "seller", "tokens", "paid", "earned", "fees"), row, strict=True)) for row in SETTLED
    ]
    insert(client, "settlements", trades, lambda row: row["start"])
    deliveries = [dict(zip(("start", "tenant", "earned", "refunded", "shortfall"), row, strict=True)) for row in DELIVERED]
    insert(client, "deliveries", deliveries, lambda row: row["start"])


def insert(client, table, rows, start):
    ddl = next(each for each in tables(client.database) if each.name == table)
    known = {column.name for column in ddl.columns}
    made = []
    for number, row in enumerate(rows):
        landed = {"pool": "p", "topic": "t", "partition": 0, "offset": number, "record_row": 0, "landed_at": start(row) + HOUR}
        if "journal_offset" in known:
            landed |= {"journal_offset": number, "fact_index": 0, "period": period(start(row))}
        made.append({name: value for name, value in (landed | row).items() if name in known})
    for _ in range(2):
        client.insert(
            ddl.insert_into,
            [list(row.values()) for row in made],
            column_names=list(made[0]),
            database=client.database,
            settings={"insert_deduplicate": 0},
        )


ANSWERS = {
    # 300 wanted and 160 had; 200 wanted, all bid for was had, 160; 60 of a base of 100.
    "who_was_short": [
        ("p", "ann", "outbid", 1, 140, round(140 / 300, 3)),
        ("p", "ann", "bid_less", 1, 40, 0.2),
        ("p", "ben", "capacity_fell", 1, 30, round(30 / 90, 3)),
        ("p", "cat", "sold", 1, 10, round(10 / 90, 3)),
    ],
    "what_did_it_cost": [
        ("ann", "allocated", 410, 1290, 1.29e-06),
        ("dan", "bought", 20, 220, 2.2e-07),
        ("ann", "bought", 8, 104, 1.04e-07),
        ("ben", "allocated", 160, 0, 0.0),
        ("cat", "allocated", 200, 0, 0.0),
        ("ben", "sold", 10, -80, -8e-08),
        ("cat", "sold", 20, -200, -2e-07),
    ],
    # At -2 h only ann is short (140): ben has 60 left, cat 5. At -3 h ann has 10 left, others lack 30 and 10.
    "who_could_have_sold": [
        ("p", "ben", 1, 60, 60, 600),
        ("p", "ann", 1, 10, 10, 120),
        ("p", "cat", 1, 5, 5, 50),
    ],
    "how_full_were_the_pools": [
        ("p", ago(hours=3), 1, 0.725, 0.725, 12, 12),
        ("p", ago(hours=2), 2, 0.375, 0.712, 10, 14),  # 300 of 800; the fuller one 285 of 400: 0.7125, rounded to even
    ],
    "who_uses_most": [
        ("ben", 4, 2**54 + 620, round(2**53 / (2**54 + 600), 3)),
        ("ann", 3, 6500, round(2000 / 6000, 3)),
    ],
    "when_is_it_busiest": [
        ("p", ago(minutes=30), 5000, 3),
        ("p", ago(hours=5), 120, 1),
    ],
    "which_models_day_by_day": [
        (datetime(2026, 3, 3, tzinfo=UTC), "m2", 1, 40, 2),
        (datetime(2026, 3, 6, tzinfo=UTC), "m1", 1, 7000, 0),
        (datetime(2026, 3, 12, tzinfo=UTC), "m1", 2, 2**54, 0),
        (datetime(2026, 3, 13, tzinfo=UTC), "m2", 1, 2000, 0),
        (datetime(2026, 3, 15, tzinfo=UTC), "m1", 3, 4100, 520),
        (datetime(2026, 3, 15, tzinfo=UTC), "m2", 1, 500, 0),
    ],
    # Whole days from the 8th on against those from the 1st on; today is not over.
    "who_grows": [("ben", 2**54, 42, 2**54 - 42), ("ann", 2000, 7000, -5000)],
    "when_is_it_dear": [
        ("p", 9, 12, 0.725),
        ("p", 10, 14, 0.375),
        ("p", 12, 9, 0.2),
    ],
    "when_is_a_tenant_active": [
        ("ben", ago(days=3), 2**54, 168.0),
        ("ann", ago(hours=1), 4500, round(4500 / (6500 / 168), 1)),
        ("ann", ago(days=2), 2000, round(2000 / (6500 / 168), 1)),
        ("ben", ago(hours=5), 120, 0.0),
        ("ben", ago(hours=1), 500, 0.0),
    ],
}


@pytest.mark.parametrize("question", questions(), ids=lambda question: question.name)
def test_the_answer_is_what_is_counted_by_hand(client, question):
    assert "now()" in question.sql
    assert "today()" not in question.sql
    found = [tuple(row) for row in client.query(question.sql.replace("now()", MOMENT)).result_rows]
    found = [tuple(_moment(value) for value in row) for row in found]
    assert found == [tuple(_close(value) for value in row) for row in ANSWERS[question.name]]


def _moment(value):
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) else value


def _close(value):
    return pytest.approx(value, abs=1e-9) if isinstance(value, float) else value


def test_all_ten_are_in_the_readme_as_they_are_run():
    assert len(questions()) == 10
    assert set(ANSWERS) == {each.name for each in questions()}
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    assert as_markdown() in readme, "copy what `python -m dashboards.questions` prints into README.md"


@pytest.mark.parametrize("question", questions(), ids=lambda question: question.name)
def test_a_question_of_a_stretch_of_time_passes_over_other_stretches(client, question):
    """By the rollups' keys, or the skipping index of `period_start`: the plan says so."""
    plan = "\n".join(row[0] for row in client.query(f"EXPLAIN indexes = 1 {question.sql.replace('now()', MOMENT)}").result_rows)
    conditions = [line for line in plan.splitlines() if "Condition:" in line and "true" not in line]
    assert any(word in line for line in conditions for word in ("minute", "hour", "day", "period_start")), plan
