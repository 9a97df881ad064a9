"""What a tenant published and intake can't take, on its way to the engine, which tells the tenant so as a fact."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from schemas.market import TENANT_COMMANDS, TurnedAway
from schemas.trading import Reject
from schemas.units import MAX_NAME_BYTES, Name, Period
from streams.complaints import Refusal
from streams.signatures import Objection

_NAME: TypeAdapter[str] = TypeAdapter(Name)
_PERIOD: TypeAdapter[int] = TypeAdapter(Period)
_KINDS = frozenset(model.KIND for model in TENANT_COMMANDS)


def malformed(refusal: Refusal) -> Objection:
    """The door's refusal in the market's words."""
    # A header's name may stand in the place of a field's, and has any length.
    return Objection(Reject.MALFORMED, refusal.field[:MAX_NAME_BYTES], refusal.detail)


def turned_away(source: tuple[str, int], offset: int, fields: Mapping[str, Any], objection: Objection) -> TurnedAway:
    """The journal's record of it. Writing it again is harmless: it is known by where the message stood.

    Args:
        source: topic and partition of the message.
        offset: of the message.
        fields: what could be read of it, unchecked; the record takes what is as it must be.
        objection: why it is not taken.
    """
    command = fields.get("type")
    return TurnedAway(
        pool=_name(fields.get("pool")),
        tenant=_name(fields.get("tenant")),
        command=command if isinstance(command, str) and command in _KINDS else "",
        id=_name(fields.get("id")),
        period=_period(fields.get("period")),
        source_topic=source[0],
        source_partition=source[1],
        source_offset=offset,
        reason=objection.reason.value,
        field=objection.field,
        detail=objection.detail,
    )


def _name(value: object) -> str:
    try:
        return _NAME.validate_python(value)
    except ValidationError:
        return ""


def _period(value: object) -> int | None:
    try:
        return _PERIOD.validate_python(value)
    except ValidationError:
        return None
