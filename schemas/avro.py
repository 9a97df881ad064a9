"""Renders an event's Avro record schema.

Numbers are plain longs with a `unit` property. Times are not `timestamp-millis`: fastavro would build a datetime for each, at
several times the cost of the long that everything here computes with. Enumerations are strings: a reader of today can then
read the words of tomorrow, where an Avro enum would fail on the whole record.
"""

import copy
from enum import StrEnum
from functools import cache
from typing import Any

from fastavro.schema import fingerprint, parse_schema, to_parsing_canonical_form

from schemas.model import Event
from schemas.shape import REQUIRED, Shape, shapes

NAMESPACE = "bourse"
FINGERPRINT_BYTES = 8
_PRIMITIVES: dict[type, str] = {bool: "boolean", int: "long", bytes: "bytes", str: "string"}


def record_name(kind: str) -> str:
    """`usage_sums` -> `UsageSums`."""
    return "".join(part.capitalize() for part in kind.split("_"))


def _type_of(base: type) -> Any:
    if issubclass(base, Event):
        return record(base)
    return next(avro for python, avro in _PRIMITIVES.items() if issubclass(base, python))


def _default_of(shape: Shape) -> Any:
    value = shape.default
    if isinstance(value, Event):
        raise TypeError(f"{shape.name}: an Avro default of a nested record is not needed yet")
    if isinstance(value, StrEnum):
        return value.value
    return list(value) if isinstance(value, (list, tuple)) else value


def _field(shape: Shape) -> dict[str, Any]:
    avro = _type_of(shape.base)
    if shape.listed:
        avro = {"type": "array", "items": ["null", avro] if shape.item_nullable else avro}
    field: dict[str, Any] = {"name": shape.name, "type": avro}
    if shape.nullable:
        # Null stands first, so that null may be the default: a field that may be absent can always be added.
        field |= {"type": ["null", avro], "default": None}
    if shape.default is not REQUIRED and shape.default is not None:
        if shape.nullable:
            raise TypeError(f"{shape.name}: a field that may be null has null as its default")
        field["default"] = _default_of(shape)
    if issubclass(shape.base, StrEnum):
        field["words"] = [word.value for word in shape.base]
    if shape.raw_unit:
        field["unit"] = shape.raw_unit
    doc = shape.description or shape.raw_unit
    if doc:
        field["doc"] = doc
    return field


def record(model: type[Event]) -> dict[str, Any]:
    """The model's record schema as Avro's JSON."""
    doc = " ".join((model.__doc__ or "").split())
    return {
        "type": "record",
        "name": f"{NAMESPACE}.{record_name(model.KIND)}",
        "doc": doc,
        "fields": [_field(shape) for shape in shapes(model)],
    }


@cache
def parsed(model: type[Event]) -> Any:
    """The model's schema as fastavro reads and writes with it. Shared: never change it."""
    return parse_schema(record(model))


def avro_fingerprint(schema: Any) -> bytes:
    """CRC-64-AVRO of the schema's parsing canonical form, 8 bytes little-endian as single-object encoding has it."""
    # `fingerprint` gives the number's bytes in the order of single-object encoding already: the test of
    # tests/schemas/test_avro.py holds it against a value of the specification.
    return bytes.fromhex(fingerprint(to_parsing_canonical_form(copy.deepcopy(schema)), "CRC-64-AVRO"))


__all__ = ["FINGERPRINT_BYTES", "NAMESPACE", "avro_fingerprint", "parsed", "record", "record_name"]
