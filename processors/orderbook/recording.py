"""Recording events in a book: no judgement here, so that folding recorded events gives the book that decided them."""

from collections.abc import Callable
from typing import Any

from processors.orderbook.book import Book
from processors.orderbook.events import (
    Accepted,
    BookEvent,
    Cancelled,
    ClockSet,
    Closed,
    Crossed,
    Filled,
    PhaseSet,
    Reduced,
    Rejected,
    Replaced,
    Rested,
)
from processors.orderbook.levels import Order


def apply(book: Book, event: BookEvent) -> None:
    """Record one event.

    Raises:
        KeyError: it is of an order that the book does not have.
        BrokenBookError: it takes more than an order has.
    """
    _RECORD[type(event)](book, event)


def _accepted(book: Book, event: Accepted) -> None:
    book.sequence += 1
    book.add(Order(event, book.sequence))


def _rejected(book: Book, event: Rejected) -> None:
    """A refused operation leaves no trace; its id stays free."""


def _filled(book: Book, event: Filled) -> None:
    _traded(book, event.maker, event.qty)
    _traded(book, event.taker, event.qty)


def _crossed(book: Book, event: Crossed) -> None:
    _traded(book, event.buy, event.qty)
    _traded(book, event.sell, event.qty)


def _traded(book: Book, order_id: str, qty: int) -> None:
    order = book.orders[order_id]
    order.filled += qty
    book.shrink(order, qty)


def _rested(book: Book, event: Rested) -> None:
    book.rest(book.orders[event.id])


def _cancelled(book: Book, event: Cancelled) -> None:
    book.shrink(book.orders[event.id], event.qty)


def _reduced(book: Book, event: Reduced) -> None:
    book.shrink(book.orders[event.id], event.by)


def _replaced(book: Book, event: Replaced) -> None:
    order = book.orders[event.id]
    if event.kept_priority:
        book.shrink(order, order.filled + order.open - event.qty)
        return
    book.lift(order)
    book.sequence += 1
    order.place = book.sequence
    order.price = event.price
    order.open = event.qty - order.filled


def _clock_set(book: Book, event: ClockSet) -> None:
    book.now = event.t


def _phase_set(book: Book, event: PhaseSet) -> None:
    book.phase = event.phase
    book.ref = event.ref


def _closed(book: Book, _event: Closed) -> None:
    """A closed book refuses every id, so that it need not keep those that it had."""
    book.closed = True
    book.ended.clear()


_RECORD: dict[type[BookEvent], Callable[[Book, Any], None]] = {
    Accepted: _accepted,
    Rejected: _rejected,
    Filled: _filled,
    Crossed: _crossed,
    Rested: _rested,
    Cancelled: _cancelled,
    Reduced: _reduced,
    Replaced: _replaced,
    ClockSet: _clock_set,
    PhaseSet: _phase_set,
    Closed: _closed,
}
