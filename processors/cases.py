"""What is wrong with a case that came through a door, in words: `tenants[0].base: must be at least 0, got -5`."""

import json
from collections.abc import Collection

from pydantic import ValidationError
from pydantic_core import ErrorDetails


def first_fault(error: ValidationError, tags: Collection[str] = ()) -> tuple[str, str]:
    """Field and reason of the first thing that is wrong, and how many more are.

    Args:
        error: what pydantic found.
        tags: values by which a list's items are told apart, which pydantic writes into the path; they are no fields.
    """
    details = error.errors(include_url=False, include_context=True)
    first = details[0]
    more = f" (and {len(details) - 1} more)" if len(details) > 1 else ""
    return _field_path(first["loc"], tags), _reason(first) + more


def _field_path(location: tuple[int | str, ...], tags: Collection[str]) -> str:
    path = ""
    for before, part in zip((None, *location), location, strict=False):
        if isinstance(part, int):
            path += f"[{part}]"
        elif not (isinstance(before, int) and part in tags):
            path += f".{part}"
    return path.removeprefix(".") or "line"


def _reason(detail: ErrorDetails) -> str:
    template = _REASONS.get(detail["type"], "{message}, got {got}")
    return template.format(got=_shortened(detail["input"]), message=detail["msg"], **detail.get("ctx", {}))


# pydantic's error types in the words of this project; what is not listed keeps pydantic's own message.
_REASONS = {
    "json_invalid": "not JSON: {error}",
    "missing": "is missing",
    "extra_forbidden": "no such field",
    "int_type": "must be an integer, got {got}",
    "int_from_float": "must be an integer, got {got}",
    "bool_type": "must be true or false, got {got}",
    "enum": "must be {expected}, got {got}",
    "greater_than_equal": "must be at least {ge}, got {got}",
    "less_than_equal": "must be at most {le}, got {got}",
    "string_type": "must be a string, got {got}",
    "string_too_short": "must not be empty",
    "list_type": "must be a list, got {got}",
    "dict_type": "must be an object, got {got}",
    "model_type": "must be an object, got {got}",
    "model_attributes_type": "must be an object, got {got}",
    "union_tag_not_found": "{discriminator} is missing",
    "union_tag_invalid": "{discriminator} must be one of {expected_tags}, got '{tag}'",
}


def _shortened(value: object) -> str:
    text = json.dumps(value, default=repr)
    return text if len(text) <= 60 else f"{text[:57]}..."
