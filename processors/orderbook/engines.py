"""Which engine carries out many operations at once: the readable one, or the compiled one, which tells the same."""

from collections.abc import Sequence
from enum import StrEnum
from importlib.util import find_spec
from typing import NamedTuple

from processors.orderbook.book import Book, Config
from processors.orderbook.events import BookEvent, Cancelled, Crossed, Filled, Rejected
from processors.orderbook.matching import decide
from processors.orderbook.operations import Op
from processors.orderbook.recording import apply
from schemas.trading import Phase, Side

Resting = list[tuple[str, int, int]]
"""Id, price and open quantity, in priority order."""

Told = Filled | Crossed | Rejected | Cancelled

_MANY = 300_000
"""From here on the compiled engine is sooner done: it saves 4 µs and more of each operation, and takes 1.2 s to begin with."""


class Engine(StrEnum):
    """Which engine answers."""

    AUTO = "auto"
    READABLE = "readable"
    COMPILED = "compiled"


class Outcome(NamedTuple):
    """What operations did to an empty book."""

    told: list[Told]
    bids: Resting
    asks: Resting


class Opening(NamedTuple):
    """How a book begins."""

    config: Config
    phase: Phase
    ref: int | None


def has_compiler() -> bool:
    """Whether the compiled engine can be had: its compiler, numba, is an extra."""
    return find_spec("numba") is not None


def carry_out(opening: Opening, ops: Sequence[Op], engine: Engine) -> Outcome:
    """What operations do to an empty book.

    Raises:
        ModuleNotFoundError: the compiled engine is asked for, and numba is not installed.
    """
    if engine is Engine.AUTO:
        engine = Engine.COMPILED if len(ops) >= _MANY and has_compiler() else Engine.READABLE
    if engine is Engine.READABLE:
        return _readable(opening, ops)
    try:
        return _compiled(opening, ops)
    except OverflowError:  # a time beyond 64 bits, which only the readable engine knows
        return _readable(opening, ops)


def _readable(opening: Opening, ops: Sequence[Op]) -> Outcome:
    book = Book(*opening)
    events: list[BookEvent] = []
    for op in ops:
        decided = decide(book, op)
        for event in decided:
            apply(book, event)
        events += decided
    bids, asks = ([(order.id, order.price, order.open) for order in side.orders()] for side in (book.bids, book.asks))
    return Outcome([event for event in events if isinstance(event, Told)], bids, asks)


def _compiled(opening: Opening, ops: Sequence[Op]) -> Outcome:
    from processors.orderbook.compiled import OUTCOMES, NamedBook  # noqa: PLC0415  takes a second, and numba need not be there

    book = NamedBook(*opening)
    told = [event for event in book.run(ops, OUTCOMES) if isinstance(event, Told)]
    return Outcome(told, book.resting(Side.BUY), book.resting(Side.SELL))
