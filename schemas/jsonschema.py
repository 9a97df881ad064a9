"""Renders the JSON schema of what may be published, for clients and documentation.

The schema describes the bare form of a message. Unknown fields are accepted at the door (and ignored), so that a backend may
send more than we read; the models themselves forbid them.
"""

from typing import Any

from schemas.model import Event
from schemas.shape import shapes

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def _open(schema: Any) -> None:
    if isinstance(schema, dict):
        schema.pop("additionalProperties", None)
        for each in schema.values():
            _open(each)


def json_schema(model: type[Event]) -> dict[str, Any]:
    """The schema of a published type; `x-unit` says what a number counts."""
    schema = model.model_json_schema(mode="validation")
    _open(schema)
    for shape in shapes(model):
        if shape.unit:
            schema["properties"][shape.name]["x-unit"] = shape.unit
    return {"$schema": DIALECT, **schema}
