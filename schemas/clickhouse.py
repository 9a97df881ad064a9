"""Renders the ClickHouse tables: one for each event that has a TABLE, two that belong to no model, and views.

Why PARTITION BY toYYYYMM(landed_at): the sink gives a batch one `landed_at`, so an insert is one block of one partition, and
ClickHouse writes such a block whole or not at all. Partitioning by the event's own time would split a batch at a month's
border into two parts, of which a crash could leave one.

Why a replacing table under a view, for each public name: a publisher may send an event again long after the meter forgot its
id; an engine that recovers publishes its facts again; and a sink that was frozen past its session may insert what the next
owner of its partitions has inserted already, at any later moment, in blocks of another size: nothing that a sink reads
beforehand, and no deduplication of equal blocks, rules that out. So the sorting key ends with what identifies a row,
ReplacingMergeTree keeps the row of the highest `landed_first` of each identity, and FINAL in the view hides those that no merge
has dropped yet: a plain `SELECT count()` of the view never counts twice. `landed_first` falls as the offset grows: the first
copy wins, as it does in the meter. (An event's copies stand in one partition: that of its tenant.) FINAL also merges across
months; the view says so itself, whatever the server's default.

Cost: a query that names a prefix of the sorting key (a pool, a pool and a period, a tenant) reads only its range, FINAL or not,
and facts of different periods lie in ranges that do not overlap, which FINAL reads as they are. A scan of a whole table of
events reads the identity besides: tests/benchmarks/bench_landing.py measures both.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from schemas.catalogue import EVENTS
from schemas.clickhouse_views import create_view, quoted
from schemas.model import Event, Landing, Table
from schemas.shape import REQUIRED, Shape, shapes

DEFAULT_CODEC = "ZSTD(1)"
LANDED_FIRST = "landed_first"


@dataclass(frozen=True, slots=True)
class Column:
    """One column. `per_row` says that its value is a list in the event, one item for each row."""

    name: str
    clickhouse_type: str
    comment: str
    codec: str = DEFAULT_CODEC
    per_row: bool = False
    shape: Shape | None = None
    """The event's field; None for what the sink adds."""
    default: str = ""
    """SQL of the value that rows have which were landed before the column was added; empty for the type's own zero."""


@dataclass(frozen=True, slots=True)
class TableDDL:
    """How one public table is made. Running `statements` in order makes or extends it, and changes nothing when run again."""

    name: str
    """What analysts query: a view."""
    insert_into: str
    """The replacing table under the view, which the sink inserts into."""
    columns: tuple[Column, ...]
    """What an insert gives, in the table's order; the landing columns stand last."""
    create: str
    """Makes the table that is inserted into."""
    extend: tuple[str, ...]
    """Add what that table lacks, an older release having made it."""
    view: str
    model: type[Event] | None

    @property
    def statements(self) -> tuple[str, ...]:
        """All that make or extend it, in order."""
        return self.create, *self.extend, self.view

    @property
    def sql(self) -> str:
        """All statements as one script."""
        return "".join(f"{statement};\n" for statement in self.statements)


_TIME = "DateTime64(3, 'UTC')"
_GROWING = "DoubleDelta, ZSTD(1)"

LANDING_COLUMNS: tuple[Column, ...] = (
    Column("topic", "LowCardinality(String)", "topic of the record that the row landed from"),
    Column("partition", "Int32", "partition of that record", "T64, ZSTD(1)"),
    Column("offset", "Int64", "offset of that record", _GROWING),
    Column("record_row", "Int32", "place of the row among those of its record, from 0", "T64, ZSTD(1)"),
    Column("landed_at", _TIME, "when the sink took the batch, milliseconds since 1970, UTC", _GROWING),
)

JOURNAL_COLUMNS: tuple[Column, ...] = (
    Column("pool", "LowCardinality(String)", "id of the pool; empty for the whole partition"),
    Column("kind", "LowCardinality(String)", "type of the record"),
    Column("payload", "String", "the record as JSON", "ZSTD(3)"),
    Column("appended_at", _TIME, "when the broker appended it, milliseconds since 1970, UTC", _GROWING),
    *LANDING_COLUMNS,
)

LANDED_COLUMNS: tuple[Column, ...] = (
    Column("topic", "LowCardinality(String)", "topic"),
    Column("partition", "Int32", "partition number"),
    Column("through", "Int64", "offset up to which, itself included, everything has landed"),
    Column("journal_offset", "Int64", "of the topic facts: the journal offset of the last fact up to there; else -1", default="-1"),
    Column("fact_index", "Int64", "index of that fact among those of its journal record; else -1", default="-1"),
    Column("landed_at", _TIME, "when the sink took the batch, milliseconds since 1970, UTC"),
)


def _default_sql(shape: Shape, clickhouse_type: str) -> str:
    value = shape.default
    if shape.listed or value is REQUIRED or value is None or not value:
        return ""
    if isinstance(value, StrEnum):
        value = value.value
    if isinstance(value, str):
        return quoted(value)
    if not isinstance(value, int):
        raise TypeError(f"{shape.name}: no SQL for the default {value!r}")
    return str(Decimal(value).scaleb(-6)) if clickhouse_type.startswith("Decimal") else str(int(value))


def _column(shape: Shape) -> Column:
    if shape.store is None:
        raise TypeError(f"{shape.name}: a nested event has no column; state its fields one by one")
    clickhouse_type, nullable = shape.store.clickhouse, shape.item_nullable if shape.listed else shape.nullable
    if nullable:
        outer, separator, inner = clickhouse_type.partition("LowCardinality(")
        clickhouse_type = f"{separator}Nullable({inner[:-1]}))" if separator else f"Nullable({outer})"
    codec = shape.store.codec or DEFAULT_CODEC
    if shape.listed and not shape.per_row:
        clickhouse_type, codec = f"Array({clickhouse_type})", DEFAULT_CODEC
    return Column(shape.name, clickhouse_type, shape.doc, codec, shape.per_row, shape, _default_sql(shape, clickhouse_type))


def columns(model: type[Event]) -> tuple[Column, ...]:
    """The columns that a model's fields become, in their order, without those of the landing."""
    return tuple(_column(shape) for shape in shapes(model))


def column_definition(column: Column) -> str:
    """The column as `CREATE TABLE` and `ADD COLUMN` state it."""
    default = f" DEFAULT {column.default}" if column.default else ""
    comment = f" COMMENT {quoted(column.comment)}" if column.comment else ""
    return f"`{column.name}` {column.clickhouse_type}{default}{comment} CODEC({column.codec})"


def _create_table(
    where: str,
    held: Sequence[Column],
    comment: str,
    *,
    order_by: Sequence[str],
    primary_key: Sequence[str],
    engine: str,
    extra: Sequence[str],
    settings: str = "",
) -> str:
    body = ",\n    ".join([*map(column_definition, held), *extra])
    key, primary = (", ".join(f"`{name}`" for name in names) for names in (order_by, primary_key))
    set_to = f"SETTINGS {settings}\n" if settings else ""
    return (
        f"CREATE TABLE IF NOT EXISTS {where}\n(\n    {body}\n)\nENGINE = {engine}\nPARTITION BY toYYYYMM(landed_at)\n"
        f"PRIMARY KEY ({primary})\nORDER BY ({key})\n{set_to}COMMENT {quoted(comment)}"
    )


def _extend(where: str, held: Sequence[Column], indexes: Sequence[str] = ()) -> str:
    """Adds what the table, made by an older release, does not have yet, columns in the model's place: a change of metadata only.

    Parts that the table has already get an index when they are merged.
    """
    after = ["FIRST", *(f"AFTER `{column.name}`" for column in held[:-1])]
    added = (f"ADD COLUMN IF NOT EXISTS {column_definition(column)} {place}" for column, place in zip(held, after, strict=True))
    indexed = (f"ADD {index.format(' IF NOT EXISTS')}" for index in indexes)
    return f"ALTER TABLE {where}\n    " + ",\n    ".join([*added, *indexed])


def _select_final(held: Sequence[Column], where: str) -> str:
    names = ", ".join(f"`{column.name}`" for column in held)
    setting = "do_not_merge_across_partitions_select_final = 0"
    return f"SELECT {names} FROM {where} FINAL SETTINGS {setting}"  # noqa: S608  names of our models and settings, quoted


def _identity(table: Table) -> tuple[str, ...]:
    """The sorting key: first what queries ask for, in the end what makes a row one of its kind."""
    match table.landing:
        case Landing.EVENT_ID:
            return table.identity
        case Landing.FACT:
            # Without the offset: a fact that is published again is the same row.
            known_by = ["topic", "partition", "journal_offset", "fact_index", "record_row"]
        case Landing.OFFSET:
            known_by = ["topic", "partition", "offset", "record_row"]
    return (*table.order_by, *(name for name in known_by if name not in table.order_by))


def _replacing_table(database: str, held: tuple[Column, ...], table: Table, model: type[Event] | None) -> TableDDL:
    landed = f"{table.name}_landed"
    physical, public = f"`{database}`.`{landed}`", f"`{database}`.`{table.name}`"
    # Materialized: an insert need not give it, `SELECT *` does not show it. 2^63 - 1 - offset is never negative.
    version = (
        f"`{LANDED_FIRST}` UInt64 MATERIALIZED 9223372036854775807 - `offset` "
        f"COMMENT 'falls as the offset grows: the first copy of a row replaces later ones' CODEC(DoubleDelta, ZSTD(1))"
    )
    indexes = _indexes(table, held)
    create = _create_table(
        physical,
        held,
        f"{table.comment}: every landed copy; query {table.name} instead",
        order_by=_identity(table),
        # Only this much is held in memory as the index.
        primary_key=table.order_by,
        engine=f"ReplacingMergeTree(`{LANDED_FIRST}`)",
        extra=(version, *(index.format("") for index in indexes), *(text.format("") for text in _also_by(table))),
        settings=_REBUILT if table.also_by else "",
    )
    view = create_view(public, held, table.comment, _select_final(held, physical))
    ordered = [f"ALTER TABLE {physical} ADD {text.format(' IF NOT EXISTS')}" for text in _also_by(table)]
    # Without the setting ClickHouse takes no projection, and not both at once.
    extend = (
        _extend(physical, held, indexes),
        *([f"ALTER TABLE {physical} MODIFY SETTING {_REBUILT}"] if ordered else []),
        *ordered,
    )
    return TableDDL(table.name, landed, held, create, extend, view, model)


_REBUILT = "deduplicate_merge_projection_mode = 'rebuild'"


def _also_by(table: Table) -> list[str]:
    """A projection: the rows again in another order, in the same part, so written with it or not at all.

    ClickHouse reads it by itself where that is less; not with FINAL, so who asks drops copies: `LIMIT 1 BY` what identifies a row.
    A merge that drops copies computes it anew. Parts of an older release get it when they are merged.
    """
    if not table.also_by:
        return []
    order = ", ".join(f"`{column}`" for column in table.also_by)
    return [f"PROJECTION{{}} `by_{'_'.join(table.also_by)}` (SELECT * ORDER BY {order})"]


_JOURNAL_INDEX = "INDEX{} `journal` `journal_offset` TYPE minmax GRANULARITY 1"
"""For what is read in the order of the journal (`bourse audit`): 16 bytes for each 8,192 rows."""

_START_INDEX = "INDEX{} `start` `period_start` TYPE minmax GRANULARITY 1"
"""For what is asked of a stretch of time: along a pool's rows periods grow, and with them their beginnings."""


def _indexes(table: Table, held: Sequence[Column]) -> list[str]:
    # Right with FINAL, too: all copies of a fact have the same values.
    if table.landing is not Landing.FACT:
        return []
    by_journal = [_JOURNAL_INDEX] if "journal_offset" not in table.order_by[:2] else []
    return by_journal + [_START_INDEX for column in held if column.name == "period_start"]


def _event_table(database: str, model: type[Event], table: Table) -> TableDDL:
    return _replacing_table(database, (*columns(model), *LANDING_COLUMNS), table, model)


LANDED_THROUGH = "landed_through"
LANDED_THROUGH_COMMENT = "how far the sink is: every landed batch; query landed instead"
JOURNAL = Table("journal", "one journal record", ("pool", "partition", "offset"), Landing.OFFSET)


def _journal_table(database: str) -> TableDDL:
    return _replacing_table(database, JOURNAL_COLUMNS, JOURNAL, None)


def _landed_table(database: str) -> TableDDL:
    """How far each partition has landed. The sink inserts a row with each batch; the view shows the furthest of each partition."""
    physical = f"`{database}`.`{LANDED_THROUGH}`"
    body = ",\n    ".join(map(column_definition, LANDED_COLUMNS))
    # Not partitioned: a row for each topic partition is all that is left after a merge.
    create = (
        f"CREATE TABLE IF NOT EXISTS {physical}\n(\n    {body}\n)\nENGINE = ReplacingMergeTree(`through`)\n"
        f"ORDER BY (`topic`, `partition`)\nCOMMENT {quoted(LANDED_THROUGH_COMMENT)}"
    )
    view = create_view(
        f"`{database}`.`landed`",
        LANDED_COLUMNS,
        "how far each topic partition has landed",
        _select_final(LANDED_COLUMNS, physical),
    )
    return TableDDL("landed", LANDED_THROUGH, LANDED_COLUMNS, create, (_extend(physical, LANDED_COLUMNS),), view, None)


def tables(database: str) -> list[TableDDL]:
    """All tables of the database, events' first.

    Raises:
        ValueError: two models name the same table, or a sorting key names a column that is not there.
    """
    made = [_event_table(database, model, model.TABLE) for model in EVENTS.values() if model.TABLE is not None]
    made += [_journal_table(database), _landed_table(database)]
    seen: set[str] = set()
    for each in made:
        if {each.name, each.insert_into} & seen:
            raise ValueError(f"two models land in the table {each.name}")
        seen |= {each.name, each.insert_into}
        held = {column.name for column in each.columns}
        table = each.model.TABLE if each.model else None
        missing = {*table.order_by, *table.identity} - held if table else set()
        if missing or len(held) != len(each.columns):
            raise ValueError(f"{each.name}: sorting key or columns name {missing or 'a column twice'}")
    return made
