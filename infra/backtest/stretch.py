"""The stretch of a journal that a backtest measures, as a person names it: periods by number, or moments."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from schemas.units import Time
from streams.errors import BadInput

_NUMBER = re.compile(r"[0-9]{1,10}")
"""Of a period. Milliseconds since 1970 have more digits."""
_MOMENT: TypeAdapter[Any] = TypeAdapter(Time)


@dataclass(frozen=True, slots=True)
class Stretch:
    """Closed periods from one to another, both included; None: no bound. Moments are milliseconds since 1970.

    A period counts from a moment on if it starts at it or later, and up to a moment if it starts before it.
    """

    from_period: int | None = None
    to_period: int | None = None
    from_ms: int | None = None
    to_ms: int | None = None

    def begun(self, period: int, start_ms: int) -> bool:
        """Whether a period is not before the stretch."""
        return (self.from_period is None or period >= self.from_period) and (self.from_ms is None or start_ms >= self.from_ms)

    def over(self, period: int, start_ms: int) -> bool:
        """Whether a period is behind the stretch."""
        return (self.to_period is not None and period > self.to_period) or (self.to_ms is not None and start_ms >= self.to_ms)

    def __str__(self) -> str:
        named = {"from period": self.from_period, "from": self.from_ms, "to period": self.to_period, "before": self.to_ms}
        return " ".join(f"{word} {value}" for word, value in named.items() if value is not None)


EVERYTHING = Stretch()


def stretch_of(start: str | None, end: str | None) -> Stretch:
    """What `--from` and `--to` name: a period's number, or a moment (RFC 3339, or milliseconds since 1970).

    Raises:
        BadInput: one of them is neither, or the end comes before the start.
    """
    first, last = _named("--from", start), _named("--to", end)
    stretch = Stretch(first.get("period"), last.get("period"), first.get("ms"), last.get("ms"))
    for lower, upper in ((stretch.from_period, stretch.to_period), (stretch.from_ms, stretch.to_ms)):
        if lower is not None and upper is not None and upper < lower:
            raise BadInput(f"--to {end}: lies before --from {start}")
    return stretch


def _named(option: str, text: str | None) -> dict[str, int]:
    if text is None:
        return {}
    if _NUMBER.fullmatch(text):
        return {"period": int(text)}
    try:
        return {"ms": _MOMENT.validate_python(int(text) if text.isascii() and text.isdigit() else text)}
    except ValidationError as wrong:
        raise BadInput(
            f"{option} {text}: a period's number, or a moment such as 2026-01-31T12:00:00Z or milliseconds since 1970, is expected"
        ) from wrong
