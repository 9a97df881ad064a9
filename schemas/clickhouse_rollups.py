"""Rollups per minute, hour and day: what a question over months reads instead of every event (schemas/clickhouse_levels.py: which).

Each is a table under a view, filled by a materialized view that ClickHouse itself refreshes (REFRESH EVERY … APPEND): nothing of
ours runs for it. A materialized view that adds up what is inserted would be nearer at hand, and wrong: it counts an event as
often as it was published or landed, and a crash between its table and the other loses what it should have added for ever.

Why these are exact, whatever crashes:
1. A refresh adds nothing to what is there. It looks which minutes were touched since the last refresh that succeeded, and
   computes these anew from *all* of their events, each seen once (FINAL, as the view `usage_events` sees them). So a row is a
   function of the events that have landed, however often these landed.
2. Events and facts are never taken back, so of two rows of one minute, pool, tenant and model the one of more requests knows more,
   whatever order they were written in: ReplacingMergeTree(`requests`) keeps it, FINAL in the view shows it alone. (Of outcomes per
   hour: the one that knows more outcomes of the pool.) A refresh that broke off
   half way, one that ran twice, and two servers' refreshes at once leave the right rows, or rows that the next one replaces.
   Events that retention has removed since can make a row of fewer requests only, which is not shown.
3. A refresh begins where the last one that *succeeded* began to read. The server says so itself (`system.view_refreshes`). It
   forgets it when it stops, so each row carries what was known when it was computed (`complete_before`). Both are statements about
   a refresh that had ended well before, true however the present one ends.
4. "Touched since" goes by `landed_at`, which the sink takes from its clock just before each attempt to insert, and by
   `computed_at` for rollups of rollups. An insert is visible a moment later; a level's `margin_s` says how much later at most.

A rollup lags by the time between two refreshes (`BOURSE_ROLLUP_EVERY`), and then says what had landed. One thing it can't see: an
event that comes again under its old id but with *another time*, more than `ahead` after it landed first, counts in both minutes,
where `usage_events` shows the first alone. `bourse rollups --rebuild` computes everything anew.

Cost, at 50,000 events/s of 100,000 tenants: a refresh reads the parts that landed within `ahead` (1 h) of the minutes touched, so
180 million rows of eight columns, and writes a row for each tenant of the minutes touched, 600,000. A minute later the same again:
at that load `BOURSE_ROLLUP_EVERY=10m` costs a tenth. A late event costs the reading of everything that landed since its minute.
Outcomes per hour, 100,000 tenants in periods of five minutes: the present hour's rows again each minute, 1.2 million at most (1.6
processor seconds for a million, half of it for what others of the period needed), 100,000 to 200,000 are written.
Memory: 200 bytes for each row to be written, beyond SPILL_BYTES on the disk, as when a store of years is rolled up at first.
tests/benchmarks/bench_analysts.py measures 100 million events.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

from schemas.clickhouse import Column, column_definition
from schemas.clickhouse_levels import LEVELS, Level
from schemas.clickhouse_views import create_view, quoted
from schemas.upkeep import Upkeep

SPILL_BYTES = 2 << 30

_SECOND = "DateTime('UTC')"
_MILLISECOND = "DateTime64(3, 'UTC')"


@dataclass(frozen=True, slots=True)
class RollupDDL:
    """How one rollup is made: its table and its view, and what fills the table."""

    name: str
    insert_into: str
    columns: tuple[Column, ...]
    """What the view shows."""
    statements: tuple[str, ...]
    refresh: str
    """Name of the materialized view."""
    refresh_sql: str
    refresh_comment: str
    """Ends with a hash of what the view says: where it differs the view is made anew (streams/tables.py)."""

    @property
    def sql(self) -> str:
        """All statements as one script."""
        return "".join(f"{statement};\n" for statement in (*self.statements, self.refresh_sql))


def _shown(level: Level) -> tuple[Column, ...]:
    """A rollup's columns: names, types and units of keys and sums are those of the source's fields."""
    pool, *others = level.keys
    bucket = Column(level.bucket, _SECOND, level.bucket_comment, "DoubleDelta, ZSTD(1)")
    return (pool, bucket, *others, *(each.column for each in level.sums))


_KEPT: tuple[Column, ...] = (
    Column("computed_at", _MILLISECOND, "when the refresh began that computed the row, UTC", "DoubleDelta, ZSTD(1)"),
    Column("complete_before", _MILLISECOND, "when the last refresh had begun that was known to have succeeded, UTC"),
)


def _table(database: str, level: Level) -> str:
    body = ",\n    ".join(map(column_definition, (*_shown(level), *_hidden(level))))
    comment = f"{level.comment}: every computed row; query {level.name} instead"
    return (
        f"CREATE TABLE IF NOT EXISTS `{database}`.`{level.computed}`\n(\n    {body},\n"
        f"    INDEX `computed` `computed_at` TYPE minmax GRANULARITY 1\n)\n"
        # By the stretch itself, so that all rows of one stretch stand in one partition.
        f"ENGINE = ReplacingMergeTree(`{level.version.column.name}`)\nPARTITION BY toYYYYMM(`{level.bucket}`)\n"
        f"ORDER BY ({_key(level)})\nCOMMENT {quoted(comment)}"
    )


def _key(level: Level) -> str:
    pool, *others = (f"`{column.name}`" for column in level.keys)
    return ", ".join((pool, f"`{level.bucket}`", *others))


def _hidden(level: Level) -> tuple[Column, ...]:
    return _KEPT if level.version in level.sums else (level.version.column, *_KEPT)


def _select(database: str, level: Level, upkeep: Upkeep) -> str:
    source, computed = f"`{database}`.`{level.source}`", f"`{database}`.`{level.computed}`"
    # Nothing touched: nothing is read.
    earliest = f"if(count() = 0, toDateTime64('2200-01-01', 3, 'UTC'), toDateTime64(min(`{level.bucket}`), 3, 'UTC'))"
    first = f"(SELECT {earliest} FROM touched)"  # noqa: S608  as below
    # By landing: parts that landed before the first stretch touched hold none of its rows. By time: it is in the key or an index.
    landed = f"`{level.stamp}` >= {first} - INTERVAL {upkeep.ahead_s + level.margin_s} SECOND"
    reach = landed if level.reached_by_landing else f"`{level.time}` >= {first}"
    counted = level.sums if level.version in level.sums else (*level.sums, level.version)
    sums = ",\n    ".join(f"{each.sql} AS `{each.column.name}`" for each in counted)
    key = ", ".join(f"`{column.name}`" for column in level.keys[1:])
    found = f"{source} AS a FINAL\nWHERE {reach} AND {level.start}(`{level.time}`) IN touched"
    read = f"(\n    {level.derived.format(found=found)}\n) AS o" if level.derived else found
    return f"""WITH
    (
        SELECT max(toDateTime64(last_success_time, 3, 'UTC')) FROM system.view_refreshes
        WHERE database = {quoted(database)} AND view = {quoted(level.refresh)}
    ) AS succeeded,
    (
        SELECT coalesce(succeeded, (SELECT max(complete_before) FROM {computed} WHERE succeeded IS NULL))
    ) AS since,
    touched AS
    (
        SELECT DISTINCT {level.start}(`{level.time}`) AS `{level.bucket}` FROM {source}
        WHERE `{level.stamp}` >= since - INTERVAL {level.margin_s} SECOND
    )
SELECT
    `pool`, {level.start}(`{level.time}`) AS `{level.bucket}`, {key},
    {sums},
    now64(3, 'UTC') AS `computed_at`, assumeNotNull(since) AS `complete_before`
FROM {read}
GROUP BY {_key(level)}
SETTINGS do_not_merge_across_partitions_select_final = {level.final}, max_bytes_before_external_group_by = {SPILL_BYTES},
    max_bytes_before_external_sort = {SPILL_BYTES}"""  # noqa: S608  names of ours


def _rollup(database: str, level: Level, upkeep: Upkeep) -> RollupDDL:
    shown = _shown(level)
    where = f"`{database}`.`{level.computed}`"
    names = ", ".join(f"`{column.name}`" for column in shown)
    seen = f"SELECT {names} FROM {where} FINAL SETTINGS do_not_merge_across_partitions_select_final = 1"  # noqa: S608  as above
    view = create_view(f"`{database}`.`{level.name}`", shown, level.comment, seen)
    depends = f" DEPENDS ON `{database}`.`{level.after}_refresh`" if level.after else ""
    made = (
        f"CREATE MATERIALIZED VIEW IF NOT EXISTS `{database}`.`{level.refresh}`\n"
        f"REFRESH EVERY {upkeep.rollup_every_s} SECOND{depends} APPEND TO {where}\n"
        f"AS {_select(database, level, upkeep)}\n"
    )
    comment = f"computes {level.computed}; {blake2b(made.encode(), digest_size=8).hexdigest()}"
    return RollupDDL(
        level.name,
        level.computed,
        shown,
        (_table(database, level), view),
        level.refresh,
        f"{made}COMMENT {quoted(comment)}",
        comment,
    )


def rollups(database: str, upkeep: Upkeep | None = None) -> list[RollupDDL]:
    """All rollups, in an order in which each reads only tables before it."""
    return [_rollup(database, level, upkeep or Upkeep()) for level in LEVELS]
