"""What is rolled up: usage per minute, hour and day, tenants' outcomes of periods per hour. How: schemas/clickhouse_rollups.py.

A level's row is a function of all rows of its stretch that are known. Where more is known the row is better, and a count says how
much: `version`. For usage that is the row's own count of events. What a tenant could have sold depends on the needs of others, too,
so of outcomes it is the count of all that are known of the pool's hour: rows that came of the same knowledge are the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from schemas.clickhouse import Column, columns
from schemas.clickhouse_outcomes import OUTCOMES, WHY_COMMENT
from schemas.facts import AllocationsClosed
from schemas.model import Event
from schemas.published import UsageEvent

_SUM = "Int128"
"""Of tokens: those of a day of many events of 2^53 tokens would leave int64 (law 3)."""
_COUNT = "T64, ZSTD(1)"


@dataclass(frozen=True, slots=True)
class Sum:
    """A column that is computed of all rows of a stretch, and the SQL that it is."""

    column: Column
    sql: str


@dataclass(frozen=True, slots=True)
class Level:
    """One rollup, and what it is computed from."""

    name: str
    comment: str
    bucket: str
    """The column that says when a row's stretch of time begins."""
    bucket_comment: str
    start: str
    """The function that finds it."""
    source: str
    """The table that is read, FINAL."""
    time: str
    """The source's column of time."""
    stamp: str
    """The source's column that says when a row came."""
    margin_s: int
    """How much later than its stamp a row of the source may become visible."""
    final: str
    """0: copies of a row may stand in several partitions of the source; 1: they can't."""
    reached_by_landing: bool
    """Whether rows of a stretch are found by when they landed; else by their time, which the source's key or index finds."""
    keys: tuple[Column, ...]
    """Of a row, beside its stretch; the pool stands first."""
    sums: tuple[Sum, ...]
    version: Sum
    """A count that grows with what is known: of two rows of the same keys the one with more of it is shown."""
    after: str | None = None
    """The level from whose table it is computed."""
    derived: str = ""
    """SQL of a SELECT, `{found}` standing for what is read of the source, if the sums are of more than its columns."""

    @property
    def computed(self) -> str:
        """The table under the view."""
        return f"{self.name}_computed"

    @property
    def refresh(self) -> str:
        """The materialized view that fills it."""
        return f"{self.name}_refresh"


def _of(model: type[Event], *names: str) -> tuple[Column, ...]:
    held = {column.name: column for column in columns(model)}
    return tuple(held[name] for name in names)


def _added_up(fields: Iterable[Column], alias: str = "") -> tuple[Sum, ...]:
    return tuple(Sum(Column(each.name, _SUM, f"{each.comment}, sum"), f"sum(toInt128({alias}`{each.name}`))") for each in fields)


# An attempt to insert is given up after 30 s (streams/clickhouse.py), and clocks may differ by minutes.
_LANDING_S = 300
# A refresh stamps its rows when it begins. What depends on it waits for its end; a quarter hour is for one begun by hand.
_REFRESH_S = 900


def _usage(bucket: str, finer: str | None = None) -> Level:
    """Of events, or of the rollup of finer stretches."""
    requests = Sum(Column("requests", "UInt64", "usage events, each counted once", _COUNT), "sum(requests)" if finer else "count()")
    return Level(
        name=f"usage_by_{bucket}",
        comment=f"usage per {bucket}, pool, tenant and model",
        bucket=bucket,
        bucket_comment=f"when the {bucket} begins, by the events' time, UTC",
        start=f"toStartOf{bucket.capitalize()}",
        source=f"usage_by_{finer}_computed" if finer else "usage_events_landed",
        time=finer or "time",
        stamp="computed_at" if finer else "landed_at",
        margin_s=_REFRESH_S if finer else _LANDING_S,
        final="1" if finer else "0",
        reached_by_landing=finer is None,
        keys=_of(UsageEvent, "pool", "tenant", "model"),
        sums=(requests, *_added_up(_of(UsageEvent, "input_tokens", "output_tokens", "cached_input_tokens"))),
        version=requests,
        after=f"usage_by_{finer}" if finer else None,
    )


def _counted(name: str, comment: str, sql: str) -> Sum:
    return Sum(Column(name, "UInt64", comment, _COUNT), sql)


def _derived(name: str, comment: str, sql: str) -> Sum:
    return Sum(Column(name, _SUM, comment), sql)


_ALLOCATIONS_BY_HOUR = Level(
    name="allocations_by_hour",
    comment="outcomes of the periods that began in an hour, per pool, tenant and why it was short",
    bucket="hour",
    bucket_comment="when the hour begins, by the periods' beginnings, UTC",
    start="toStartOfHour",
    source="allocations_landed",
    time="period_start",
    stamp="landed_at",
    margin_s=_LANDING_S,
    final="0",
    reached_by_landing=False,
    keys=(
        *_of(AllocationsClosed, "pool", "tenant"),
        Column("why", "LowCardinality(String)", f"why it was short in these periods: {WHY_COMMENT}; empty: it was not"),
    ),
    sums=(
        _counted("periods", "count", "count()"),
        *_added_up(_of(AllocationsClosed, "base", "demand", "bid", "surplus", "bought", "sold", "allocated", "used"), "o."),
        *_added_up(_of(AllocationsClosed, "charge", "shortfall"), "o."),
        _derived("short", "tokens of its demand that it did not get, sum", "sum(toInt128(o.short))"),
        _counted("could_sell", "count of periods in which it had tokens idle that others needed", "countIf(o.sellable > 0)"),
        _derived("idle", "tokens that it had in these and did not use, sum", "sumIf(toInt128(o.idle), o.sellable > 0)"),
        _derived("sellable", "tokens that it could have sold to others in these, sum", "sum(o.sellable)"),
        _derived("worth", "nanocredits: the same at the periods' prices, sum", "sum(o.sellable * o.price)"),
    ),
    version=_counted(
        "known", "outcomes of the pool's hour that it was computed of", "sum(count()) OVER (PARTITION BY `pool`, `hour`)"
    ),
    derived=OUTCOMES,
)

LEVELS: tuple[Level, ...] = (_usage("minute"), _usage("hour", "minute"), _usage("day", "hour"), _ALLOCATIONS_BY_HOUR)
"""In an order in which each is computed only from tables before it."""
