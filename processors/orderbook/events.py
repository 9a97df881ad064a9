"""What happened to a book. Events carry all that recording them needs: they are written to Kafka and folded again."""

from dataclasses import dataclass
from typing import NamedTuple

from schemas.trading import OrderType, Phase, Reject, SelfTrade, Side, TimeInForce


class Accepted(NamedTuple):
    """An order is the book's from now on, and its id is taken for ever. What follows says whether it trades, rests or ends."""

    id: str
    acct: str
    side: Side
    price: int
    """0 for a market order."""
    qty: int
    type: OrderType
    tif: TimeInForce
    post_only: bool
    stp: SelfTrade
    expire: int | None
    """None unless `tif` is GTD."""


class Rejected(NamedTuple):
    """An operation was refused and changed nothing."""

    id: str
    reason: Reject
    field: str
    """The field of the operation that it was refused for; empty if the whole book is closed."""


class Filled(NamedTuple):
    """A trade in continuous trading, at the resting order's price."""

    maker: str
    taker: str
    price: int
    qty: int


class Crossed(NamedTuple):
    """A trade of a call auction, at the auction's price."""

    buy: str
    sell: str
    price: int
    qty: int


class Rested(NamedTuple):
    """What an order has open takes its place behind the others of its price."""

    id: str


class Cancelled(NamedTuple):
    """Open quantity of an order is cancelled: all of it, or a part (decrement, withdraw); what is left keeps its place."""

    id: str
    qty: int
    reason: str


class Reduced(NamedTuple):
    """The open part of an order was lowered by its owner, and with it its total; it keeps its place."""

    id: str
    by: int


class Replaced(NamedTuple):
    """An order has another price or total. If it lost its priority, it has no place in the book until `Rested`."""

    id: str
    price: int
    qty: int
    kept_priority: bool


class ClockSet(NamedTuple):
    """The book's time."""

    t: int


class PhaseSet(NamedTuple):
    """Continuous trading or auction from now on, and the reference price of the next auction."""

    phase: Phase
    ref: int | None


@dataclass(frozen=True, slots=True)  # an empty tuple would be false
class Closed:
    """The book refuses everything from now on."""


BookEvent = Accepted | Rejected | Filled | Crossed | Rested | Cancelled | Reduced | Replaced | ClockSet | PhaseSet | Closed
