"""Orders that expire, the next one first: a binary heap of their rows by `expire`, then by the place that they have in the book.

Every order knows its place in the heap, so that it leaves at once when it ends otherwise: O(log of such orders).
"""

from processors.orderbook.compiled.jit import jit
from processors.orderbook.compiled.layout import EXPIRE, HEAP, NONE, PLACE, TIMED, TURN
from processors.orderbook.compiled.state import Arrays


@jit
def enlist(book: Arrays, slot: int) -> None:
    """An order that expires joins."""
    last = book.numbers[TIMED]
    book.numbers[TIMED] = last + 1
    _put(book, last, slot)
    _rise(book, slot)


@jit
def delist(book: Arrays, slot: int) -> None:
    """An order leaves, if it is one that expires."""
    turn = book.orders[slot, TURN]
    if turn == NONE:
        return
    book.orders[slot, TURN] = NONE
    last = book.numbers[TIMED] - 1
    book.numbers[TIMED] = last
    if turn == last:
        return
    moved = book.orders[last, HEAP]
    _put(book, turn, moved)
    _rise(book, moved)
    _sink(book, moved)


@jit
def placed_again(book: Arrays, slot: int) -> None:
    """An order has a later place than before."""
    if book.orders[slot, TURN] != NONE:
        _sink(book, slot)


@jit
def _rise(book: Arrays, slot: int) -> None:
    turn = book.orders[slot, TURN]
    while turn > 0:
        above = (turn - 1) // 2
        other = book.orders[above, HEAP]
        if not _sooner(book, slot, other):
            break
        _put(book, turn, other)
        turn = above
    _put(book, turn, slot)


@jit
def _sink(book: Arrays, slot: int) -> None:
    turn, timed = book.orders[slot, TURN], book.numbers[TIMED]
    while True:
        below = 2 * turn + 1
        if below >= timed:
            break
        if below + 1 < timed and _sooner(book, book.orders[below + 1, HEAP], book.orders[below, HEAP]):
            below += 1
        other = book.orders[below, HEAP]
        if not _sooner(book, other, slot):
            break
        _put(book, turn, other)
        turn = below
    _put(book, turn, slot)


@jit
def _put(book: Arrays, turn: int, slot: int) -> None:
    book.orders[turn, HEAP] = slot
    book.orders[slot, TURN] = turn


@jit
def _sooner(book: Arrays, one: int, other: int) -> bool:
    orders = book.orders
    if orders[one, EXPIRE] != orders[other, EXPIRE]:
        return orders[one, EXPIRE] < orders[other, EXPIRE]
    return orders[one, PLACE] < orders[other, PLACE]
