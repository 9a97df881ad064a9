"""Events from what a caller wrote: validated, or refused in words that name the field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from schemas.model import Event
from streams.errors import BadInput

Built = TypeVar("Built", bound=Event)


class InvalidEvent(BadInput, ValueError):  # noqa: N818  named for the event, as BadInput is
    """An event that no door would take; the message names field and value. Nothing was sent."""


def validated(model: type[Built], fields: Mapping[str, Any]) -> Built:
    """The event of these fields.

    Raises:
        InvalidEvent: a field is missing or wrong.
    """
    try:
        return model.model_validate(fields)
    except ValidationError as invalid:
        wrong = "; ".join(
            f"{'.'.join(map(str, error['loc'])) or model.KIND}: {error['msg']} (got {error['input']!r:.100})"
            for error in invalid.errors(include_url=False)
        )
        raise InvalidEvent(wrong) from invalid
