"""What an operation does to a book, as events (spec/orderbook.md, "Semantics"). Judges; changes nothing.

Where the spec is silent:
- A FOK order fills only if all of it trades. Under cancel_taker, cancel_both and decrement it is therefore killed by an own order
  that stands before its last lot; under cancel_maker own orders are passed over, and cancelled if it fills; under none they trade.
- Decrement cancels the smaller of the two open quantities on both orders: two cancels, the maker's first.
- A replaced order that lost its priority acts as a new one at its new price, with its own self-trade mode and time in force.
- Orders expire in the order of `expire`, then of `place`: when each took the place that it has, across both sides.
- In an auction nobody is the taker: self-trade prevention does not act, nor does post-only.
- A clock that does not advance, `to_auction` in an auction and `uncross` outside one do nothing; on a closed book, nor do the
  clock and `close`.
"""

from collections.abc import Callable, Iterable
from itertools import takewhile
from typing import Any

from processors.orderbook.book import Book, BrokenBookError
from processors.orderbook.checks import (
    CONTINUOUS,
    FOK,
    GTD,
    LIMIT,
    RESTING,
    crosses_post_only,
    refused_change,
    refused_new,
    refused_reduce,
    refused_replace,
    time_in_force,
)
from processors.orderbook.events import (
    Accepted,
    BookEvent,
    Cancelled,
    ClockSet,
    Closed,
    Filled,
    PhaseSet,
    Reduced,
    Rejected,
    Replaced,
    Rested,
)
from processors.orderbook.levels import Order
from processors.orderbook.operations import Cancel, Clock, Close, New, Op, Reduce, Replace, ToAuction, Uncross, Withdraw
from processors.orderbook.uncross import clearing_price, trades_at
from schemas.trading import CancelReason, Phase, Reject, SelfTrade, TimeInForce

# Looked up once, as in checks.py.
NO_PREVENTION, USER, UNFILLED = SelfTrade.NONE, CancelReason.USER, CancelReason.UNFILLED


def decide(book: Book, op: Op) -> list[BookEvent]:
    """The events of one operation, to be recorded in their order.

    Raises:
        BrokenBookError: the engine withdraws what is not open.
    """
    return _JUDGE[type(op)](book, op)


def quote(book: Book, op: New | Replace) -> list[Filled]:
    """What an order, or a replacement, would trade now. Nothing if it would be refused."""
    return [event for event in decide(book, op) if isinstance(event, Filled)]


def accepted(op: New, tif: TimeInForce) -> Accepted:
    """An order as the book takes it, with its time in force."""
    price = op.price if op.type == LIMIT else None
    expire = op.expire if tif == GTD else None
    return Accepted(op.id, op.acct, op.side, price or 0, op.qty, op.type, tif, op.post_only, op.stp, expire)


def _new(book: Book, op: New) -> list[BookEvent]:
    tif = time_in_force(op)
    refused = refused_new(book, op, tif)
    if refused is not None:
        return [refused]
    events: list[BookEvent] = [accepted(op, tif)]
    opposite, limit = book.opposite(op.side), op.price if op.type == LIMIT else None
    open_qty, traded = op.qty, 0
    if book.phase == CONTINUOUS and opposite.crosses(limit):
        if op.post_only:
            return [Rejected(op.id, Reject.POST_ONLY_WOULD_CROSS, "price")]
        open_qty, traded = _sweep(events, op, op.qty, opposite.orders(limit))
    if traded < op.qty and tif == FOK:
        return [Rejected(op.id, Reject.FOK_NOT_FILLABLE, "qty")]
    if open_qty:
        events.append(Rested(op.id) if tif in RESTING else Cancelled(op.id, open_qty, UNFILLED))
    return events


def _cancel(book: Book, op: Cancel) -> list[BookEvent]:
    refused = refused_change(book, op)
    return [refused or Cancelled(op.id, book.orders[op.id].open, USER)]


def _reduce(book: Book, op: Reduce) -> list[BookEvent]:
    refused = refused_reduce(book, op)
    if refused is not None:
        return [refused]
    order = book.orders[op.id]
    if op.by >= order.open:
        return [Cancelled(op.id, order.open, CancelReason.USER)]
    return [Reduced(op.id, op.by)]


def _replace(book: Book, op: Replace) -> list[BookEvent]:
    refused = refused_replace(book, op)
    if refused is not None:
        return [refused]
    order = book.orders[op.id]
    if op.qty <= order.filled:
        return [Cancelled(op.id, order.open, CancelReason.USER)]
    if op.price == order.price and op.qty <= order.filled + order.open:
        return [Replaced(op.id, op.price, op.qty, kept_priority=True)]
    if crosses_post_only(book, order, op.price):
        return [Rejected(op.id, Reject.POST_ONLY_WOULD_CROSS, "price")]
    events: list[BookEvent] = [Replaced(op.id, op.price, op.qty, kept_priority=False)]
    opposite, open_qty = book.opposite(order.side), op.qty - order.filled
    if book.phase == CONTINUOUS and opposite.crosses(op.price):
        open_qty, _ = _sweep(events, order, open_qty, opposite.orders(op.price))
    if open_qty:  # an order that could be replaced was resting, so that what is left of it rests again
        events.append(Rested(op.id))
    return events


def _sweep(events: list[BookEvent], taker: New | Order, qty: int, makers: Iterable[Order]) -> tuple[int, int]:
    """Trades with makers in their order until nothing is open; of own orders, only those that it reaches count.

    Args:
        events: what happens is appended here.
        taker: the order, as it is asked for or as it rested until now.
        qty: what it has open.
        makers: orders that it meets, in price-time priority.

    Returns:
        What is open after it, and how much trades.
    """
    taker_id, acct, stp = taker.id, taker.acct, taker.stp
    open_qty, traded = qty, 0
    for maker in makers:
        if not open_qty:
            break
        both = min(open_qty, maker.open)
        if maker.acct != acct or stp == NO_PREVENTION:
            events.append(Filled(maker.id, taker_id, maker.price, both))
            open_qty -= both
            traded += both
            continue
        off_maker, off_taker = _self_trade(stp, maker.open, open_qty)
        if off_maker:
            events.append(Cancelled(maker.id, off_maker, CancelReason.SELF_TRADE))
        if off_taker:
            events.append(Cancelled(taker_id, off_taker, CancelReason.SELF_TRADE))
            open_qty -= off_taker
    return open_qty, traded


def _self_trade(stp: SelfTrade, maker: int, taker: int) -> tuple[int, int]:
    """What is cancelled of maker and taker, both of one account, from what both have open."""
    if stp == SelfTrade.DECREMENT:
        return min(maker, taker), min(maker, taker)
    return 0 if stp == SelfTrade.CANCEL_TAKER else maker, 0 if stp == SelfTrade.CANCEL_MAKER else taker


def _clock(book: Book, op: Clock) -> list[BookEvent]:
    if book.closed or (book.now is not None and op.t <= book.now):
        return []
    due = takewhile(lambda expire: expire <= op.t, book.expiries)
    orders = [order for expire in due for order in sorted(book.expiring[expire].values(), key=_place)]
    return [ClockSet(op.t), *(Cancelled(order.id, order.open, CancelReason.EXPIRED) for order in orders)]


def _place(order: Order) -> int:
    return order.place


def _to_auction(book: Book, _op: ToAuction) -> list[BookEvent]:
    return [] if book.closed or book.phase == Phase.AUCTION else [PhaseSet(Phase.AUCTION, book.ref)]


def _uncross(book: Book, _op: Uncross) -> list[BookEvent]:
    if book.closed or book.phase != Phase.AUCTION:
        return []
    price = clearing_price(book)
    if price is None:
        return [PhaseSet(Phase.CONTINUOUS, book.ref)]
    return [*trades_at(book, price), PhaseSet(Phase.CONTINUOUS, price)]


def _close(book: Book, _op: Close) -> list[BookEvent]:
    if book.closed:
        return []
    return [*(Cancelled(order.id, order.open, CancelReason.PERIOD_CLOSED) for order in book.orders.values()), Closed()]


def _withdraw(book: Book, op: Withdraw) -> list[BookEvent]:
    order = book.orders.get(op.id)
    if order is None or not 0 < op.qty <= order.open:
        raise BrokenBookError(f"{op.qty} withdrawn of order {op.id!r}, which has {order.open if order else 0} open")
    return [Cancelled(op.id, op.qty, op.reason)]


_JUDGE: dict[type[Op], Callable[[Book, Any], list[BookEvent]]] = {
    New: _new,
    Cancel: _cancel,
    Reduce: _reduce,
    Replace: _replace,
    Clock: _clock,
    ToAuction: _to_auction,
    Uncross: _uncross,
    Close: _close,
    Withdraw: _withdraw,
}
