"""Numbers as people read them: few digits, and always a unit."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

Format = Callable[[Any], str]

NONE = "–"
_SI = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def tokens(value: float | None) -> str:
    """1234567 -> `1.23 M`; below ten thousand all digits."""
    if value is None:
        return NONE
    if abs(value) < 10_000:
        return f"{value:,.0f}"
    size, letter = next((size, letter) for size, letter in _SI if abs(value) >= size * 0.9995)
    scaled = value / size
    return f"{scaled:,.{0 if abs(scaled) >= 99.95 else 1 if abs(scaled) >= 9.995 else 2}f} {letter}"


def credits_of(value: float | None) -> str:
    """Credits with four significant digits, at most nine decimals (a nanocredit)."""
    if value is None:
        return NONE
    if value == 0:
        return "0"
    return f"{value:,.2f}" if abs(value) >= 100 else f"{value:#.4g}" if abs(value) >= 1e-4 else f"{value:.9f}".rstrip("0")


def price(value: float | None) -> str:
    """1234567 -> `1,234,567`: a price is compared digit by digit."""
    return NONE if value is None else f"{value:,.0f}"


def clock_time(value: datetime | None) -> str:
    """The time of the day, to the second."""
    return NONE if value is None else f"{value:%H:%M:%S}"


def moment(value: datetime | None) -> str:
    """Day and time, to the minute."""
    return NONE if value is None else f"{value:%e %b %H:%M}".strip()


def percent(value: float | None) -> str:
    """0.8372 -> `84 %`."""
    return NONE if value is None else f"{100 * value:.0f} %"


def share(value: float | None) -> str:
    """0.83724 -> `83.7 %`."""
    return NONE if value is None else f"{100 * value:.1f} %"


def index(value: float | None) -> str:
    """0.98765 -> `0.988`."""
    return NONE if value is None else f"{value:.3f}"


def percentage(value: float | None) -> str:
    """83.72 -> `83.7 %`."""
    return NONE if value is None else f"{value:.1f} %"


def change(value: float | None) -> str:
    """-0.106 -> `-10.6 %`."""
    return NONE if value is None else f"{100 * value:+.1f} %"


def rate(value: float | None) -> str:
    """12.34 -> `12.3`; from a hundred on without decimals."""
    return NONE if value is None else f"{value:.1f}" if abs(value) < 99.95 else tokens(value)


def moved(value: int) -> str:
    """1234567 -> `+1.23 M`; nothing moved is `0`."""
    return f"+{tokens(value)}" if value > 0 else tokens(value)


def signed(value: float | None) -> str:
    """1.25 -> `+1.2`, -0.5 -> `-0.5`."""
    return NONE if value is None else "0" if abs(value) < 0.05 else f"{value:+.1f}"


def factor(value: float | None) -> str:
    """What a weight is multiplied by; 0: nothing was ever said of it."""
    return NONE if not value else f"{value:.2f}"


def limit(value: float | None) -> str:
    """Tokens; no limit is `none`."""
    return "none" if value is None else tokens(value)
