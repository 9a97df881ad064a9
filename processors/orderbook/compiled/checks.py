"""Why an operation is refused, in the order of ../checks.py, which says more. FINE or a row of codes.REFUSALS."""

from processors.orderbook.compiled.jit import inlined, jit
from processors.orderbook.compiled.layout import (
    ACCT,
    AUCTION,
    CLOSED,
    FINE,
    FOK,
    GTC,
    GTD,
    HAS_NOW,
    IOC,
    LOT,
    MARKET,
    MAX_QTY,
    NEVER,
    NOW,
    ONLY_POST,
    OP_ACCT,
    OP_EXPIRE,
    OP_ID,
    OP_PRICE,
    OP_QTY,
    OP_STYLE,
    PHASE,
    PMAX,
    PMIN,
    PRICED,
    REFUSED_AUCTION_POST_ONLY,
    REFUSED_AUCTION_TIF,
    REFUSED_BY,
    REFUSED_CLOSED,
    REFUSED_DUPLICATE,
    REFUSED_EXPIRED,
    REFUSED_OWNER,
    REFUSED_PRICE,
    REFUSED_QTY,
    REFUSED_TIF,
    REFUSED_TIF_EXPIRE,
    REFUSED_TIF_POST_ONLY,
    REFUSED_UNKNOWN,
    TICK,
    TIF,
    TIMED_OUT,
    UNKNOWN_TIF,
)
from processors.orderbook.compiled.memory import Book


@inlined
def refused_new(book: Book, at: int) -> int:  # noqa: PLR0911  one return for each reason, in the order of the spec
    """Why a new order is refused, whatever it would meet."""
    ops, numbers = book.ops, book.numbers
    style = ops[at + OP_STYLE]
    if numbers[CLOSED]:
        return REFUSED_CLOSED
    if book.slots[ops[at + OP_ID]] != NEVER:
        return REFUSED_DUPLICATE
    if _bad_qty(book, at):
        return REFUSED_QTY
    if not style & MARKET and _bad_price(book, at):
        return REFUSED_PRICE
    refused = _contradiction(style)
    if refused != FINE:
        return refused
    if style & TIF == GTD and numbers[HAS_NOW] and ops[at + OP_EXPIRE] <= numbers[NOW]:
        return REFUSED_EXPIRED
    if numbers[PHASE] == AUCTION:
        return _not_in_auction(style)
    return FINE


@jit
def refused_change(book: Book, at: int) -> int:
    """Why nothing is done to an order."""
    if book.numbers[CLOSED]:
        return REFUSED_CLOSED
    slot = book.slots[book.ops[at + OP_ID]]
    if slot < 0:
        return REFUSED_UNKNOWN
    if book.orders[slot + ACCT] != book.ops[at + OP_ACCT]:
        return REFUSED_OWNER
    return FINE


@jit
def refused_reduce(book: Book, at: int) -> int:
    """Why an order is not reduced."""
    refused = refused_change(book, at)
    if refused == FINE and _off_grid(book, at):
        return REFUSED_BY
    return refused


@jit
def refused_replace(book: Book, at: int) -> int:
    """Why an order is not replaced."""
    refused = refused_change(book, at)
    if refused != FINE:
        return refused
    if _bad_qty(book, at):
        return REFUSED_QTY
    if _bad_price(book, at):
        return REFUSED_PRICE
    return FINE


@jit
def rests(style: int) -> bool:
    """Whether what an order leaves may rest."""
    tif = style & TIF
    return tif in (GTC, GTD)


@jit
def _contradiction(style: int) -> int:
    tif = style & TIF
    if tif == UNKNOWN_TIF or (style & MARKET and tif not in (IOC, FOK)):
        return REFUSED_TIF
    if style & ONLY_POST and (style & MARKET or not rests(style)):
        return REFUSED_TIF_POST_ONLY
    if tif == GTD and not style & TIMED_OUT:
        return REFUSED_TIF_EXPIRE
    return FINE


@jit
def _not_in_auction(style: int) -> int:
    if style & ONLY_POST:
        return REFUSED_AUCTION_POST_ONLY
    return FINE if rests(style) else REFUSED_AUCTION_TIF


@jit
def _bad_qty(book: Book, at: int) -> bool:
    return _off_grid(book, at) or book.ops[at + OP_QTY] > book.numbers[MAX_QTY]


@jit
def _off_grid(book: Book, at: int) -> bool:
    qty = book.ops[at + OP_QTY]
    return qty <= 0 or qty % book.numbers[LOT] != 0


@jit
def _bad_price(book: Book, at: int) -> bool:
    price, numbers = book.ops[at + OP_PRICE], book.numbers
    if not book.ops[at + OP_STYLE] & PRICED or price < numbers[PMIN] or price > numbers[PMAX]:
        return True
    return price % numbers[TICK] != 0
