"""What lands and as which rows: the pure part of the sink.

A record of a topic becomes rows of one table or of none. Rows are known by where their record stands; facts, which a
recovering engine publishes again, identical but at later offsets, by (journal offset, fact index).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from operator import itemgetter
from typing import Any, NamedTuple

from schemas.clickhouse import LANDING_COLUMNS, Column, TableDDL
from schemas.model import Landing

FactId = tuple[int, int]
"""(journal offset, fact index): grows along a journal partition."""

NO_FACT: FactId = (-1, -1)
NOTHING = -1
"""The offset up to which nothing has landed."""


class Landable(NamedTuple):
    """A record that becomes rows of one table.

    It holds values and not the event: an event of 10 fields is three objects and 1.3 KB, which the garbage collector walks through
    again and again while a batch is collected (a quarter of all time); a tuple of numbers and strings it forgets.
    """

    partition: int
    offset: int
    values: tuple[Any, ...]
    """Of the table's own columns, in their order; lists where the column is `per_row`."""
    fact: FactId = NO_FACT
    """Its id, if it is a fact."""


@dataclass(slots=True)
class Beyond:
    """What of one topic partition stands in one table beyond `through`.

    A record's rows land in one insert, so offsets say all. They are what a batch or two left behind. For facts the highest
    id says all: see `plan`.
    """

    offsets: frozenset[int] = frozenset()
    fact: FactId = NO_FACT


@dataclass(slots=True)
class Standing:
    """How far a topic partition has landed."""

    through: int = NOTHING
    """Everything up to this offset, itself included, has landed in all tables."""
    fact: FactId = NO_FACT
    """The highest id among the facts up to there that have a table."""
    landed_at: int = 0
    """When the batch that ended there was taken, milliseconds since 1970."""
    beyond: dict[str, Beyond] = field(default_factory=dict)
    """Table → what a crash between two tables, or before `landed` was written, has left beyond `through`."""

    def known(self, table: str) -> Beyond:
        """What stands in the table beyond `through`."""
        return self.beyond.get(table, Beyond())


Standings = Mapping[int, Standing]
"""Partition of one topic → how far it has landed."""


def values_getter(ddl: TableDDL) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
    """A function from an event's fields, its `__dict__`, to the `values` of its Landable."""
    return itemgetter(*(column.name for column in _own_columns(ddl)))


@dataclass(slots=True)
class Collected:
    """Records that shall land together: for each partition of one topic a stretch of the log that begins behind what has landed."""

    tables: dict[str, list[Landable]] = field(default_factory=dict)
    through: dict[int, int] = field(default_factory=dict)
    """Partition → offset of the last record, whether or not it becomes a row."""
    facts: dict[int, FactId] = field(default_factory=dict)
    """Partition → highest id of the facts that become rows."""
    rows: int = 0
    size: int = 0
    """Bytes of the records."""

    def of(self, table: str) -> list[Landable]:
        """The records of a table; those of a partition in the order of the log."""
        return self.tables.setdefault(table, [])

    def add(self, table: str, item: Landable, rows: int) -> None:
        """One more record, which becomes so many rows."""
        self.of(table).append(item)
        self.rows += rows
        if item.fact > self.facts.get(item.partition, NO_FACT):
            self.facts[item.partition] = item.fact

    def reach(self, partition: int, offset: int) -> None:
        """All records of the partition up to this offset have been added or need not land."""
        self.through[partition] = offset


def plan(items: Iterable[Landable], table: str, landing: Landing, standings: Standings) -> list[Landable]:
    """Which of these records, in the order of the log, still have to be inserted into the table.

    Offsets: those beyond `through` which are not there yet.

    Facts: those with a higher id than all before. That is exact, not only safe. An engine publishes the facts of a journal
    partition in the order of their ids and without a gap, to one partition, through an idempotent and ordered producer; it
    begins at a snapshot, below which all facts were acknowledged. So when it begins again, or a second one does, it first
    repeats what is there. Hence the first copies of all ids stand in the log in growing order, and each copy after them is
    lower than or equal to the highest so far. And as an insert holds all of a stretch of the log, the facts in a table
    are always all up to the highest of them.
    """
    if landing is not Landing.FACT:
        known = {partition: (standing.through, standing.known(table).offsets) for partition, standing in standings.items()}
        return [each for each in items if _is_beyond(each.offset, *known[each.partition])]
    highest = {partition: max(standing.fact, standing.known(table).fact) for partition, standing in standings.items()}
    fresh = []
    for each in items:
        if each.fact > highest[each.partition]:
            highest[each.partition] = each.fact
            fresh.append(each)
    return fresh


def _is_beyond(offset: int, through: int, there: frozenset[int]) -> bool:
    return offset > through and offset not in there


def after(collected: Collected, landed_at: int, standings: Standings) -> dict[int, Standing]:
    """How far its partitions have landed when all tables hold what was collected."""
    return {
        partition: _advanced(standings[partition], through, collected.facts.get(partition, NO_FACT), landed_at)
        for partition, through in collected.through.items()
    }


def _advanced(standing: Standing, through: int, fact: FactId, landed_at: int) -> Standing:
    # `fact` is of the records, not of what the tables hold: one of them may hold more, if a crash came between two tables.
    through = max(standing.through, through)
    left = {
        table: Beyond(frozenset(offset for offset in beyond.offsets if offset > through), beyond.fact)
        for table, beyond in standing.beyond.items()
    }
    return Standing(through, max(standing.fact, fact), max(standing.landed_at, landed_at), left)


class BrokenRecordError(Exception):
    """A record of our own topics is not what it must be: nothing may be skipped, so the sink stops."""


def columns_of(ddl: TableDDL, items: Sequence[Landable], topic: str, landed_at: int) -> list[Sequence[Any]]:
    """The rows of these records as columns, in the table's order; a record's rows follow one another.

    Args:
        ddl: the table.
        items: not empty.
        topic: of all of them.
        landed_at: of all of them, milliseconds since 1970.

    Raises:
        BrokenRecordError: the per-row lists of a record differ in length.
    """
    own = _own_columns(ddl)
    if any(column.per_row for column in own):
        counts = [_rows_in(each, own) for each in items]
        values: list[Sequence[Any]] = [_spread(items, place, column, counts) for place, column in enumerate(own)]
        partitions = [each.partition for each, count in zip(items, counts, strict=True) for _ in range(count)]
        offsets = [each.offset for each, count in zip(items, counts, strict=True) for _ in range(count)]
        places = [place for count in counts for place in range(count)]
    else:
        values = list(zip(*(each.values for each in items), strict=True))
        partitions = [each.partition for each in items]
        offsets = [each.offset for each in items]
        places = [0] * len(items)
    landing: list[Sequence[Any]] = [
        [topic] * len(places),
        partitions,
        offsets,
        places,
        [landed_at] * len(places),
    ]  # in the order of LANDING_COLUMNS
    return [*map(_stored, own, values), *landing]


@cache
def _own_columns(ddl: TableDDL) -> tuple[Column, ...]:
    return ddl.columns[: -len(LANDING_COLUMNS)]


def _rows_in(item: Landable, own: Sequence[Column]) -> int:
    lengths = {len(value) for value, column in zip(item.values, own, strict=True) if column.per_row}
    if len(lengths) != 1:
        where = f"{item.partition}@{item.offset}"
        raise BrokenRecordError(f"the columns of the record at {where} differ in length: {sorted(lengths)}")
    return lengths.pop()


def _spread(items: Sequence[Landable], place: int, column: Column, counts: Sequence[int]) -> list[Any]:
    values: list[Any] = []
    for each, count in zip(items, counts, strict=True):
        values += each.values[place] if column.per_row else [each.values[place]] * count
    return values


def _stored(column: Column, values: Sequence[Any]) -> Sequence[Any]:
    if column.clickhouse_type.removeprefix("Nullable(").startswith("Decimal"):
        return [None if value is None else Decimal(value).scaleb(-6) for value in values]
    return values
