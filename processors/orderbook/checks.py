"""What an order must be before it meets the book: the reasons of the spec, in the order in which they are judged."""

from processors.orderbook.book import Book, Config
from processors.orderbook.events import Rejected
from processors.orderbook.levels import Order
from processors.orderbook.operations import Cancel, New, Reduce, Replace
from schemas.trading import OrderType, Phase, Reject, TimeInForce

# To look an enumeration's member up costs as much as a call: what every order asks for is looked up once.
FOK, GTD, LIMIT, CONTINUOUS, AUCTION = TimeInForce.FOK, TimeInForce.GTD, OrderType.LIMIT, Phase.CONTINUOUS, Phase.AUCTION

_DEFAULT_TIF = {OrderType.LIMIT: TimeInForce.GTC, OrderType.MARKET: TimeInForce.IOC}
_KNOWN_TIF: dict[str, TimeInForce] = {tif.value: tif for tif in TimeInForce}
RESTING = frozenset({TimeInForce.GTC, TimeInForce.GTD})
"""What may rest: until the period closes, or until it expires."""
_TIFS = {OrderType.LIMIT: frozenset(TimeInForce), OrderType.MARKET: frozenset({TimeInForce.IOC, TimeInForce.FOK})}


def time_in_force(op: New) -> TimeInForce:
    """The time in force that an order has. An unknown word stays as it is: it is refused with `invalid_tif` in its turn."""
    return _DEFAULT_TIF[op.type] if op.tif is None else _KNOWN_TIF.get(op.tif, op.tif)


def refused_new(book: Book, op: New, tif: TimeInForce) -> Rejected | None:  # noqa: PLR0911  each reason in its turn
    """Why a new order is refused, whatever it would meet."""
    if book.closed:
        return Rejected(op.id, Reject.CLOSED, "")
    if op.id in book.orders or op.id in book.ended:
        return Rejected(op.id, Reject.DUPLICATE_ID, "id")
    if _bad_qty(book.config, op.qty):
        return Rejected(op.id, Reject.INVALID_QTY, "qty")
    if op.type == LIMIT and _bad_price(book.config, op.price):
        return Rejected(op.id, Reject.INVALID_PRICE, "price")
    if field := _contradiction(op, tif):
        return Rejected(op.id, Reject.INVALID_TIF, field)
    if tif == GTD and op.expire is not None and book.now is not None and op.expire <= book.now:
        return Rejected(op.id, Reject.ALREADY_EXPIRED, "expire")
    if book.phase == AUCTION and (tif not in RESTING or op.post_only):
        return Rejected(op.id, Reject.NOT_IN_AUCTION, "post_only" if op.post_only else "tif")
    return None


def refused_change(book: Book, op: Cancel | Reduce | Replace) -> Rejected | None:
    """Why nothing is done to an order. An id that was never accepted and one that has ended are the same: unknown."""
    if book.closed:
        return Rejected(op.id, Reject.CLOSED, "")
    order = book.orders.get(op.id)
    if order is None:
        return Rejected(op.id, Reject.UNKNOWN_ORDER, "id")
    if order.acct != op.acct:
        return Rejected(op.id, Reject.NOT_OWNER, "acct")
    return None


def refused_reduce(book: Book, op: Reduce) -> Rejected | None:
    """Why an order is not reduced. There is no cap on `by`: more than is open cancels, as all of it does."""
    refused = refused_change(book, op)
    if refused is None and _off_grid(op.by, book.config.lot):
        return Rejected(op.id, Reject.INVALID_QTY, "by")
    return refused


def refused_replace(book: Book, op: Replace) -> Rejected | None:
    """Why an order is not replaced: it is judged like a new one, also where the new total would only cancel the rest."""
    refused = refused_change(book, op)
    if refused is not None:
        return refused
    if _bad_qty(book.config, op.qty):
        return Rejected(op.id, Reject.INVALID_QTY, "qty")
    if _bad_price(book.config, op.price):
        return Rejected(op.id, Reject.INVALID_PRICE, "price")
    return None


def crosses_post_only(book: Book, order: Order, price: int) -> bool:
    """Whether a post-only order would trade on arrival at this price. In an auction nothing does."""
    return order.post_only and book.phase == CONTINUOUS and book.opposite(order.side).crosses(price)


def _contradiction(op: New, tif: TimeInForce) -> str:
    """The field that does not go with the others; empty if all do."""
    if tif not in _TIFS[op.type]:
        return "tif"
    if op.post_only and (op.type != LIMIT or tif not in RESTING):
        return "post_only"
    if tif == GTD and op.expire is None:
        return "expire"
    return ""


def _bad_qty(config: Config, qty: int) -> bool:
    # Not `isinstance`: true is no quantity, and neither is 5.0.
    return type(qty) is not int or not 0 < qty <= config.max_qty or qty % config.lot != 0


def _off_grid(qty: int, lot: int) -> bool:
    return type(qty) is not int or qty <= 0 or qty % lot != 0


def _bad_price(config: Config, price: int | None) -> bool:
    return type(price) is not int or not config.pmin <= price <= config.pmax or price % config.tick != 0
