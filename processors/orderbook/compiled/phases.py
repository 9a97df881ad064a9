"""What concerns the whole book: time, call auctions, the end."""

from processors.orderbook.compiled.expiry import at_turn, enlist
from processors.orderbook.compiled.jit import jit
from processors.orderbook.compiled.layout import (
    ARRIVAL,
    AUCTION,
    BEHIND,
    BUY,
    BY_CLOSE,
    BY_EXPIRY,
    CLOCK_SET,
    CLOSED,
    CLOSED_EVENT,
    CONTINUOUS,
    EXPIRE,
    HAS_NOW,
    HAS_REF,
    HEAD,
    NEXT,
    NONE,
    NOTHING,
    NOW,
    OP_QTY,
    OPEN,
    PHASE,
    PHASE_SET,
    PLACE,
    REF,
    SELL,
    TIMED,
)
from processors.orderbook.compiled.levels import best
from processors.orderbook.compiled.memory import Book
from processors.orderbook.compiled.orders import cancel, tell
from processors.orderbook.compiled.uncross import anything_crosses, clearing_price, trade_at


@jit
def clock(book: Book, at: int) -> None:
    """It is a later time; orders expire."""
    numbers, t = book.numbers, book.ops[at + OP_QTY]
    if numbers[CLOSED] or (numbers[HAS_NOW] and t <= numbers[NOW]):
        return
    numbers[HAS_NOW] = 1
    numbers[NOW] = t
    tell(book, CLOCK_SET, NOTHING, NOTHING, NOTHING, t)
    _cancel_due(book, t, BY_EXPIRY)


@jit
def to_auction(book: Book) -> None:
    """A call auction begins."""
    if not book.numbers[CLOSED] and book.numbers[PHASE] == CONTINUOUS:
        _set_phase(book, AUCTION)


@jit
def uncross(book: Book) -> None:
    """The call auction ends."""
    numbers = book.numbers
    if numbers[CLOSED] or numbers[PHASE] != AUCTION:
        return
    if anything_crosses(book):
        numbers[REF] = clearing_price(book)
        numbers[HAS_REF] = 1
        trade_at(book, numbers[REF])
    _set_phase(book, CONTINUOUS)


@jit
def close(book: Book) -> None:
    """Every resting order is cancelled in the order of arrival, and the book refuses from now on."""
    if book.numbers[CLOSED]:
        return
    book.numbers[TIMED] = 0
    _let_expire(book, BUY)
    _let_expire(book, SELL)
    _cancel_due(book, NOTHING, BY_CLOSE)
    book.numbers[CLOSED] = 1
    tell(book, CLOSED_EVENT, NOTHING, NOTHING, NOTHING, NOTHING)


@jit
def _let_expire(book: Book, side: int) -> None:
    """All orders of a side expire at 0, in the order of arrival. Between two operations every open order rests."""
    orders, level = book.orders, best(book, side)
    while level != NONE:
        slot = book.levels[level + HEAD]
        while slot != NONE:
            orders[slot + EXPIRE] = 0
            orders[slot + PLACE] = orders[slot + ARRIVAL]
            enlist(book, slot)
            slot = orders[slot + BEHIND]
        level = book.levels[level + NEXT]


@jit
def _cancel_due(book: Book, t: int, reason: int) -> None:
    orders, numbers = book.orders, book.numbers
    while numbers[TIMED] > 0 and orders[at_turn(book, NOTHING) + EXPIRE] <= t:
        slot = at_turn(book, NOTHING)
        cancel(book, slot, orders[slot + OPEN], reason)


@jit
def _set_phase(book: Book, phase: int) -> None:
    numbers = book.numbers
    numbers[PHASE] = phase
    tell(book, PHASE_SET, phase, numbers[HAS_REF], numbers[REF], NOTHING)
