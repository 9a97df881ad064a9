"""The words and units in which events are stated: each is an annotated type that renders to Avro, ClickHouse and JSON schema.

A field's annotation carries three things: pydantic's bounds (what the door refuses), a `Unit` (the ClickHouse column's comment and
the Avro field's doc) and, where the default mapping of the Python type is not the best, a `Store` (ClickHouse type and codec).
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    Strict,
    StringConstraints,
    ValidationInfo,
    WithJsonSchema,
)

MAX_TOKENS = 2**53
"""Largest count a door accepts: above it JSON numbers of common clients are no longer exact."""

MAX_NAME_BYTES = 128
"""Longest tenant, pool, source or id, in UTF-8 bytes: 100,000 names of this length still fit a 16 MB snapshot."""

MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Unit:
    """What one unit of a number is; becomes the column's comment and the Avro field's `unit`."""

    name: str
    raw: str = ""
    """The unit of the integer itself, where the column shows another: Avro carries the integer."""


@dataclass(frozen=True, slots=True)
class Store:
    """How ClickHouse keeps a field: its type and, where the default (ZSTD) is not best, its codec."""

    clickhouse: str
    codec: str = ""


@dataclass(frozen=True, slots=True)
class PerRow:
    """Marks a list field that holds one value for each row of the event's table (all such lists are equally long)."""


_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def _is_name(value: str) -> str:
    """Refuses what is no name; each message is what the value does wrong, without the value."""
    # Nearly all names are printable ASCII: these tests cost 0.1 µs, the thorough ones below 1 µs, four times an event.
    if value.isascii() and value.isprintable() and 0 < len(value) <= MAX_NAME_BYTES:
        return value
    if not value:
        raise ValueError("is empty")
    size = len(value.encode("utf-8", "surrogatepass"))
    if size > MAX_NAME_BYTES:
        raise ValueError(f"is {size} bytes long, at most {MAX_NAME_BYTES} are allowed")
    found = _FORBIDDEN.search(value)
    if found:
        raise ValueError(f"holds the control character U+{ord(found.group()):04X}")
    return value


AVRO = "avro"
"""Validation context of a record read from Avro, where a Decimal6 is already a count of millionths."""


_DECIMAL = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,9})?")

_MOST_DECIMAL = Decimal(MAX_TOKENS).scaleb(-6)

_EXACT = Context(prec=4_400)
"""Digits enough for any number that a JSON message may hold, so that a seventh place is seen and never rounded away."""


def _to_millionths(value: Any, info: ValidationInfo) -> int:
    """A decimal with at most six places, as a count of millionths; JSON numbers are taken by their shortest text."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str, Decimal)):
        raise ValueError("is not a decimal number")  # noqa: TRY004  pydantic turns only ValueError into a refusal
    if info.context == AVRO and isinstance(value, int):
        value = Decimal(value).scaleb(-6)
    if isinstance(value, str) and not _DECIMAL.fullmatch(value):
        raise ValueError("is not a decimal number")
    exact = Decimal(str(value))
    if not exact.is_finite():
        raise ValueError("is not a finite number")
    if exact < 0:
        raise ValueError("is less than 0")
    if exact > _MOST_DECIMAL:  # before scaling: 1e999999 would be an integer of a million digits
        raise ValueError(f"is more than {_MOST_DECIMAL}")
    millionths = _EXACT.multiply(exact, MILLION)
    if millionths != millionths.to_integral_value() or (not millionths and exact):  # the latter: 1e-999999999 underflows
        raise ValueError("has more than six decimal places")
    return int(millionths)


def _is_part(value: int) -> int:
    if value > MILLION:
        raise ValueError("is more than 1")
    return value


def _from_millionths(value: int) -> str:
    return format(Decimal(value).scaleb(-6).normalize(), "f")


_RFC3339 = re.compile(
    r"(?P<day>\d{4}-\d{2}-\d{2})[Tt ](?P<minute>\d{2}:\d{2}):(?P<second>\d{2})(?P<fraction>\.\d+)?(?P<offset>[Zz]|[+-]\d{2}:\d{2})",
    re.ASCII,
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_NOT_A_TIME = "is neither an RFC 3339 time with an offset, such as 2026-01-31T12:00:00Z, nor whole milliseconds since 1970"


def _to_epoch_ms(value: Any) -> int:
    """RFC 3339 text, milliseconds since 1970, or a datetime with an offset (Avro's logical types) -> milliseconds, floored."""
    if type(value) is int:
        return value
    if isinstance(value, datetime) and value.tzinfo is not None:
        return (value - _EPOCH) // _MILLISECOND
    found = _RFC3339.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(_NOT_A_TIME)
    # A leap second is the first of the next minute: the scale of milliseconds since 1970 has no place of its own for it.
    leap = found["second"] == "60"
    fraction = ((found["fraction"] or "")[1:4]).ljust(3, "0")
    text = f"{found['day']}T{found['minute']}:{'59' if leap else found['second']}{found['offset'].upper()}"
    try:
        whole = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"is no time: {error}") from error
    return (whole - _EPOCH) // _MILLISECOND + int(fraction) + (1000 if leap else 0)


_TIME_JSON = {"anyOf": [{"type": "integer"}, {"type": "string", "format": "date-time"}]}

Name = Annotated[str, Strict(), AfterValidator(_is_name), WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 128})]
"""Text that identifies: 1 to 128 bytes of UTF-8 without control characters."""

TenantId = Annotated[Name, Unit("id of the tenant"), Store("String")]
PoolId = Annotated[Name, Unit("id of the pool: one model deployment"), Store("LowCardinality(String)")]
EventId = Annotated[Name, Unit("id, unique within its source"), Store("String")]
Source = Annotated[Name, Unit("who published the event"), Store("LowCardinality(String)")]
Text = Annotated[str, StringConstraints(max_length=4096), Unit("text"), Store("String")]
Label = Annotated[str, Unit("one of a few words"), Store("LowCardinality(String)")]

Count = Annotated[int, Field(ge=0, le=2**63 - 1, strict=True)]
Tokens = Annotated[int, Field(ge=0, le=MAX_TOKENS, strict=True), Unit("tokens"), Store("Int64", "T64, ZSTD(1)")]
TokenSum = Annotated[Count, Unit("tokens"), Store("Int64", "T64, ZSTD(1)")]
Money = Annotated[Count, Unit("nanocredits"), Store("Int64", "T64, ZSTD(1)")]
Price = Annotated[int, Field(ge=0, le=MAX_TOKENS, strict=True), Unit("nanocredits per token"), Store("Int64", "T64, ZSTD(1)")]
Millis = Annotated[int, Field(ge=0, le=MAX_TOKENS, strict=True), Unit("milliseconds"), Store("Int64", "T64, ZSTD(1)")]
Seconds = Annotated[int, Field(ge=1, le=366 * 86_400, strict=True), Unit("seconds"), Store("Int64")]
Time = Annotated[
    int,
    BeforeValidator(_to_epoch_ms),
    WithJsonSchema(_TIME_JSON, mode="validation"),
    Unit("milliseconds since 1970, UTC"),
    Store("DateTime64(3, 'UTC')", "DoubleDelta, ZSTD(1)"),
]
"""A moment: RFC 3339 text or an integer at the door, an integer in Python and in Avro."""
Tick = Annotated[Count, Unit("ticks since 1970"), Store("Int64", "DoubleDelta, ZSTD(1)")]
Period = Annotated[Count, Unit("periods since 1970"), Store("Int64", "DoubleDelta, ZSTD(1)")]
Offset = Annotated[Count, Unit("offset in the topic's partition"), Store("Int64", "DoubleDelta, ZSTD(1)")]
Partition = Annotated[int, Field(ge=0, le=2**31 - 1, strict=True), Unit("partition number"), Store("Int32", "T64, ZSTD(1)")]
Number = Annotated[Count, Unit("count"), Store("Int64", "T64, ZSTD(1)")]
Millionths = Annotated[Count, Unit("millionths"), Store("Int64", "T64, ZSTD(1)")]
"""A decimal inside the system: 2.5 is 2,500,000 (spec/allocation.md)."""

_DECIMAL6_JSON = {"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": r"^\d+(\.\d{1,6})?$"}]}

Decimal6 = Annotated[
    int,
    BeforeValidator(_to_millionths),
    PlainSerializer(_from_millionths, return_type=str, when_used="json"),
    WithJsonSchema(
        {"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": r"^\d+(\.\d{1,6})?$"}]}, "validation"
    ),
    Unit("decimal with six places", raw="millionths"),
    Store("Decimal(18, 6)"),
]
"""A published decimal: `2.5` or `"2.5"` at the door, a count of millionths in Python and in Avro, Decimal(18, 6) in ClickHouse."""

_PART_JSON = {
    "anyOf": [{"type": "number", "minimum": 0, "maximum": 1}, {"type": "string", "pattern": r"^(0(\.\d{1,6})?|1(\.0{1,6})?)$"}]
}

Part6 = Annotated[Decimal6, AfterValidator(_is_part), WithJsonSchema(_PART_JSON, mode="validation")]
"""A Decimal6 from 0 to 1."""
