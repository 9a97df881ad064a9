"""The tables in a real ClickHouse: they are made, made again, extended, and never show a row twice."""

import re
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, ClassVar

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client
from databases import drop

from schemas import clickhouse as rendering
from schemas.catalogue import EVENTS
from schemas.clickhouse import LANDED_FIRST, LANDING_COLUMNS, TableDDL, columns, tables
from schemas.clickhouse_setup import setup_statements
from schemas.facts import AllocationsClosed, Forecasts, PeriodClosed, ProfileSet
from schemas.model import Event, Landing, Table
from schemas.published import ProfileCommand, UsageEvent
from schemas.units import Count, Decimal6, Label, Name, PerRow, Store, TenantId, Unit


@pytest.fixture
def client(clickhouse: str) -> Iterator[Client]:
    with clickhouse_connect.get_client(dsn=clickhouse) as found:
        yield found


@pytest.fixture
def database(client: Client) -> Iterator[str]:
    name = f"schemas_{uuid.uuid4().hex[:8]}"
    yield name
    drop(client, name)


def make(client: Client, database: str) -> None:
    for statement in setup_statements(database):
        client.command(statement)


def table(database: str, name: str) -> TableDDL:
    return next(each for each in tables(database) if each.name == name)


def test_all_tables_are_made_with_units_codecs_and_keys_and_making_them_again_changes_nothing(
    client: Client, database: str
) -> None:
    make(client, database)
    catalogue = f"SELECT table, name, type, comment, compression_codec, position FROM system.columns WHERE database = '{database}'"
    before = client.query(catalogue + " ORDER BY ALL").result_rows
    make(client, database)
    assert client.query(catalogue + " ORDER BY ALL").result_rows == before
    described: dict[str, list[Any]] = {}
    for name, *rest in sorted(before, key=lambda row: (row[0], row[5])):
        described.setdefault(name, []).append(rest)
    for made in tables(database):
        held = described[made.insert_into]
        wanted = [(column.name, column.clickhouse_type, column.comment) for column in made.columns]
        assert [(name, kind, comment) for name, kind, comment, _, _ in held if name != LANDED_FIRST] == wanted
        assert all(codec for _, _, _, codec, _ in held)
        # What an analyst sees: the same columns with their units, and nothing of the machinery.
        assert [(name, kind, comment) for name, kind, comment, _, _ in described[made.name]] == wanted
    keys = dict(client.query(f"SELECT name, partition_key FROM system.tables WHERE database = '{database}'").result_rows)
    assert {name: key for name, key in keys.items() if name.endswith("_landed")} == {
        made.insert_into: "toYYYYMM(landed_at)" for made in tables(database) if made.name != "landed"
    }


def landed(offset: int, month: int = 1) -> dict[str, Any]:
    moment = datetime(2026, month, 1, tzinfo=UTC)
    return {"topic": "t", "partition": 0, "offset": offset, "record_row": 0, "landed_at": moment}


def insert(client: Client, database: str, made: TableDDL, *rows: dict[str, Any]) -> None:
    names = [column.name for column in made.columns]
    client.insert(made.insert_into, [[row[name] for name in names] for row in rows], column_names=names, database=database)


USAGE = {"time": datetime(2026, 1, 1, tzinfo=UTC), "source": "s", "id": "i", "tenant": "t", "pool": "p", "input_tokens": 5}
USAGE |= {"output_tokens": 0, "cached_input_tokens": 0, "model": "", "request_id": "", "basis": ""}


def test_an_event_that_landed_thrice_is_counted_once_and_the_first_copy_wins(client: Client, database: str) -> None:
    make(client, database)
    made = table(database, "usage_events")
    client.command(f"SYSTEM STOP MERGES {database}.usage_events_landed")
    insert(client, database, made, USAGE | landed(7, month=2) | {"input_tokens": 70})
    insert(client, database, made, USAGE | landed(5) | {"input_tokens": 50}, USAGE | landed(6) | {"input_tokens": 60})
    insert(client, database, made, USAGE | landed(9, month=3) | {"id": "j"})
    assert client.command(f"SELECT count() FROM {database}.usage_events_landed") >= 3
    assert client.command(f"SELECT count() FROM {database}.usage_events") == 2
    assert client.query(f"SELECT id, input_tokens, offset FROM {database}.usage_events ORDER BY id").result_rows == [
        ("i", 50, 5),
        ("j", 5, 9),
    ]
    # Even where the server was told that parts of different months need no merging.
    strict = {"do_not_merge_across_partitions_select_final": 1}
    assert client.query(f"SELECT sum(input_tokens) FROM {database}.usage_events", settings=strict).result_rows == [(55,)]
    client.command(f"SYSTEM START MERGES {database}.usage_events_landed")
    client.command(f"OPTIMIZE TABLE {database}.usage_events_landed FINAL")
    assert client.query(f"SELECT sum(input_tokens) FROM {database}.usage_events").result_rows == [(55,)]


def test_every_table_shows_a_row_once_that_landed_twice(client: Client, database: str) -> None:
    make(client, database)
    for made in tables(database):
        names = ", ".join(f"`{column.name}`" for column in made.columns)
        for _ in range(2):
            client.command(
                f"INSERT INTO {database}.{made.insert_into} ({names}) "
                f"SELECT {', '.join(f'defaultValueOfTypeName({_literal(column.clickhouse_type)})' for column in made.columns)}",
                settings={"insert_deduplicate": 0},
            )
        assert client.command(f"SELECT count() FROM {database}.{made.name}") == 1, made.name


def _literal(text: str) -> str:
    return "'" + text.replace("'", "\\'") + "'"


def test_how_far_it_landed_is_the_furthest(client: Client, database: str) -> None:
    make(client, database)
    made = table(database, "landed")
    row = {"topic": "t", "partition": 0, "through": 5, "landed_at": datetime(2026, 1, 1, tzinfo=UTC)}
    rest = {column.name: -1 for column in made.columns if column.name not in row}
    for through in (5, 9, 7):
        insert(client, database, made, row | rest | {"through": through}, row | rest | {"partition": 1, "through": through * 2})
    assert client.query(f"SELECT topic, partition, through FROM {database}.landed ORDER BY partition").result_rows == [
        ("t", 0, 9),
        ("t", 1, 18),
    ]


def test_a_table_of_an_older_release_gets_the_new_columns(client: Client, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EVENTS, "demo", DemoV1)
    make(client, database)
    row = {"tenant": "a", "pool": "p"}
    insert(client, database, table(database, "demos"), row | landed(1))
    monkeypatch.setitem(EVENTS, "demo", Demo)
    make(client, database)
    rows = client.query(f"SELECT * FROM {database}.demos").named_results()
    assert [(each["tenant"], each["weight"], each["word"], each["count"], each["note"]) for each in rows] == [
        ("a", Decimal("1.5"), "it's", 7, None)
    ]
    names = [column.name for column in table(database, "demos").columns]
    seen = client.query(
        f"SELECT name FROM system.columns WHERE database = '{database}' AND table = 'demos_landed' ORDER BY position"
    )
    assert [name for (name,) in seen.result_rows if name != LANDED_FIRST] == names


DEMOS = Table(name="demos", comment="one demo's row", order_by=("tenant",), landing=Landing.OFFSET)


class Word(StrEnum):
    """A word."""

    IT = "it's"


class DemoV1(Event):
    """As it was."""

    KIND: ClassVar[str] = "demo"
    TABLE: ClassVar[Table | None] = DEMOS

    tenant: TenantId
    pool: Name


class Demo(Event):
    """As it is: new fields with defaults, in the middle and at the end."""

    KIND: ClassVar[str] = "demo"
    TABLE: ClassVar[Table | None] = DEMOS

    tenant: TenantId
    weight: Decimal6 = 1_500_000
    word: Annotated[Word, Store("LowCardinality(String)")] = Word.IT
    pool: Name
    count: Count = 7
    note: Annotated[Label | None, Unit("note")] = None


@pytest.mark.parametrize(
    ("model", "name", "expected"),
    [
        (UsageEvent, "time", ("DateTime64(3, 'UTC')", "milliseconds since 1970, UTC", "DoubleDelta, ZSTD(1)", False)),
        (UsageEvent, "input_tokens", ("Int64", "tokens", "T64, ZSTD(1)", False)),
        (UsageEvent, "pool", ("LowCardinality(String)", "id of the pool: one model deployment", "ZSTD(1)", False)),
        (ProfileSet, "elasticity", ("Decimal(18, 6)", "decimal with six places", "ZSTD(1)", False)),
        (ProfileSet, "budget_amount", ("Nullable(Int64)", "nanocredits", "T64, ZSTD(1)", False)),
        (AllocationsClosed, "tenant", ("String", "id of the tenant", "ZSTD(1)", True)),
        (AllocationsClosed, "budget_left", ("Nullable(Int64)", "nanocredits", "T64, ZSTD(1)", True)),
        (Forecasts, "p50", ("Nullable(Int64)", None, "T64, ZSTD(1)", True)),
        (Demo, "note", ("LowCardinality(Nullable(String))", "note", "ZSTD(1)", False)),
    ],
)
def test_a_field_becomes_a_column(model: type[Event], name: str, expected: tuple[str, str | None, str, bool]) -> None:
    column = next(each for each in columns(model) if each.name == name)
    kind, comment, codec, per_row = expected
    assert (column.clickhouse_type, column.codec, column.per_row) == (kind, codec, per_row)
    assert comment is None or column.comment == comment


def test_a_list_that_is_not_one_value_a_row_becomes_an_array() -> None:
    column = next(each for each in columns(PeriodClosed) if each.name == "late_meters")
    assert (column.clickhouse_type, column.per_row) == ("Array(String)", False)
    assert column.comment.startswith("Meters that had not reported")


def test_a_nested_event_has_no_column() -> None:
    with pytest.raises(TypeError, match="budget: a nested event has no column"):
        columns(ProfileCommand)


class Mistaken(Event):
    """Its sorting key names no field."""

    KIND: ClassVar[str] = "demo"
    TABLE: ClassVar[Table | None] = Table(name="demos", comment="", order_by=("nobody",), landing=Landing.FACT)

    tenant: Annotated[list[TenantId], PerRow()]


@pytest.mark.parametrize("name", ["usage_events", "usage_events_landed", "journal", "demos"])
def test_mistakes_of_a_table_are_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = Table(name=name, comment="", order_by=("tenant",), landing=Landing.OFFSET)
    mistaken = Mistaken if name == "demos" else type("Taken", (DemoV1,), {"TABLE": taken, "__module__": __name__})
    monkeypatch.setitem(EVENTS, "demo", mistaken)
    with pytest.raises(ValueError, match=re.escape("nobody" if name == "demos" else "two models land in the table")):
        rendering.tables("x")


def test_every_column_says_what_it_is() -> None:
    for made in tables("x"):
        assert made.columns[-len(LANDING_COLUMNS) :] == LANDING_COLUMNS or made.name == "landed"
        assert [column.name for column in made.columns if not column.comment] == []
