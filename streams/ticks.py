"""Clock ticks as they stand among other records: marked by a header, and believed only if the broker's clock bears them out."""

from __future__ import annotations

from collections.abc import Sequence

from schemas.dead_letters import Problem
from schemas.journal import ClockTick
from streams.codecs import UnreadableRecord, decode
from streams.complaints import Refusal

KIND_HEADER = "bourse-kind"
TICK_HEADER = (KIND_HEADER, b"tick")


def is_tick(headers: Sequence[tuple[str, bytes]]) -> bool:
    """Whether a record claims to be a tick."""
    return TICK_HEADER in headers


def read_tick(value: bytes | None, append_ms: int, tick_ms: int) -> ClockTick | Refusal:
    """A tick that may be believed. Anyone who may publish usage can also publish this, so nobody's word is taken for it.

    A tick of another length would be another count altogether: one of 1 ms is a thousand times the number of one of 1 s, and
    every real tick after it would be ignored as too low. One ahead of the broker's clock would end a period early.

    Args:
        value: of the record that claims to be a tick.
        append_ms: when the broker appended it.
        tick_ms: the length of this system's ticks.
    """
    try:
        tick = decode(value or b"")
    except UnreadableRecord as error:
        return Refusal(Problem.MALFORMED, f"tick: {error}")
    if not isinstance(tick, ClockTick):
        return Refusal(Problem.MALFORMED, f"tick: the record is a {tick.KIND}")
    if tick.tick_ms != tick_ms:
        return Refusal(Problem.INVALID, f"tick_ms: {tick.tick_ms} differs from this system's {tick_ms}")
    if tick.tick * tick_ms > append_ms:
        return Refusal(
            Problem.TIME_OUT_OF_RANGE, f"tick: {tick.tick} begins at {tick.tick * tick_ms}, after its append time {append_ms}"
        )
    return tick
