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
    AUCTION,
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
    limit = op.price if op.type == LIMIT else None
    if book.phase == AUCTION:
        return [accepted(op, tif), Rested(op.id)]
    if op.post_only and book.opposite(op.side).crosses(limit):
        return [Rejected(op.id, Reject.POST_ONLY_WOULD_CROSS, "price")]
    events, open_qty, traded = _sweep(op.id, op.acct, op.stp, op.qty, book.opposite(op.side).met(limit))
    if traded < op.qty and tif == TimeInForce.FOK:
        return [Rejected(op.id, Reject.FOK_NOT_FILLABLE, "qty")]
    return [accepted(op, tif), *events, *_left_over(op.id, open_qty, tif)]


def _cancel(book: Book, op: Cancel) -> list[BookEvent]:
    refused = refused_change(book, op)
    return [refused or Cancelled(op.id, book.orders[op.id].open, CancelReason.USER)]


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
    replaced = Replaced(op.id, op.price, op.qty, kept_priority=False)
    if book.phase == AUCTION:
        return [replaced, Rested(op.id)]
    events, open_qty, _ = _sweep(op.id, order.acct, order.stp, op.qty - order.filled, book.opposite(order.side).met(op.price))
    # An order that could be replaced was resting, so that what is left of it rests again.
    return [replaced, *events, *_left_over(op.id, open_qty, TimeInForce.GTC)]


def _sweep(taker: str, acct: str, stp: SelfTrade, qty: int, makers: Iterable[Order]) -> tuple[list[BookEvent], int, int]:
    """Trades with makers in their order until nothing is open; of own orders, only those that it reaches count.

    Returns:
        What happens, what is open after it, and how much trades.
    """
    events: list[BookEvent] = []
    open_qty, traded = qty, 0
    for maker in makers:
        if not open_qty:
            break
        both = min(open_qty, maker.open)
        if maker.acct != acct or stp == SelfTrade.NONE:
            events.append(Filled(maker.id, taker, maker.price, both))
            open_qty -= both
            traded += both
            continue
        off_maker, off_taker = _self_trade(stp, maker.open, open_qty)
        if off_maker:
            events.append(Cancelled(maker.id, off_maker, CancelReason.SELF_TRADE))
        if off_taker:
            events.append(Cancelled(taker, off_taker, CancelReason.SELF_TRADE))
            open_qty -= off_taker
    return events, open_qty, traded


def _self_trade(stp: SelfTrade, maker: int, taker: int) -> tuple[int, int]:
    """What is cancelled of maker and taker, both of one account, from what both have open."""
    if stp == SelfTrade.DECREMENT:
        return min(maker, taker), min(maker, taker)
    return 0 if stp == SelfTrade.CANCEL_TAKER else maker, 0 if stp == SelfTrade.CANCEL_MAKER else taker


def _left_over(order: str, open_qty: int, tif: TimeInForce) -> list[BookEvent]:
    if not open_qty:
        return []
    return [Rested(order) if tif in RESTING else Cancelled(order, open_qty, CancelReason.UNFILLED)]


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
