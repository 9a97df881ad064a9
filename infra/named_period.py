"""Periods as a person names them."""

from __future__ import annotations

import re

import httpx

from streams.errors import BadInput
from streams.settings import Settings
from streams.tenant_state import present_period

_NAMED = re.compile(r"(?P<now>now)|(?P<ahead>\+)?(?P<number>[0-9]{1,18})")


async def named_period(settings: Settings, pool: str, text: str) -> int:
    """The number of a period that is named by it, as `now`, or as `+N`: the Nth after the present one.

    Raises:
        BadInput: it names none, or there is no such pool.
        Unavailable: the engine, which knows the present one, does not answer.
    """
    found = _NAMED.fullmatch(text)
    if found is None:
        raise BadInput(f"period {text!r}: its number, `now`, or `+N` is expected")
    if found["number"] and not found["ahead"]:
        return int(text)
    async with httpx.AsyncClient() as web:
        return await present_period(web, settings, pool) + int(found["number"] or 0)
