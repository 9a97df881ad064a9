"""Names as handles, operations as rows, rows as events: what stands between a compiled book and those who speak in words."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np

from processors.orderbook.checks import GTD as GOOD_TILL_DATE
from processors.orderbook.checks import time_in_force
from processors.orderbook.compiled.layout import (
    ACCEPTED,
    AUCTION,
    BY_CLOSE,
    BY_EXPIRY,
    BY_SELF_TRADE,
    BY_UNFILLED,
    BY_USER,
    CANCEL,
    CANCEL_BOTH,
    CANCEL_MAKER,
    CANCEL_TAKER,
    CANCELLED,
    CLOCK,
    CLOCK_SET,
    CLOSE,
    CLOSED_EVENT,
    CONTINUOUS,
    CROSSED,
    DECREMENT,
    FILLED_EVENT,
    FOK,
    GTC,
    GTD,
    INT64_MAX,
    INT64_MIN,
    IOC,
    MARKET,
    NEW,
    ONLY_POST,
    OP_COLUMNS,
    PHASE_SET,
    PRICED,
    REDUCE,
    REDUCED,
    REFUSED_AUCTION_POST_ONLY,
    REFUSED_AUCTION_TIF,
    REFUSED_BY,
    REFUSED_CLOSED,
    REFUSED_CROSSES,
    REFUSED_DUPLICATE,
    REFUSED_EXPIRED,
    REFUSED_FOK,
    REFUSED_OWNER,
    REFUSED_PRICE,
    REFUSED_QTY,
    REFUSED_TIF,
    REFUSED_TIF_EXPIRE,
    REFUSED_TIF_POST_ONLY,
    REFUSED_UNKNOWN,
    REJECTED,
    REPLACE,
    REPLACED,
    RESTED,
    SELLS,
    STP_NONE,
    TIMED_OUT,
    TO_AUCTION,
    UNCROSS,
    UNKNOWN_TIF,
    WITHDRAW,
)
from processors.orderbook.compiled.state import Ints
from processors.orderbook.events import (
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
from processors.orderbook.matching import accepted
from processors.orderbook.operations import Cancel, Clock, Close, New, Op, Reduce, Replace, ToAuction, Uncross, Withdraw
from schemas.trading import CancelReason, OrderType, Phase, Reject, SelfTrade, Side, TimeInForce

Row = tuple[int, int, int, int, int, int, int, int]
"""An operation: its columns in the order of the layout."""

_SIDES = {Side.BUY: 0, Side.SELL: SELLS}
_TYPES = {OrderType.LIMIT: 0, OrderType.MARKET: MARKET}
_TIFS: dict[str, int] = {
    TimeInForce.GTC: GTC,
    TimeInForce.IOC: IOC,
    TimeInForce.FOK: FOK,
    TimeInForce.GTD: GTD,
}
_STPS = {
    SelfTrade.NONE: STP_NONE,
    SelfTrade.CANCEL_TAKER: CANCEL_TAKER,
    SelfTrade.CANCEL_MAKER: CANCEL_MAKER,
    SelfTrade.CANCEL_BOTH: CANCEL_BOTH,
    SelfTrade.DECREMENT: DECREMENT,
}
_PHASES = {CONTINUOUS: Phase.CONTINUOUS, AUCTION: Phase.AUCTION}
_REFUSALS: dict[int, tuple[Reject, str]] = {
    REFUSED_CLOSED: (Reject.CLOSED, ""),
    REFUSED_DUPLICATE: (Reject.DUPLICATE_ID, "id"),
    REFUSED_QTY: (Reject.INVALID_QTY, "qty"),
    REFUSED_PRICE: (Reject.INVALID_PRICE, "price"),
    REFUSED_TIF: (Reject.INVALID_TIF, "tif"),
    REFUSED_TIF_POST_ONLY: (Reject.INVALID_TIF, "post_only"),
    REFUSED_TIF_EXPIRE: (Reject.INVALID_TIF, "expire"),
    REFUSED_EXPIRED: (Reject.ALREADY_EXPIRED, "expire"),
    REFUSED_AUCTION_TIF: (Reject.NOT_IN_AUCTION, "tif"),
    REFUSED_AUCTION_POST_ONLY: (Reject.NOT_IN_AUCTION, "post_only"),
    REFUSED_CROSSES: (Reject.POST_ONLY_WOULD_CROSS, "price"),
    REFUSED_FOK: (Reject.FOK_NOT_FILLABLE, "qty"),
    REFUSED_UNKNOWN: (Reject.UNKNOWN_ORDER, "id"),
    REFUSED_OWNER: (Reject.NOT_OWNER, "acct"),
    REFUSED_BY: (Reject.INVALID_QTY, "by"),
}
_CANCEL_REASONS: dict[int, CancelReason] = {
    BY_USER: CancelReason.USER,
    BY_UNFILLED: CancelReason.UNFILLED,
    BY_SELF_TRADE: CancelReason.SELF_TRADE,
    BY_EXPIRY: CancelReason.EXPIRED,
    BY_CLOSE: CancelReason.PERIOD_CLOSED,
}


class Handles(dict[str, int]):
    """Numbers from 0 on for names, in the order in which the names are first asked for."""

    __slots__ = ("names",)

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __missing__(self, name: str) -> int:
        handle = self[name] = len(self.names)
        self.names.append(name)
        return handle


class Translator:
    """Operations to rows, and rows to events, of one book."""

    __slots__ = ("_accounts", "_ids", "_lot", "_row")

    def __init__(self, lot: int) -> None:
        self._lot = lot
        self._ids = Handles()
        self._accounts = Handles()
        self._row: dict[type[Op], Callable[[Any], Row]] = {
            New: self._new,
            Cancel: self._cancel,
            Reduce: self._reduce,
            Replace: self._replace,
            Withdraw: self._withdraw,
            Clock: _clock,
            ToAuction: lambda _: _whole(TO_AUCTION),
            Uncross: lambda _: _whole(UNCROSS),
            Close: lambda _: _whole(CLOSE),
        }

    def rows(self, ops: Iterable[Op]) -> Ints:
        """Operations as a compiled book reads them. [operations, OP_COLUMNS].

        Raises:
            OverflowError: a time is no int64. Numbers that are no quantity or no price are refused by the book.
        """
        row = self._row
        numbers = np.fromiter(chain.from_iterable(row[type(op)](op) for op in ops), np.int64)
        return numbers.reshape(-1, OP_COLUMNS)

    def events(self, rows: Ints, ops: Sequence[Op]) -> Iterator[BookEvent]:
        """What a batch of these operations did, in its order."""
        event = self._event
        for row in zip(*rows.T.tolist(), strict=True):
            yield event(ops[row[0]], row)

    def name(self, handle: int) -> str:
        """The id of an order."""
        return self._ids.names[handle]

    def _event(self, op: Op, row: tuple[int, ...]) -> BookEvent:
        names = self._ids.names
        _, kind, first, second, price, qty = row
        if kind == ACCEPTED and isinstance(op, New):
            return accepted(op, time_in_force(op))
        if kind == RESTED:
            return Rested(names[first])
        if kind == FILLED_EVENT:
            return Filled(names[first], names[second], price, qty)
        if kind == CANCELLED:
            reason = op.reason if isinstance(op, Withdraw) else _CANCEL_REASONS[second]
            return Cancelled(names[first], qty, reason)
        if kind == REJECTED:
            return Rejected(names[first], *_REFUSALS[second])
        return _RARE[kind](names, first, second, price, qty)

    def _new(self, op: New) -> Row:
        tif = time_in_force(op)
        style, price = _SIDES[op.side] | _TYPES[op.type] | _TIFS.get(tif, UNKNOWN_TIF), _price(op.price)
        if price is not None:
            style |= PRICED
        if op.post_only:
            style |= ONLY_POST
        expire = 0
        if tif == GOOD_TILL_DATE and op.expire is not None:
            style, expire = style | TIMED_OUT, _time(op.expire)
        return NEW, self._ids[op.id], self._accounts[op.acct], price or 0, _qty(op.qty), style, _STPS[op.stp], expire

    def _cancel(self, op: Cancel) -> Row:
        return CANCEL, self._ids[op.id], self._accounts[op.acct], 0, 0, 0, 0, 0

    def _reduce(self, op: Reduce) -> Row:
        return REDUCE, self._ids[op.id], self._accounts[op.acct], 0, self._by(op.by), 0, 0, 0

    def _replace(self, op: Replace) -> Row:
        price = _price(op.price)
        style = 0 if price is None else PRICED
        return REPLACE, self._ids[op.id], self._accounts[op.acct], price or 0, _qty(op.qty), style, 0, 0

    def _withdraw(self, op: Withdraw) -> Row:
        return WITHDRAW, self._ids[op.id], 0, 0, _qty(op.qty), 0, 0, 0

    def _by(self, by: int) -> int:
        """What is beyond int64 is more than any order has open: the largest number on the grid is, too, or as much."""
        if type(by) is int and by > INT64_MAX and by % self._lot == 0:
            return INT64_MAX - INT64_MAX % self._lot
        return _qty(by)


def _qty(qty: int) -> int:
    """0, which is no quantity, for what is none, or none of 64 bits: true, 5.0, -3, 2^63."""
    return qty if type(qty) is int and 0 < qty <= INT64_MAX else 0


def _price(price: int | None) -> int | None:
    """None, which is no price, for what is none, or none of 64 bits."""
    return price if type(price) is int and INT64_MIN <= price <= INT64_MAX else None


def _time(t: int) -> int:
    if not INT64_MIN <= t <= INT64_MAX:
        raise OverflowError(f"time {t} is no int64")
    return t


def _clock(op: Clock) -> Row:
    return CLOCK, 0, 0, 0, _time(op.t), 0, 0, 0


def _whole(kind: int) -> Row:
    return kind, 0, 0, 0, 0, 0, 0, 0


_RARE: dict[int, Callable[[Sequence[str], int, int, int, int], BookEvent]] = {
    CROSSED: lambda names, first, second, price, qty: Crossed(names[first], names[second], price, qty),
    REDUCED: lambda names, first, _second, _price, qty: Reduced(names[first], qty),
    REPLACED: lambda names, first, second, price, qty: Replaced(names[first], price, qty, bool(second)),
    CLOCK_SET: lambda _names, _first, _second, _price, qty: ClockSet(qty),
    PHASE_SET: lambda _names, first, second, price, _qty: PhaseSet(_PHASES[first], price if second else None),
    CLOSED_EVENT: lambda *_: Closed(),
}
