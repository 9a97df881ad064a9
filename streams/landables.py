"""Records of the topics that land → what of them becomes rows. One reader for each kind of topic; a reader keeps nothing.

Inputs were published by anyone, so they pass the same door as in the meter, and the same events count there and land here. All
other topics are our own and trusted: what can't be read there was written by a newer release or is damaged. It is neither
skipped (it would be lost) nor retried (it would not change): the sink stops and says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any, NoReturn

from schemas.clickhouse import JOURNAL, tables
from schemas.dead_letters import DeadLetter
from schemas.evolution import registry
from schemas.fact import Fact
from schemas.model import Event
from schemas.shape import shapes
from streams.codecs import HEADER_BYTES, MAGIC, UnreadableRecord, decode
from streams.dead_letters import Record
from streams.door import OBSERVED, Door, ObservedKind
from streams.landing import BrokenRecordError, Collected, Landable, values_getter
from streams.partitioning import home_partition
from streams.roles.meter_partition import FORWARDED_HEADER
from streams.ticks import is_tick

Reader = Callable[[Collected, int, Iterable[Record]], None]
"""Adds records of one partition, in the order of the log, to what is collected."""


def read_inputs(door: Door, kind: ObservedKind, partitions: int) -> Reader:
    """For what backends and gateways observe: one row for each event that the door takes.

    An event that stands in another partition than its tenant's is left to the copy which the meter sends there. (The copy
    lands wherever it stands: if the number of partitions has changed since, it is not sent on.) What the door refuses
    becomes a dead letter, by the meter, and lands as such. Ticks are no events.
    """
    model = OBSERVED[kind]
    table, values = _table_of(model)

    def read(collected: Collected, partition: int, records: Iterable[Record]) -> None:
        items = collected.of(table)
        before = len(items)
        for record in records:
            headers, key = record.headers, record.key
            if headers and is_tick(headers):
                continue
            event = door.read(kind, record.value, headers, key, record.timestamp)
            if not isinstance(event, model):
                continue
            # The door takes only a key that is the tenant's, or none: hashing it saves encoding the tenant.
            at_home = home_partition(key or event.tenant.encode(), partitions) == partition
            if at_home or any(name == FORWARDED_HEADER for name, _ in headers):
                items.append(Landable(partition, record.offset, values(event.__dict__)))
        collected.rows += len(items) - before

    return read


def read_facts(topic: str) -> Reader:
    """For `facts`: the rows of a fact's table. Facts without a table are not even decoded: among them are the bulkiest."""

    def read(collected: Collected, partition: int, records: Iterable[Record]) -> None:
        for record in records:
            if _has_table(record.value):
                event = _decoded(topic, partition, record)
                if not isinstance(event, Fact):
                    _stop(topic, partition, record, f"a {event.KIND} is no fact")
                table, values = _table_of(type(event))
                fact = (event.journal_offset, event.fact_index)
                collected.add(table, Landable(partition, record.offset, values(event.__dict__), fact), _rows_of(event))

    return read


def read_dead_letters(topic: str) -> Reader:
    """For `dead-letters`: a row for each."""
    table, values = _table_of(DeadLetter)

    def read(collected: Collected, partition: int, records: Iterable[Record]) -> None:
        for record in records:
            event = _decoded(topic, partition, record)
            if not isinstance(event, DeadLetter):
                _stop(topic, partition, record, f"a {event.KIND} is no dead letter")
            collected.add(table, Landable(partition, record.offset, values(event.__dict__)), 1)

    return read


def read_journal(topic: str) -> Reader:
    """For `journal`: a row for each record, as JSON."""

    def read(collected: Collected, partition: int, records: Iterable[Record]) -> None:
        for record in records:
            event = _decoded(topic, partition, record)
            values = (getattr(event, "pool", ""), event.KIND, event.model_dump_json(), record.timestamp)  # of JOURNAL_COLUMNS
            collected.add(JOURNAL.name, Landable(partition, record.offset, values), 1)

    return read


@cache
def _table_of(model: type[Event]) -> tuple[str, Callable[[Mapping[str, Any]], tuple[Any, ...]]]:
    """The name of a model's table, and what makes the values for it of an event's fields."""
    ddl = next(ddl for ddl in tables("") if ddl.model is model)
    return ddl.name, values_getter(ddl)


def _has_table(value: bytes | None) -> bool:
    """False only if it is certain: what can't be told is left to `decode`."""
    written = registry().get(value[len(MAGIC) : HEADER_BYTES]) if value else None
    return written is None or written.model.TABLE is not None


def _rows_of(event: Event) -> int:
    name = _per_row(type(event))
    return len(getattr(event, name)) if name else 1


@cache
def _per_row(model: type[Event]) -> str:
    """A field that has an item for each row; empty: the event is one row."""
    return next((shape.name for shape in shapes(model) if shape.per_row), "")


def _decoded(topic: str, partition: int, record: Record) -> Event:
    try:
        return decode(record.value or b"")
    except UnreadableRecord as error:
        _stop(topic, partition, record, str(error))


def _stop(topic: str, partition: int, record: Record, why: str) -> NoReturn:
    hint = "Nothing behind it lands before it does; if a newer release wrote it, run that one"
    raise BrokenRecordError(f"{topic}/{partition}@{record.offset}: {why}. {hint}")
