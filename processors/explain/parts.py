"""Parts of a page, and how its numbers are written."""

from dataclasses import dataclass
from decimal import Decimal

from processors.allocation.exact import INT64_MAX


@dataclass(frozen=True, slots=True)
class Facts:
    """Rows of name, value and remark."""

    rows: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class Line:
    """A sentence. `tone` is "" (plain), "strong" (what came of it) or "warning"."""

    text: str
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Grid:
    """A table; columns whose place is in `numbers` are numbers."""

    heading: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: tuple[int, ...] = ()


Part = Facts | Line | Grid


@dataclass(frozen=True, slots=True)
class Section:
    """A step of the page."""

    title: str
    parts: tuple[Part, ...]


def tokens(value: int | None) -> str:
    """Of None: without limit."""
    return "without limit" if value is None else f"{value:,} tokens"


def price_text(nanocredits: int) -> str:
    """A price per token; 2^63-1 stands for all above it."""
    more = "more than " if nanocredits == INT64_MAX else ""
    return f"{more}{nanocredits:,} nanocredits a token"


def decimal(millionths: int) -> str:
    """Exact: 2500000 -> `2.5`."""
    return f"{Decimal(millionths).scaleb(-6).normalize():f}"


def credits_text(nanocredits: int) -> str:
    """Exact: 1500 -> `0.0000015 credits`."""
    return f"{Decimal(nanocredits).scaleb(-9).normalize():,f} credits"
