"""Orders that expire, the next one first: a binary heap of their rows by `expire`, then by the place that they have in the book.

Every order knows its place in the heap, so that it leaves at once when it ends otherwise: O(log of such orders).
"""

from processors.orderbook.compiled.jit import inlined, jit
from processors.orderbook.compiled.layout import EXPIRE, HEAP, NONE, ORDER_COLUMNS, PLACE, TIMED, TURN
from processors.orderbook.compiled.memory import Book


@inlined
def at_turn(book: Book, turn: int) -> int:
    """The order at a place of the heap."""
    return book.orders[turn * ORDER_COLUMNS + HEAP]


@jit
def enlist(book: Book, slot: int) -> None:
    """An order that expires joins."""
    last = book.numbers[TIMED]
    book.numbers[TIMED] = last + 1
    _put(book, last, slot)
    _rise(book, slot)


@jit
def delist(book: Book, slot: int) -> None:
    """An order leaves, if it is one that expires."""
    turn = book.orders[slot + TURN]
    if turn == NONE:
        return
    book.orders[slot + TURN] = NONE
    last = book.numbers[TIMED] - 1
    book.numbers[TIMED] = last
    if turn == last:
        return
    moved = at_turn(book, last)
    _put(book, turn, moved)
    _rise(book, moved)
    _sink(book, moved)


@jit
def placed_again(book: Book, slot: int) -> None:
    """An order has a later place than before."""
    if book.orders[slot + TURN] != NONE:
        _sink(book, slot)


@jit
def _rise(book: Book, slot: int) -> None:
    turn = book.orders[slot + TURN]
    while turn > 0:
        above = (turn - 1) // 2
        other = at_turn(book, above)
        if not _sooner(book, slot, other):
            break
        _put(book, turn, other)
        turn = above
    _put(book, turn, slot)


@jit
def _sink(book: Book, slot: int) -> None:
    turn, timed = book.orders[slot + TURN], book.numbers[TIMED]
    while True:
        below = 2 * turn + 1
        if below >= timed:
            break
        if below + 1 < timed and _sooner(book, at_turn(book, below + 1), at_turn(book, below)):
            below += 1
        other = at_turn(book, below)
        if not _sooner(book, other, slot):
            break
        _put(book, turn, other)
        turn = below
    _put(book, turn, slot)


@jit
def _put(book: Book, turn: int, slot: int) -> None:
    book.orders[turn * ORDER_COLUMNS + HEAP] = slot
    book.orders[slot + TURN] = turn


@jit
def _sooner(book: Book, one: int, other: int) -> bool:
    orders = book.orders
    if orders[one + EXPIRE] != orders[other + EXPIRE]:
        return orders[one + EXPIRE] < orders[other + EXPIRE]
    return orders[one + PLACE] < orders[other + PLACE]
