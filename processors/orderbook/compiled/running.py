"""What Python calls: a batch of operations, and what rests.

numba keeps the machine code of a function that Python calls, and compiles it anew when its file changes; it does not look at what
it calls in other files. It does look at the values that a function closes over: here, at the edition of the whole package.

To compile takes 10 to 15 seconds once, to load what was kept 0.8 s (import of numba included: 1.5 s).
"""

import inspect
from collections.abc import Callable
from hashlib import sha256
from typing import NamedTuple

from processors.orderbook.compiled import checks, expiry, layout, levels, matching, memory, orders, phases, state, wide
from processors.orderbook.compiled import jit as compiling
from processors.orderbook.compiled import uncross as uncrossing
from processors.orderbook.compiled.jit import entry, inlined, jit
from processors.orderbook.compiled.layout import (
    ACCT,
    BEHIND,
    BROKEN,
    CANCEL,
    CLOCK,
    CLOSE,
    DONE,
    EDITION,
    EVENT_COLUMNS,
    HEAD,
    ID,
    MORE_EVENTS,
    MORE_ORDERS,
    NEW,
    NEXT,
    NONE,
    OP,
    OP_ACCT,
    OP_COLUMNS,
    OP_ID,
    OP_KIND,
    OP_PRICE,
    OP_QTY,
    OP_STP,
    OP_STYLE,
    OPEN,
    OPEN_ORDERS,
    PRICE,
    REDUCE,
    REPLACE,
    SIDE,
    STP,
    TO_AUCTION,
    UNCROSS,
    WITHDRAW,
    WRITTEN,
)
from processors.orderbook.compiled.levels import best, key_of
from processors.orderbook.compiled.matching import cancel_by_user, met, new, other_side, reach_of, reduce, replace, withdraw
from processors.orderbook.compiled.memory import Book, book_in
from processors.orderbook.compiled.orders import is_full
from processors.orderbook.compiled.phases import clock, close, to_auction, uncross
from processors.orderbook.compiled.state import Arrays, Ints

_PARTS = (checks, compiling, expiry, layout, levels, matching, memory, orders, phases, state, uncrossing, wide)


class Entries(NamedTuple):
    """The functions that Python calls.

    Attributes:
        run: carries out `ops` from a given row on, and stops before an operation for which there is no room. Gives the row that it
            stopped at and why (DONE, MORE_ORDERS, MORE_EVENTS, BROKEN). Events are in the first rows of `events`, up to WRITTEN.
        resting: writes id, price and open quantity of the orders of a side in priority order. Gives their number.
    """

    run: Callable[[Arrays, int], tuple[int, int]]
    resting: Callable[[Arrays, int, Ints], int]


def _edition() -> int:
    sources = "".join(inspect.getsource(module) for module in _PARTS)
    return int.from_bytes(sha256(sources.encode()).digest()[:7])


def _entries(edition: int) -> Entries:
    @entry
    def run(arrays: Arrays, start: int) -> tuple[int, int]:
        book = book_in(arrays)
        numbers = book.numbers
        numbers[EDITION] = edition  # closes over it
        numbers[WRITTEN] = 0
        for row in range(start, len(arrays.ops)):
            at = row * OP_COLUMNS
            if book.ops[at + OP_KIND] == NEW and is_full(book):
                return row, MORE_ORDERS
            if not _has_room(book, at):
                return row, MORE_EVENTS
            numbers[OP] = row
            if not _carry_out(book, at):
                return row, BROKEN
        return len(arrays.ops), DONE

    @entry
    def resting(arrays: Arrays, side: int, rows: Ints) -> int:
        book = book_in(arrays)
        book.numbers[EDITION] = edition
        count, level = 0, best(book, side)
        while level != NONE:
            slot = book.levels[level + HEAD]
            while slot != NONE:
                rows[count, 0] = book.orders[slot + ID]
                rows[count, 1] = book.orders[slot + PRICE]
                rows[count, 2] = book.orders[slot + OPEN]
                count += 1
                slot = book.orders[slot + BEHIND]
            level = book.levels[level + NEXT]
        return count

    return Entries(run, resting)


@inlined
def _carry_out(book: Book, at: int) -> bool:
    """One operation. False, and nothing is done, if it is one that only a fault can ask for."""
    kind = book.ops[at + OP_KIND]
    if kind == NEW:
        new(book, at)
    elif kind == CANCEL:
        cancel_by_user(book, at)
    elif kind == REDUCE:
        reduce(book, at)
    elif kind == REPLACE:
        replace(book, at)
    elif kind == WITHDRAW:
        return withdraw(book, at)
    elif kind == CLOCK:
        clock(book, at)
    elif kind == TO_AUCTION:
        to_auction(book)
    elif kind == UNCROSS:
        uncross(book)
    elif kind == CLOSE:
        close(book)
    return True


@inlined
def _has_room(book: Book, at: int) -> bool:
    """Whether there are rows for all events that an operation may have.

    Three at most, but: a new or replaced order has two for each that it meets, and whatever concerns all orders has one for each.
    Where two for every open order fit, nothing is counted.
    """
    room, kind = (book.events_end - book.numbers[WRITTEN]) // EVENT_COLUMNS, book.ops[at + OP_KIND]
    if room >= 3 + 2 * book.numbers[OPEN_ORDERS]:
        return True
    if kind == NEW:
        ops = book.ops
        style = ops[at + OP_STYLE]
        _, count = met(book, other_side(style), reach_of(book, at), ops[at + OP_ACCT], ops[at + OP_STP], ops[at + OP_QTY])
        return room >= 3 + 2 * count
    if kind == REPLACE:
        return room >= 3 + 2 * _met_by_replaced(book, at)
    return room >= 3 + (book.numbers[OPEN_ORDERS] if kind in (CLOCK, UNCROSS, CLOSE) else 0)


@jit
def _met_by_replaced(book: Book, at: int) -> int:
    """How many orders one would meet with its new price and total, if it is replaced at all."""
    ops, orders = book.ops, book.orders
    slot = book.slots[ops[at + OP_ID]]
    if slot < 0:
        return 0
    side = 1 - orders[slot + SIDE]
    reach = key_of(side, ops[at + OP_PRICE])
    return met(book, side, reach, orders[slot + ACCT], orders[slot + STP], ops[at + OP_QTY])[1]


run, resting = _entries(_edition())
