"""Random commands of tenants, and how they look in every encoding that a door reads."""

import json
from enum import StrEnum

from hypothesis import strategies as st

from schemas.market import INT64_MAX, MAX_MOMENT, TENANT_COMMANDS
from schemas.model import Event
from schemas.shape import shapes
from streams.codecs import encode

NAMES = st.text(st.characters(exclude_categories=("Cc", "Cs"), exclude_characters="\u2028\u2029"), min_size=1, max_size=16)
INT64 = st.integers(-INT64_MAX - 1, INT64_MAX)

WIDE = {
    "period": st.integers(0, INT64_MAX),
    "expire": st.integers(0, MAX_MOMENT),
    **dict.fromkeys(("price", "qty", "by", "tokens", "money", "for_tokens", "for_money"), INT64),
    "name": NAMES.map(lambda name: name.replace("/", "-")),
}
"""All values that a field of this name may have; of the other integers some small ones do."""

BY_TYPE = ((bool, st.booleans()), (int, st.integers(1, 60)), (str, NAMES))
SIGNING = {"key", "seq", "signature", "type"}


def values_of(model, name):
    """Valid values of a model's field."""
    shape = next(shape for shape in shapes(model) if shape.name == name)
    values = WIDE[name] if name in WIDE else _of_type(shape.base)
    if shape.listed:
        values = st.lists(values, max_size=3)
    return values | st.none() if shape.nullable else values


def _of_type(base):
    if issubclass(base, StrEnum):
        return st.sampled_from(base)
    if issubclass(base, Event):
        return st.fixed_dictionaries({name: values_of(base, name) for name in base.model_fields}).map(lambda fields: base(**fields))
    return next(values for kind, values in BY_TYPE if issubclass(base, kind))


def commands(models=TENANT_COMMANDS):
    """Valid commands, unsigned; fields that have a default are there or not."""
    return st.sampled_from(models).flatmap(
        lambda model: st.fixed_dictionaries(
            {name: values_of(model, name) for name, field in model.model_fields.items() if field.is_required()},
            optional={
                name: values_of(model, name)
                for name, field in model.model_fields.items()
                if not field.is_required() and name not in SIGNING
            },
        ).map(lambda fields: model(**fields))
    )


def numbered(command, seq=7):
    """With a number to be signed with."""
    return command.model_copy(update={"seq": seq})


def encodings(command):
    """(name, value, headers) of the command in each encoding; what stands in a CloudEvent's envelope is not in its data."""
    fields = command.model_dump(mode="json")
    bare = json.dumps(fields).encode()
    rest = {name: value for name, value in fields.items() if name not in {"id", "tenant"}}
    attributes = {"specversion": "1.0", "id": command.id, "source": "sdk", "subject": command.tenant}
    headers = [(f"ce_{name}", value.encode()) for name, value in attributes.items()]
    untyped = {name: value for name, value in rest.items() if name != "type"}
    yield "JSON", bare, []
    yield "JSON without what is null", command.model_dump_json(exclude_none=True).encode(), []
    said = command.model_dump(mode="json", exclude_defaults=True) | {"type": command.KIND}
    yield "JSON without defaults", json.dumps(said).encode(), []
    yield "Avro", encode(command), []
    yield "structured", json.dumps({**attributes, "type": f"io.bourse.{command.KIND}", "data": untyped}).encode(), []
    yield "binary", json.dumps(rest, ensure_ascii=False).encode(), headers
    yield "binary, Avro", encode(command), headers
