"""A book as plain values, and back: for snapshots."""

from typing import NamedTuple

from processors.orderbook.book import Book, Config
from processors.orderbook.events import Accepted
from processors.orderbook.levels import Order
from schemas.trading import OrderType, Phase, SelfTrade, Side, TimeInForce


class OrderRow(NamedTuple):
    """An open order; what each field means: `Order`."""

    arrival: int
    place: int
    id: str
    acct: str
    side: str
    price: int
    open: int
    filled: int
    post_only: bool
    stp: str
    expire: int | None


class BookDump(NamedTuple):
    """All of a book but its config: state only, orders in the order of arrival."""

    phase: str
    ref: int | None
    now: int | None
    closed: bool
    sequence: int
    orders: list[OrderRow]
    ended: list[str]


def dump_orders(book: Book) -> list[OrderRow]:
    """The open orders in the order of arrival."""
    return [
        OrderRow(
            order.arrival,
            order.place,
            order.id,
            order.acct,
            str(order.side),
            order.price,
            order.open,
            order.filled,
            order.post_only,
            str(order.stp),
            order.expire,
        )
        for order in book.orders.values()
    ]


def dump(book: Book) -> BookDump:
    """The book's state; every order in it rests (between two operations they do)."""
    return BookDump(str(book.phase), book.ref, book.now, book.closed, book.sequence, dump_orders(book), list(book.ended))


def load(config: Config, state: BookDump) -> Book:
    """The book that was dumped."""
    book = Book(config, Phase(state.phase), state.ref)
    book.now, book.closed, book.sequence = state.now, state.closed, state.sequence
    book.ended = dict.fromkeys(state.ended)
    for row in sorted(state.orders):  # by arrival
        book.add(_order(row))
    for order in sorted(book.orders.values(), key=lambda order: order.place):
        book.rest(order)
    return book


def _order(row: OrderRow) -> Order:
    tif = TimeInForce.GTC if row.expire is None else TimeInForce.GTD
    accepted = Accepted(
        row.id, row.acct, Side(row.side), row.price, row.open, OrderType.LIMIT, tif, row.post_only, SelfTrade(row.stp), row.expire
    )
    order = Order(accepted, row.arrival)
    order.place, order.filled = row.place, row.filled
    return order
