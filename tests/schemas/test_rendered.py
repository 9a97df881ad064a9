"""What is committed under schemas/rendered and schemas/history is what the models say, and what Avro's specification says."""

import io
import json

import pytest
from fastavro import parse_schema, schemaless_reader

from schemas.avro import avro_fingerprint, parsed, record, record_name
from schemas.catalogue import EVENTS
from schemas.evolution import history, registry
from schemas.facts import AllocationsClosed, Forecasts, PeriodClosed
from schemas.journal import UsageSums
from schemas.model import Event
from schemas.published import PUBLISHED, ProfileCommand, UsageEvent
from schemas.render import RENDERED, artefacts, new_history
from schemas.shape import shapes


def test_every_artefact_is_committed_as_it_renders() -> None:
    committed = {
        str(path.relative_to(RENDERED)): path.read_text(encoding="utf-8") for path in RENDERED.rglob("*.*") if path.is_file()
    }
    rendered = artefacts()
    assert set(committed) == set(rendered), "run `python -m schemas.render`"
    for name, text in rendered.items():
        assert committed[name] == text, f"{name} differs: run `python -m schemas.render`"


def test_the_current_version_of_every_type_is_in_the_history() -> None:
    assert new_history(history()) == {}


@pytest.mark.parametrize(
    ("schema", "expected"),
    # The first two are in Avro's own test data (Java's long, read as unsigned): 8247732601305521295, -8142146995180207161.
    [('"int"', 8247732601305521295), ('"string"', -8142146995180207161), ('"null"', 7195948357588979594)],
)
def test_the_fingerprint_is_that_of_the_specification(schema: str, expected: int) -> None:
    assert avro_fingerprint(json.loads(schema)) == expected.to_bytes(8, "little", signed=True)


def test_docs_and_units_do_not_change_the_fingerprint() -> None:
    schema = record(UsageEvent)
    bare = {"type": "record", "name": schema["name"], "fields": [{"name": f["name"], "type": f["type"]} for f in schema["fields"]]}
    assert avro_fingerprint(bare) == avro_fingerprint(schema)


@pytest.mark.parametrize("model", EVENTS.values(), ids=list(EVENTS))
def test_schemas_are_valid_and_name_every_field(model: type[Event]) -> None:
    schema = record(model)
    parse_schema(schema)
    assert schema["name"] == f"bourse.{record_name(model.KIND)}"
    assert [field["name"] for field in schema["fields"]] == list(model.model_fields)
    assert len(registry()) >= len(EVENTS)


def _field(model: type[Event], name: str) -> dict[str, object]:
    return next(field for field in record(model)["fields"] if field["name"] == name)


@pytest.mark.parametrize(
    ("model", "name", "expected"),
    [
        (UsageEvent, "time", {"type": "long", "unit": "milliseconds since 1970, UTC"}),
        (UsageEvent, "input_tokens", {"type": "long", "unit": "tokens"}),
        (UsageEvent, "cached_input_tokens", {"type": "long", "default": 0}),
        (ProfileCommand, "elasticity", {"type": "long", "unit": "millionths"}),
        (ProfileCommand, "weight", {"type": "long", "default": 1_000_000}),
        (ProfileCommand, "tier", {"type": "string", "default": "elastic"}),
        (ProfileCommand, "sla_ms", {"type": ["null", "long"], "default": None}),
        (UsageSums, "tenant", {"type": {"type": "array", "items": "string"}}),
        (Forecasts, "p50", {"type": {"type": "array", "items": ["null", "long"]}}),
        (PeriodClosed, "late_meters", {"type": {"type": "array", "items": "string"}}),
        (AllocationsClosed, "policy", {"type": "string"}),
    ],
)
def test_a_field_renders_by_its_type(model: type[Event], name: str, expected: dict[str, object]) -> None:
    field = _field(model, name)
    assert {key: field.get(key) for key in expected} == expected
    assert field.get("doc")


def test_an_avro_default_is_what_the_model_has() -> None:
    for model in EVENTS.values():
        for shape in shapes(model):
            field = _field(model, shape.name)
            if "default" in field and field["default"] is not None:
                assert field["default"] == shape.default


def test_an_external_writer_with_timestamps_in_milliseconds_is_resolved() -> None:
    writer = record(UsageEvent)
    writer["fields"][0]["type"] = {"type": "long", "logicalType": "timestamp-millis"}
    assert avro_fingerprint(writer) == avro_fingerprint(record(UsageEvent))
    assert schemaless_reader(io.BytesIO(b"\x02\x02s\x02i\x02t\x02p\x02\x02\x00\x00\x00\x00"), parsed(UsageEvent), None)["time"] == 1


def test_json_schemas_say_what_the_door_takes() -> None:
    for model in PUBLISHED:
        schema = json.loads((RENDERED / "json" / f"{model.KIND}.schema.json").read_text())
        assert "additionalProperties" not in schema
        assert set(schema["properties"]) == set(model.model_fields)
        assert set(schema["required"]) == {shape.name for shape in shapes(model) if model.model_fields[shape.name].is_required()}
    usage = json.loads((RENDERED / "json" / "usage.schema.json").read_text())
    assert usage["properties"]["time"]["anyOf"] == [{"type": "integer"}, {"type": "string", "format": "date-time"}]
    assert usage["properties"]["input_tokens"]["maximum"] == 2**53
