"""How event types change over the years without making a record of yesterday unreadable.

`history/<kind>.v<N>.avsc` keeps every schema that a release has ever written with. A record names its writer's schema by
fingerprint, so any of them can be read: Avro's own resolution brings it to today's fields where it can (a field added with a
default, a field taken away), an upcaster of `UPCASTERS` where it cannot.

To change a type: change the model, raise its VERSION, run `python -m schemas.render`, which adds the new history file. The
tests fail if what was written before could then no longer be read.
"""

import io
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from fastavro import parse_schema, schemaless_reader

from schemas.avro import avro_fingerprint, parsed, record
from schemas.catalogue import EVENTS
from schemas.compatibility import incompatibilities
from schemas.loops import Rebalancing, SlaLoop
from schemas.model import Event
from schemas.shape import REQUIRED, shapes

Fields = dict[str, Any]
Upcaster = Callable[[Fields], Fields]


def _before_the_market(fields: Fields) -> Fields:
    """Version 1 of the allocations: nobody had bought or sold."""
    nothing = [0] * len(fields["tenant"])
    return {**fields, "bought": nothing, "sold": nothing}


def _only_allocations(fields: Fields) -> Fields:
    """Version 1 of postings: nothing but money for what was allocated, billed to what was then called a tenant's account."""
    rows = len(fields["amount"])
    return {
        **fields,
        "entry": ["post"] * rows,
        "code": ["allocation"] * rows,
        "asset": [-1] * rows,
        "hold": [""] * rows,
        "debit_account": ["billed/" + account.removeprefix("tenant/") for account in fields["debit_account"]],
    }


def _before_the_loops(fields: Fields) -> Fields:
    """Version 3 of a pool: bases stayed as they were declared."""
    return {**fields, "sla": dict(SlaLoop(enabled=False)), "rebalance": dict(Rebalancing(enabled=False))}


UPCASTERS: Mapping[tuple[str, int], Upcaster] = {
    ("allocations_opened", 1): _before_the_market,
    ("allocations_closed", 1): _before_the_market,
    ("postings", 1): _only_allocations,
    ("pool", 3): _before_the_loops,
}
"""(kind, N) -> what turns the fields of version N into those of version N + 1, where Avro's resolution can't. Must be pure."""

_HISTORY_NAME = re.compile(r"(?P<kind>[a-z_]+)\.v(?P<version>[0-9]+)\.avsc")


@dataclass(frozen=True, slots=True)
class WriterSchema:
    """A schema that records were or are written with."""

    kind: str
    version: int
    fingerprint: bytes
    schema: Any
    """As fastavro parsed it."""
    model: type[Event]
    current: bool
    """Whether it is what the model of today writes."""


def history() -> dict[tuple[str, int], Any]:
    """(kind, version) -> Avro schema as JSON, of every release."""
    found: dict[tuple[str, int], Any] = {}
    folder = resources.files("schemas").joinpath("history")
    for file in folder.iterdir() if folder.is_dir() else ():
        name = _HISTORY_NAME.fullmatch(file.name)
        if name:
            found[name["kind"], int(name["version"])] = json.loads(file.read_text(encoding="utf-8"))
    return found


def writer_schemas(models: Mapping[str, type[Event]], past: Mapping[tuple[str, int], Any]) -> dict[bytes, WriterSchema]:
    """Fingerprint -> schema, of the models of today and of the past.

    Raises:
        ValueError: the history names a kind that no model has: its records could not be read.
    """
    found: dict[bytes, WriterSchema] = {}
    for (kind, version), schema in sorted(past.items(), key=lambda each: each[0]):
        if kind not in models:
            raise ValueError(f"history/{kind}.v{version}.avsc: there is no event type {kind!r}; a type that was written must stay")
        mark = avro_fingerprint(schema)
        found[mark] = WriterSchema(kind, version, mark, parse_schema(schema), models[kind], current=False)
    for kind, model in models.items():
        # The last word: a schema that differs from one of the past only in docs and defaults has its fingerprint.
        mark = avro_fingerprint(record(model))
        found[mark] = WriterSchema(kind, model.VERSION, mark, parsed(model), model, current=True)
    return found


@cache
def registry() -> Mapping[bytes, WriterSchema]:
    """Fingerprint -> schema, of everything that may stand in our topics."""
    return writer_schemas(EVENTS, history())


def conform(model: type[Event], fields: Fields) -> Fields:
    """Fields of whatever origin -> exactly those of the model: others dropped, missing ones by their default.

    Raises:
        KeyError: a field is missing that has no default.
    """
    made: Fields = {}
    for shape in shapes(model):
        value = fields.get(shape.name, REQUIRED)
        if value is REQUIRED:
            value = None if shape.nullable else shape.default
        if value is REQUIRED:
            raise KeyError(shape.name)
        made[shape.name] = value
    return made


def read_record(writer: Any, stream: io.BytesIO, reader: Any = None) -> Fields:
    """One record of the writer's schema, brought by Avro's resolution to the reader's, if one is given."""
    return schemaless_reader(stream, writer, reader)  # type: ignore[return-value]  # a record schema's value is a dict


def read_fields(written: WriterSchema, stream: io.BytesIO, upcasters: Mapping[tuple[str, int], Upcaster] = UPCASTERS) -> Fields:
    """Reads an Avro body from `stream` -> the fields of today's model, Decimal6 in millionths, enumerations as strings.

    Raises:
        Exception: whatever fastavro raises on bytes that its schema does not describe; KeyError where an upcaster left a field out.
    """
    if written.current:
        return read_record(written.schema, stream)
    steps = [upcasters.get((written.kind, version)) for version in range(written.version, written.model.VERSION)]
    if not any(steps):
        return read_record(written.schema, stream, parsed(written.model))
    fields = read_record(written.schema, stream)
    for step in steps:
        fields = step(fields) if step else fields
    return conform(written.model, fields)


def unreadable(models: Mapping[str, type[Event]], past: Mapping[tuple[str, int], Any]) -> list[str]:
    """What of the past the models of today would not read whole: a line for each field, naming kind and version.

    A version from which an upcaster leads is the upcaster's business: tests/schemas/test_evolution.py reads such records.
    """
    found: list[str] = []
    for (kind, version), schema in past.items():
        if any((kind, step) in UPCASTERS for step in range(version, models[kind].VERSION)):
            continue
        found += [f"{kind} v{version}: {fault}" for fault in incompatibilities(schema, record(models[kind]))]
    return found
