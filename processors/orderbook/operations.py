"""What a book is asked to do."""

from dataclasses import dataclass
from typing import NamedTuple

from schemas.trading import OrderType, SelfTrade, Side, TimeInForce


class New(NamedTuple):
    """An order.

    Attributes:
        id: an idempotency key for the life of the book.
        acct: whose it is.
        side: buy or sell.
        price: nanocredits per token; a market order takes any, whatever stands here.
        qty: tokens.
        type: limit or market.
        tif: time in force; None: GTC for a limit order, IOC for a market order. An unknown word is refused.
        post_only: to be refused rather than to trade on arrival.
        stp: what happens when it, as the taker, meets an order of its own account.
        expire: with GTD, the time of the clock from which it no longer stands; otherwise not looked at.
    """

    id: str
    acct: str
    side: Side
    price: int | None
    qty: int
    type: OrderType = OrderType.LIMIT
    tif: TimeInForce | None = None
    post_only: bool = False
    stp: SelfTrade = SelfTrade.NONE
    expire: int | None = None


class Cancel(NamedTuple):
    """The owner takes an order back."""

    id: str
    acct: str


class Reduce(NamedTuple):
    """The owner lowers the open part of an order by `by` tokens; all of it or more cancels."""

    id: str
    acct: str
    by: int


class Replace(NamedTuple):
    """The owner names another price and another total quantity, the filled part included."""

    id: str
    acct: str
    price: int
    qty: int


class Clock(NamedTuple):
    """It is `t`, in the unit of the orders' `expire`. An earlier time than the book's is passed over."""

    t: int


@dataclass(frozen=True, slots=True)  # an empty tuple would be false, and equal to any other
class ToAuction:
    """A call auction begins: orders rest without matching."""


@dataclass(frozen=True, slots=True)  # an empty tuple would be false, and equal to any other
class Uncross:
    """The call auction ends: what crosses trades at one price, and continuous trading begins."""


@dataclass(frozen=True, slots=True)  # an empty tuple would be false, and equal to any other
class Close:
    """The period closes: every resting order is cancelled, and the book refuses from now on."""


class Withdraw(NamedTuple):
    """The engine takes open quantity off a resting order on its own account; what is left keeps its place.

    Attributes:
        id: the order.
        qty: tokens, 1 to all that is open.
        reason: passed through to `Cancelled`.
    """

    id: str
    qty: int
    reason: str


Op = New | Cancel | Reduce | Replace | Clock | ToAuction | Uncross | Close | Withdraw
