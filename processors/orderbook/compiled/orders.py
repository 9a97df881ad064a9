"""Rows of open orders: where they come from, and what becomes of them. And what is told of them."""

from processors.orderbook.compiled.expiry import delist, enlist
from processors.orderbook.compiled.jit import inlined, jit
from processors.orderbook.compiled.layout import (
    ACCT,
    AHEAD,
    ARRIVAL,
    BEHIND,
    CANCELLED,
    ENDED,
    EVENT_COLUMNS,
    EVENT_FIRST,
    EVENT_KIND,
    EVENT_OP,
    EVENT_PRICE,
    EVENT_QTY,
    EVENT_SECOND,
    EXPIRE,
    FILLED,
    FREE_ORDER,
    GTD,
    ID,
    LEVEL,
    NONE,
    NOTHING,
    ONLY_POST,
    OP,
    OP_ACCT,
    OP_EXPIRE,
    OP_ID,
    OP_PRICE,
    OP_QTY,
    OP_STP,
    OP_STYLE,
    OPEN,
    OPEN_ORDERS,
    ORDER_COLUMNS,
    PLACE,
    POST_ONLY,
    PRICE,
    RESTED,
    SELLS,
    SEQUENCE,
    SIDE,
    STP,
    TIF,
    TURN,
    USED_ORDERS,
    WRITTEN,
)
from processors.orderbook.compiled.levels import join, leave
from processors.orderbook.compiled.memory import Book


@inlined
def tell(book: Book, kind: int, first: int, second: int, price: int, qty: int) -> None:  # noqa: PLR0917  the columns, in their order
    """One event more. There is a row for it: `run` saw to that before the operation."""
    events, numbers = book.events, book.numbers
    row = numbers[WRITTEN]
    numbers[WRITTEN] = row + EVENT_COLUMNS
    events[row + EVENT_OP] = numbers[OP]
    events[row + EVENT_KIND] = kind
    events[row + EVENT_FIRST] = first
    events[row + EVENT_SECOND] = second
    events[row + EVENT_PRICE] = price
    events[row + EVENT_QTY] = qty


@inlined
def is_full(book: Book) -> bool:
    """Whether there is no row for another order."""
    numbers = book.numbers
    return numbers[FREE_ORDER] == NONE and numbers[USED_ORDERS] == book.orders_end


@inlined
def admit(book: Book, at: int) -> int:
    """An order of an operation has the next arrival number, and no place among the others yet. Its row."""
    orders, ops, numbers = book.orders, book.ops, book.numbers
    slot, style = _free_row(book), ops[at + OP_STYLE]
    numbers[SEQUENCE] += 1
    numbers[OPEN_ORDERS] += 1
    orders[slot + ID] = ops[at + OP_ID]
    orders[slot + ACCT] = ops[at + OP_ACCT]
    orders[slot + OPEN] = ops[at + OP_QTY]
    orders[slot + FILLED] = 0
    orders[slot + LEVEL] = NONE
    orders[slot + AHEAD] = NONE
    orders[slot + BEHIND] = NONE
    orders[slot + PRICE] = ops[at + OP_PRICE]
    orders[slot + SIDE] = (style & SELLS) // SELLS
    orders[slot + POST_ONLY] = style & ONLY_POST
    orders[slot + STP] = ops[at + OP_STP]
    orders[slot + PLACE] = numbers[SEQUENCE]
    orders[slot + ARRIVAL] = numbers[SEQUENCE]
    orders[slot + TURN] = NONE
    book.slots[ops[at + OP_ID]] = slot
    if style & TIF == GTD:
        orders[slot + EXPIRE] = ops[at + OP_EXPIRE]
        enlist(book, slot)
    return slot


@jit
def rest(book: Book, slot: int) -> None:
    """An order takes its place."""
    tell(book, RESTED, book.orders[slot + ID], NOTHING, NOTHING, NOTHING)
    join(book, slot)


@jit
def cancel(book: Book, slot: int, qty: int, reason: int) -> None:
    """Open quantity of an order is cancelled; with the last of it, the order ends."""
    tell(book, CANCELLED, book.orders[slot + ID], reason, NOTHING, qty)
    shrink(book, slot, qty)


@inlined
def shrink(book: Book, slot: int, by: int) -> None:
    """An order has less open; one with nothing open has ended."""
    book.orders[slot + OPEN] -= by
    if book.orders[slot + OPEN] == 0:
        end(book, slot)


@jit
def end(book: Book, slot: int) -> None:
    """An order ends: its row is free, its id never again."""
    orders, numbers = book.orders, book.numbers
    if orders[slot + LEVEL] != NONE:
        leave(book, slot)
    delist(book, slot)
    book.slots[orders[slot + ID]] = ENDED
    orders[slot + BEHIND] = numbers[FREE_ORDER]
    numbers[FREE_ORDER] = slot
    numbers[OPEN_ORDERS] -= 1


@jit
def _free_row(book: Book) -> int:
    numbers = book.numbers
    slot = numbers[FREE_ORDER]
    if slot != NONE:
        numbers[FREE_ORDER] = book.orders[slot + BEHIND]
        return slot
    slot = numbers[USED_ORDERS]
    numbers[USED_ORDERS] = slot + ORDER_COLUMNS
    return slot
