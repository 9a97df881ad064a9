"""Records inside the system: an event and its bytes, in Avro's single-object encoding.

    C3 01 | CRC-64-AVRO of the writer's schema, 8 bytes little-endian | Avro body

What stands in our own topics was validated when it was written, so it is not validated again: reading builds the model straight
from the decoded fields. Cost, one core: a usage event 7 µs to read; a chunk of 2,000 tenants about 0.3 ms for each column to
read, 0.1 ms to write, so the facts of a period of 100,000 tenants (50 chunks of each of four facts) 0.2 s to write.
"""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from itertools import groupby
from typing import Any

from fastavro import parse_schema, schemaless_writer

from schemas.avro import FINGERPRINT_BYTES, avro_fingerprint, parsed, record
from schemas.evolution import Fields, WriterSchema, read_fields, registry
from schemas.model import Event
from schemas.shape import Shape, shapes
from streams import columns

MAGIC = b"\xc3\x01"
HEADER_BYTES = len(MAGIC) + FINGERPRINT_BYTES


class UnreadableRecord(Exception):  # noqa: N818  says what the record is; the reader decides whether that is an error
    """Bytes in one of our own topics are no event that we know: the topic was written by something else, or by a newer release."""


Writer = Callable[[Any], bytes]
"""A column -> its Avro array."""

MANY = 32
"""Rows from which columns are written by themselves (streams/columns.py): for fewer, one call for the whole record is faster."""


@dataclass(frozen=True, slots=True)
class _Form:
    """What a model needs besides its fields as they are."""

    header: bytes
    names: set[str]
    schema: Any
    first_column: str
    """Its length tells how many rows an event has; "" of a model without columns."""
    columns: tuple[str, ...]
    parts: tuple[tuple[Any, Writer | None, str], ...]
    """The record in pieces, written one after the other: (schema, None, "") of the next fields, or (None, writer, column)."""
    nested: tuple[tuple[str, type[Event]], ...]
    words: tuple[tuple[str, type[StrEnum]], ...]


@cache
def _form(model: type[Event]) -> _Form:
    held = shapes(model)
    writers = {shape.name: writer for shape in held if (writer := _column_writer(shape)) is not None}
    return _Form(
        header=MAGIC + avro_fingerprint(parsed(model)),
        schema=parsed(model),
        first_column=next(iter(writers), ""),
        columns=tuple(writers),
        parts=tuple(_parts(model, writers)),
        names={shape.name for shape in held},
        nested=tuple((shape.name, shape.base) for shape in held if issubclass(shape.base, Event)),
        words=tuple((shape.name, shape.base) for shape in held if issubclass(shape.base, StrEnum)),
    )


def _column_writer(shape: Shape) -> Writer | None:
    """What writes a field of many longs or texts; None: it is none."""
    if not shape.listed or shape.nullable:
        return None
    if shape.base is int:
        return columns.optional_longs if shape.item_nullable else columns.longs
    return columns.texts if issubclass(shape.base, str) and not shape.item_nullable else None


def _parts(model: type[Event], writers: dict[str, Writer]) -> Iterator[tuple[Any, Writer | None, str]]:
    """The model's record, cut before and after each column."""
    for is_column, group in groupby(record(model)["fields"], lambda field: field["name"] in writers):
        held = list(group)
        if is_column:
            yield from ((None, writers[field["name"]], field["name"]) for field in held)
        else:
            yield parse_schema({"type": "record", "name": f"Part{held[0]['name']}", "fields": held}), None, ""


def encode(event: Event) -> bytes:
    """An event -> its record's value.

    Raises:
        Exception: whatever fastavro or `struct` raises where a field was built, unvalidated, of a wrong type.
    """
    form = _form(type(event))
    fields = event.__dict__
    if form.nested:
        fields = fields | {name: _plain(fields[name]) for name, _ in form.nested}
    stream = io.BytesIO()
    stream.write(form.header)
    if not form.first_column or len(fields[form.first_column]) < MANY:
        schemaless_writer(stream, form.schema, _listed(fields, form.columns))
        return stream.getvalue()
    for schema, writer, column in form.parts:
        if writer is not None:
            stream.write(writer(fields[column]))
        else:
            schemaless_writer(stream, schema, fields)
    return stream.getvalue()


def _listed(fields: Fields, names: tuple[str, ...]) -> Fields:
    """With columns that are lists and no kind of them (processors/told.py), which fastavro does not take."""
    told = {name: list(column) for name in names if type(column := fields[name]) is not list}
    return fields | told if told else fields


def _plain(value: Event | list[Event] | None) -> Any:
    if isinstance(value, list):
        return [each.__dict__ for each in value]
    return None if value is None else value.__dict__


def decode(data: bytes) -> Event:
    """A record's value -> the event, of whatever version it was written in.

    Raises:
        UnreadableRecord: no event of ours; the message names the fingerprint or what was wrong with the body.
    """
    if data[:2] != MAGIC or len(data) < HEADER_BYTES:
        raise UnreadableRecord(f"not in single-object encoding: {data[:HEADER_BYTES].hex()} ({len(data)} bytes)")
    written = registry().get(data[2:HEADER_BYTES])
    if written is None:
        raise UnreadableRecord(f"unknown schema fingerprint {data[2:HEADER_BYTES].hex()}")
    return build(written.model, read_body(written, data, HEADER_BYTES))


def read_body(written: WriterSchema, data: bytes, start: int) -> Fields:
    """The Avro body of `data` from `start` to its end -> the fields of today's model.

    Raises:
        UnreadableRecord: truncated, too long or otherwise not what its schema says.
    """
    return read_all(lambda stream: read_fields(written, stream), data, start)


def read_all(read: Callable[[io.BytesIO], Fields], data: bytes, start: int) -> Fields:
    """Reads all of `data` from `start` on with `read`.

    Raises:
        UnreadableRecord: `read` failed, or left bytes over.
    """
    stream = io.BytesIO(data)
    stream.seek(start)
    try:
        fields = read(stream)
    except Exception as error:  # fastavro lets escape what the bytes lead it into: EOFError, IndexError, struct.error, …
        raise UnreadableRecord(f"Avro: {str(error) or type(error).__name__}") from error
    if stream.tell() != len(data):
        raise UnreadableRecord(f"Avro: {len(data) - stream.tell()} bytes left over")
    return fields


def build(model: type[Event], fields: Fields) -> Event:
    """Builds a model from fields that are known to be good, without validating them. `fields` becomes the model's own.

    pydantic's `model_construct` does the same at several times the cost: it looks up aliases and defaults field by field.

    Raises:
        UnreadableRecord: an enumeration's word that this release does not know.
    """
    form = _form(model)
    for name, words in form.words:
        try:
            fields[name] = _words(words, fields[name])
        except ValueError as error:
            raise UnreadableRecord(f"{name}: {error}") from error
    for name, inner in form.nested:
        fields[name] = _nested(inner, fields[name])
    event = model.__new__(model)
    object.__setattr__(event, "__dict__", fields)
    object.__setattr__(event, "__pydantic_fields_set__", form.names.copy())  # model_copy adds to it
    object.__setattr__(event, "__pydantic_extra__", None)
    object.__setattr__(event, "__pydantic_private__", None)
    return event


def _words(words: type[StrEnum], value: Any) -> Any:
    if isinstance(value, list):
        return [words(each) for each in value]
    return None if value is None else words(value)


def _nested(inner: type[Event], value: Any) -> Any:
    if isinstance(value, list):
        return [build(inner, each) for each in value]
    return None if value is None else build(inner, value)
