"""Everything that makes our ClickHouse database, in order: tables, views, rollups, and how long each is kept."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from hashlib import blake2b

from schemas.clickhouse import LANDED_THROUGH_COMMENT, tables
from schemas.clickhouse_forecasts import FORECAST_VIEWS
from schemas.clickhouse_levels import LEVELS
from schemas.clickhouse_questions import QUESTIONS
from schemas.clickhouse_rollups import rollups
from schemas.clickhouse_views import ViewDDL, views
from schemas.upkeep import Upkeep


@dataclass(frozen=True, slots=True)
class Kept:
    """How long a table's rows are kept."""

    table: str
    expires: str | None
    """The SQL of when a row may go, as ClickHouse writes it back; None: never."""


def every_view(database: str) -> list[ViewDDL]:
    """All views but those that show a table's rows once."""
    return [*views(database), *views(database, FORECAST_VIEWS), *views(database, QUESTIONS)]


def retention(upkeep: Upkeep) -> list[Kept]:
    """What goes by age. Facts and the journal never do: the books are audited and explained from them.

    A row of events goes some time after its landing, at the earliest; ClickHouse drops whole parts, when their last row has expired
    (`ttl_only_drop_parts`), as rewriting the parts of a month every few hours would cost more than it saves. So a row may be
    there a month longer. `landed_through`, which says what has landed, never expires: what has gone is not landed again.
    """
    of_landing = {
        "usage_events_landed": upkeep.events_s,
        "latency_events_landed": upkeep.events_s,
        "admission_events_landed": upkeep.events_s,
        "dead_letters_landed": upkeep.dead_letters_s,
    }
    kept = [Kept(table, _expires("toDateTime(landed_at)", age)) for table, age in of_landing.items()]
    ages = {"minute": upkeep.minutes_s, "hour": upkeep.hours_s}
    return kept + [Kept(level.computed, _expires(level.bucket, ages[level.bucket])) for level in LEVELS if level.bucket in ages]


def _expires(moment: str, age_s: int | None) -> str | None:
    return None if age_s is None else f"{moment} + toIntervalSecond({age_s})"


def setup_statements(database: str, upkeep: Upkeep | None = None, there: Container[str] | None = None) -> list[str]:
    """Everything that makes or extends the database, in order; changes nothing when run again.

    Args:
        database: its name.
        upkeep: what ClickHouse does by itself.
        there: names of the tables that are there: only these are extended. None: any may be.
    """
    rolled = rollups(database, upkeep)
    made = tables(database)
    extended = {table.insert_into for table in made if there is None or table.insert_into in there}
    return [
        f"CREATE DATABASE IF NOT EXISTS `{database}`",
        *(sql for table in made for sql in table.statements if sql not in table.extend or table.insert_into in extended),
        *(sql for rollup in rolled for sql in rollup.statements),
        *(view.sql for view in every_view(database)),
        *(rollup.refresh_sql for rollup in rolled),
    ]


def setup_names(database: str) -> set[str]:
    """Names of all tables, views and refreshes that there are when everything was run."""
    of_tables = {name for table in tables(database) for name in (table.name, table.insert_into)}
    of_rollups = {name for rollup in rollups(database) for name in (rollup.name, rollup.insert_into, rollup.refresh)}
    return of_tables | of_rollups | {view.name for view in every_view(database)}


def setup_stamp(database: str, upkeep: Upkeep) -> str:
    """The comment that LANDED_THROUGH bears once everything was run: another one where a statement or a time is another one."""
    said = "\n".join([*setup_statements(database, upkeep), *map(repr, retention(upkeep))])
    return f"{LANDED_THROUGH_COMMENT}; set up as {blake2b(said.encode(), digest_size=8).hexdigest()}"
