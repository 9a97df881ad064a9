"""What was written stays readable: the rules of compatibility as a table, the whole history, and upcasting."""

import copy
import io
from typing import Any, ClassVar

import pytest
from fastavro import parse_schema, schemaless_writer
from fastavro.utils import generate_one

from schemas import ledgering
from schemas.avro import avro_fingerprint, record
from schemas.catalogue import EVENTS
from schemas.compatibility import incompatibilities
from schemas.evolution import Fields, WriterSchema, history, read_fields, registry, unreadable, writer_schemas
from schemas.ledgering import Code, Entry
from schemas.model import Event
from schemas.published import Policy
from schemas.units import Millis, Seconds, TenantId, Tokens
from streams.codecs import MAGIC, build, decode

OLD: dict[str, Any] = {
    "type": "record",
    "name": "bourse.Demo",
    "fields": [
        {"name": "tenant", "type": "string"},
        {"name": "tokens", "type": "long"},
        {"name": "note", "type": ["null", "string"], "default": None},
        {"name": "counts", "type": {"type": "array", "items": "long"}},
        {"name": "policy", "type": "string", "words": ["seed", "max_min"]},
        {
            "name": "budget",
            "type": ["null", {"type": "record", "name": "bourse.Money", "fields": [{"name": "amount", "type": "long"}]}],
            "default": None,
        },
    ],
}


def changed(**fields: Any) -> dict[str, Any]:
    """OLD with fields replaced, added (a dict), or taken away (None)."""
    held = {field["name"]: field for field in copy.deepcopy(OLD["fields"])}
    held |= {name: None if field is None else {"name": name} | field for name, field in fields.items()}
    return OLD | {"fields": [field for field in held.values() if field]}


MONEY: dict[str, Any] = copy.deepcopy(OLD["fields"][5]["type"][1])
MORE_MONEY = MONEY | {"fields": [*MONEY["fields"], {"name": "window_s", "type": "long"}]}
ENUM = {"type": "enum", "name": "E", "symbols": ["a", "b"]}

CHANGES: list[tuple[str, Any, Any, list[str]]] = [
    ("nothing", OLD, OLD, []),
    ("docs and order", OLD, OLD | {"doc": "x", "fields": list(reversed(OLD["fields"]))}, []),
    ("added with a default", OLD, changed(tier={"type": "string", "default": "elastic"}), []),
    ("added, may be null", OLD, changed(tier={"type": ["null", "string"], "default": None}), []),
    ("added without a default", OLD, changed(tier={"type": "string"}), ["tier: added without a default"]),
    ("added, null but no default", OLD, changed(tier={"type": ["null", "string"]}), ["tier: added without a default"]),
    ("removed", OLD, changed(tokens=None), ["tokens: removed"]),
    ("renamed", OLD, changed(tokens=None, used={"type": "long"}), ["used: added without a default", "tokens: removed"]),
    ("renamed with a default", OLD, changed(tokens=None, used={"type": "long", "default": 0}), ["tokens: removed"]),
    ("type changed", OLD, changed(tokens={"type": "string"}), ["tokens: type changed from long to string"]),
    ("narrowed", OLD, changed(tokens={"type": "int"}), ["tokens: type changed from long to int"]),
    ("widened", OLD, changed(tokens={"type": "double"}), []),
    ("text to bytes", OLD, changed(tenant={"type": "bytes"}), []),
    ("may be null now", OLD, changed(tokens={"type": ["null", "long"], "default": None}), []),
    ("may be null, wider", OLD, changed(tokens={"type": ["null", "double"], "default": None}), []),
    (
        "null or text now",
        OLD,
        changed(tokens={"type": ["null", "string"], "default": None}),
        ["tokens: long is none of ['null', 'string']"],
    ),
    ("must not be null now", OLD, changed(note={"type": "string"}), ["note: type changed from null to string"]),
    (
        "items changed",
        OLD,
        changed(counts={"type": {"type": "array", "items": "string"}}),
        ["counts[]: type changed from long to string"],
    ),
    ("items may be null", OLD, changed(counts={"type": {"type": "array", "items": ["null", "long"]}}), []),
    ("an array no more", OLD, changed(counts={"type": "long"}), ["counts: type changed from array to long"]),
    ("word removed", OLD, changed(policy={"type": "string", "words": ["seed"]}), ["policy: the word 'max_min' removed"]),
    ("word added", OLD, changed(policy={"type": "string", "words": ["seed", "max_min", "luck"]}), []),
    ("nested field", OLD, changed(budget={"type": ["null", MORE_MONEY]}), ["budget.window_s: added without a default"]),
    ("record renamed", OLD, OLD | {"name": "bourse.Other"}, ["record: name changed from bourse.Demo to bourse.Other"]),
    ("symbol removed", ENUM, ENUM | {"symbols": ["a"]}, [": the word 'b' removed"]),
    ("symbol removed, default", ENUM, ENUM | {"symbols": ["a"], "default": "a"}, []),
    ("fixed", {"type": "fixed", "name": "F", "size": 4}, {"type": "fixed", "name": "F", "size": 8}, [": size changed from 4 to 8"]),
    ("map", {"type": "map", "values": "long"}, {"type": "map", "values": "string"}, ["[]: type changed from long to string"]),
]


@pytest.mark.parametrize(("writer", "reader", "expected"), [case[1:] for case in CHANGES], ids=[case[0] for case in CHANGES])
def test_what_a_change_does_to_records_of_before(writer: Any, reader: Any, expected: list[str]) -> None:
    assert incompatibilities(writer, reader) == expected


def test_a_type_mentioned_by_name_is_compared_as_itself() -> None:
    again = {"name": "credit", "type": "bourse.Money"}
    twice = OLD | {"fields": [*OLD["fields"], again]}
    assert incompatibilities(twice, twice) == []
    assert incompatibilities(twice, twice | {"fields": [*OLD["fields"], {"name": "credit", "type": "long"}]}) == [
        "credit: type changed from record to long"
    ]


def test_every_schema_ever_written_can_be_read_whole() -> None:
    assert unreadable(EVENTS, history()) == []


@pytest.mark.parametrize(("kind", "version"), sorted(history()))
def test_a_record_of_every_version_is_read_into_the_model_of_today(kind: str, version: int) -> None:
    schema = history()[kind, version]
    written = next(each for each in registry().values() if each.kind == kind and (each.version == version or each.current))
    values = _with_words(schema, generate_one(schema))
    stream = io.BytesIO()
    schemaless_writer(stream, parse_schema(schema), values)
    stream.seek(0)
    event = build(written.model, read_fields(written, stream))
    assert set(event.__dict__) == set(EVENTS[kind].model_fields)


def _with_words(schema: Any, values: Any) -> Fields:
    return {field["name"]: _worded(field, values[field["name"]]) for field in schema["fields"]}


def _worded(field: Any, value: Any) -> Any:
    """The value, with words that its field has; those of records within it too."""
    if "words" in field:
        return [field["words"][0]] * len(value) if isinstance(value, list) else field["words"][0]
    nested = next((each for each in field["type"] if isinstance(each, dict)), None) if isinstance(field["type"], list) else None
    if nested is not None and "fields" in nested and value is not None:
        return _with_words(nested, value)
    listed = field["type"]["items"] if isinstance(field["type"], dict) and field["type"]["type"] == "array" else None
    if isinstance(listed, dict) and "fields" in listed:
        return [_with_words(listed, each) for each in value]
    return value


def test_postings_of_before_the_market_name_the_billed_accounts() -> None:
    schema = history()["postings", 1]
    values = {
        "pool": "p",
        "journal_offset": 5,
        "fact_index": 1,
        "period": 7,
        "kind": "allocation",
        "debit_account": ["tenant/tenant/a", "tenant/b"],
        "credit_account": ["operator"] * 2,
        "amount": [30, 40],
    }
    stream = io.BytesIO()
    schemaless_writer(stream, parse_schema(schema), values)
    found = decode(MAGIC + avro_fingerprint(schema) + stream.getvalue())
    assert found.__dict__ == {name: value for name, value in values.items() if name != "kind"} | {
        "entry": [Entry.POST] * 2,
        "code": [Code.ALLOCATION] * 2,
        "asset": [ledgering.MONEY] * 2,
        "hold": [""] * 2,
        "debit_account": ["billed/tenant/a", "billed/b"],
    }


def test_an_incompatible_change_of_a_real_type_is_found() -> None:
    past = history()
    old = copy.deepcopy(past["usage", 1])
    old["fields"].append({"name": "tokens", "type": "long"})
    assert unreadable(EVENTS, past | {("usage", 1): old}) == ["usage v1: tokens: removed"]


def test_a_kind_that_was_written_must_stay() -> None:
    with pytest.raises(ValueError, match="there is no event type 'demo'"):
        writer_schemas(EVENTS, {("demo", 1): OLD})


class Demo(Event):
    """Version 3: `wait` was seconds in 1, `wait_ms` since 2; `policy` came in 3 with a default."""

    KIND: ClassVar[str] = "demo"
    VERSION: ClassVar[int] = 3

    tenant: TenantId
    wait_ms: Millis
    policy: Policy = Policy.SEED
    limit: Tokens | None = None


class DemoV1(Event):
    """Version 1."""

    KIND: ClassVar[str] = "demo"

    tenant: TenantId
    wait: Seconds


class DemoV2(Event):
    """Version 2."""

    KIND: ClassVar[str] = "demo"
    VERSION: ClassVar[int] = 2

    tenant: TenantId
    wait_ms: Millis


def _from_seconds(fields: Fields) -> Fields:
    return {"tenant": fields["tenant"], "wait_ms": fields["wait"] * 1000}


DEMO_UPCASTERS = {("demo", 1): _from_seconds}
DEMO_PAST = {("demo", 1): record(DemoV1), ("demo", 2): record(DemoV2), ("demo", 3): record(Demo)}


@pytest.mark.parametrize(
    ("version", "values", "expected"),
    [
        (1, {"tenant": "a", "wait": 5}, {"wait_ms": 5000}),  # by the upcaster, then defaults
        (2, {"tenant": "a", "wait_ms": 7}, {"wait_ms": 7}),  # by Avro's resolution alone
        (3, {"tenant": "a", "wait_ms": 7, "policy": "max_min", "limit": 9}, {"wait_ms": 7, "policy": Policy.MAX_MIN, "limit": 9}),
    ],
)
def test_old_versions_are_upcast(version: int, values: Fields, expected: Fields) -> None:
    schemas = writer_schemas({"demo": Demo}, DEMO_PAST)
    assert len(schemas) == 3
    written: WriterSchema = next(each for each in schemas.values() if each.version == version)
    assert written.current == (version == 3)
    stream = io.BytesIO()
    schemaless_writer(stream, written.schema, values)
    stream.seek(0)
    event = build(Demo, read_fields(written, stream, DEMO_UPCASTERS))
    assert event == Demo(tenant="a", **expected)
    assert stream.tell() == len(stream.getvalue())


def test_an_upcaster_that_forgets_a_field_is_found() -> None:
    written = next(each for each in writer_schemas({"demo": Demo}, DEMO_PAST).values() if each.version == 1)
    stream = io.BytesIO()
    schemaless_writer(stream, written.schema, {"tenant": "a", "wait": 5})
    stream.seek(0)
    with pytest.raises(KeyError, match="wait_ms"):
        read_fields(written, stream, {("demo", 1): lambda fields: {"tenant": fields["tenant"]}})
