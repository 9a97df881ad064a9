"""Our tables in a real ClickHouse: made where something is missing, and those of an older release brought up to date."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

import pytest
from databases import drop

from schemas.clickhouse import tables
from schemas.clickhouse_setup import setup_statements
from schemas.upkeep import Upkeep
from streams.clickhouse import connect
from streams.errors import UserError
from streams.settings import Settings
from streams.standing import LandingTables
from streams.tables import create_tables

LEDGER_V1 = """CREATE TABLE {db}.ledger_landed
(
    `pool` LowCardinality(String), `journal_offset` Int64, `fact_index` Int64, `period` Int64, `kind` LowCardinality(String),
    `debit_account` String, `credit_account` LowCardinality(String), `amount` Int64,
    `topic` LowCardinality(String), `partition` Int32, `offset` Int64, `record_row` Int32, `landed_at` DateTime64(3, 'UTC'),
    `landed_first` UInt64 MATERIALIZED 9223372036854775807 - `offset`
)
ENGINE = ReplacingMergeTree(`landed_first`) PARTITION BY toYYYYMM(landed_at)
PRIMARY KEY (`pool`, `period`, `debit_account`, `credit_account`)
ORDER BY (
    `pool`, `period`, `debit_account`, `credit_account`, `topic`, `partition`, `journal_offset`, `fact_index`, `record_row`
)"""

VIEW_V1 = "CREATE VIEW {db}.ledger AS SELECT pool, kind, debit_account, credit_account, amount FROM {db}.ledger_landed FINAL"

MOMENT = datetime(2026, 1, 31, tzinfo=UTC)
LATER = datetime(2026, 2, 1, tzinfo=UTC)


@pytest.fixture
def settings(clickhouse, tmp_path):
    settings = Settings(home=tmp_path, clickhouse=clickhouse, clickhouse_database=f"tables_{uuid.uuid4().hex[:8]}")
    yield settings
    drop(connect(settings), settings.clickhouse_database)


@pytest.fixture
def client(settings):
    client = connect(settings)
    client.command(f"CREATE DATABASE {settings.clickhouse_database}")
    client.database = settings.clickhouse_database
    return client


def make_old_ledger(client):
    for sql in (LEDGER_V1, VIEW_V1):
        client.command(sql.format(db=client.database))
    fields = ("pool", "journal_offset", "fact_index", "period", "kind", "debit_account", "credit_account", "amount", "topic")
    rows = [
        ("p", 7, 3, 5, "allocation", "tenant/a", "operator", 40, "facts", 0, 90, 0, MOMENT),
        ("p", 7, 3, 5, "allocation", "tenant/b", "operator", 2, "facts", 0, 90, 1, MOMENT),
        ("p", 7, 3, 5, "allocation", "tenant/b", "operator", 2, "facts", 0, 99, 1, LATER),  # landed twice
        ("p", 9, 0, 6, "allocation", "tenant/a", "operator", 5, "facts", 0, 91, 0, LATER),
    ]
    client.insert("ledger_landed", rows, column_names=(*fields, "partition", "offset", "record_row", "landed_at"))


def ledger(client):
    names = "journal_offset, record_row, entry, code, asset, hold, debit_account, credit_account, amount, offset"
    return [tuple(row) for row in client.query(f"SELECT {names} FROM ledger ORDER BY ALL").result_rows]


EXPECTED = [
    (7, 0, "post", "allocation", -1, "", "billed/a", "operator", 40, 90),
    (7, 1, "post", "allocation", -1, "", "billed/b", "operator", 2, 90),
    (9, 0, "post", "allocation", -1, "", "billed/a", "operator", 5, 91),
]


def test_a_ledger_of_before_the_market_is_read_as_its_facts_are(settings, client):
    make_old_ledger(client)
    create_tables(client, settings.clickhouse_database)
    assert ledger(client) == EXPECTED
    assert client.query("SELECT account, balance FROM balances ORDER BY account").result_rows == [
        ("billed/a", -45),
        ("billed/b", -2),
        ("operator", 47),
    ]
    create_tables(client, settings.clickhouse_database)
    assert ledger(client) == EXPECTED
    assert not client.query(
        "SELECT name FROM system.tables WHERE name = 'ledger_landed_v1' AND database = currentDatabase()"
    ).row_count
    assert client.command("SELECT sorting_key LIKE 'pool, period, journal_offset%' FROM system.tables WHERE name = 'ledger_landed' "
                          "AND database = currentDatabase()") == 1  # fmt: skip


@pytest.mark.parametrize("steps", [0, 1, 2], ids=["renamed", "made", "brought over in part"])
def test_a_crash_on_the_way_loses_and_doubles_nothing(settings, client, steps):
    make_old_ledger(client)
    client.command("RENAME TABLE ledger_landed TO ledger_landed_v1")
    if steps:
        for statement in setup_statements(settings.clickhouse_database):
            client.command(statement)
    if steps == 2:
        made = next(each for each in tables(settings.clickhouse_database) if each.name == "ledger")
        values = ("p", 7, 3, 5, "post", "allocation", -1, "", "billed/b", "operator", 2, "facts", 0, 90, 1, MOMENT)
        client.insert("ledger_landed", [values], column_names=[column.name for column in made.columns])
    create_tables(client, settings.clickhouse_database)
    assert ledger(client) == EXPECTED


def test_a_column_of_another_type_is_told(settings, client):
    create_tables(client, settings.clickhouse_database)
    client.command("ALTER TABLE trades_landed MODIFY COLUMN price Int32", settings={"mutations_sync": 2})
    with pytest.raises(UserError, match=r"trades_landed\.price is Int32, needed is Int64"):
        create_tables(client, settings.clickhouse_database)


class Watched:
    """A client whose statements are counted; the way to ClickHouse breaks before statement `breaks_at`."""

    def __init__(self, client):
        self.query, self._command = client.query, client.command
        self.statements, self.breaks_at = 0, None

    def command(self, sql):
        self.statements += 1
        if self.statements == self.breaks_at:
            raise ConnectionError("away")
        self._command(sql)

    def wants_statements(self, database, upkeep=None):
        """Whether `create_tables` would change anything; nothing is changed."""
        before, self.breaks_at = self.statements, self.statements + 1
        try:
            create_tables(self, database, upkeep)
        except ConnectionError:
            return True
        finally:
            self.statements, self.breaks_at = before, None
        return False


def renamed(name):
    return f"RENAME TABLE {name} TO elsewhere", f"RENAME TABLE elsewhere TO {name}"


FAULTS = {
    "table": renamed("trades_landed"),
    "view": renamed("open_orders"),
    "refresh": renamed("usage_by_hour_refresh"),
    "column": (
        "ALTER TABLE trades_landed RENAME COLUMN price TO elsewhere",
        "ALTER TABLE trades_landed RENAME COLUMN elsewhere TO price",
    ),
}


def test_what_is_missing_is_made_again_and_what_is_there_costs_no_statement(settings, client):
    database = settings.clickhouse_database
    topics = [LandingTables(database, f"topic-{n}", ["usage_events"]) for n in range(6)]
    watched = Watched(connect(settings))
    # A store that came back empty, and away again while the first of a sink's landers makes the tables anew.
    client.command(f"DROP DATABASE {database}")
    watched.breaks_at = 40
    with pytest.raises(ConnectionError):
        topics[0].restore(watched, [0])
    watched.breaks_at, watched.statements = None, 0
    assert topics[0].restore(watched, [0])[0].through == -1
    # Every statement, and the stamp; only tables that had been made before it broke are extended.
    none_there, all_there = (len(setup_statements(database, None, there)) + 1 for there in ((), None))
    assert none_there < watched.statements < all_there - len(tables(database)) // 3
    watched.statements = 0
    assert {topic.restore(watched, [0])[0].through for topic in topics[1:]} == {-1}
    assert watched.statements == 0

    # A store that is back with its tables, or without some of them.
    assert not watched.wants_statements(database)
    assert watched.wants_statements(database, Upkeep(rollup_every_s=77))
    assert watched.wants_statements(database, Upkeep(events_s=86_400))
    for fault, (sql, back) in FAULTS.items():
        client.command(sql)
        assert watched.wants_statements(database), fault
        client.command(back)
    # Another release, or one with other settings, that came no further than its first statement.
    assert not watched.wants_statements(database)
    watched.breaks_at = watched.statements + 2
    with pytest.raises(ConnectionError):
        create_tables(watched, database, Upkeep(rollup_every_s=77))
    assert watched.wants_statements(database)
