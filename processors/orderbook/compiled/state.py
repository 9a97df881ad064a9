"""The arrays of a compiled book, and how they grow."""

from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from processors.orderbook.book import Config
from processors.orderbook.compiled.layout import (
    DICE,
    EVENT_COLUMNS,
    FREE_LEVEL,
    FREE_ORDER,
    HAS_REF,
    LEVEL_COLUMNS,
    LOT,
    MAX_QTY,
    NEVER,
    NONE,
    NUMBERS,
    OP_COLUMNS,
    ORDER_COLUMNS,
    PHASE,
    PMAX,
    PMIN,
    REF,
    TICK,
    USED_LEVELS,
    USED_ORDERS,
)

Ints: TypeAlias = npt.NDArray[np.int64]

_FIRST_ROWS = 1024


class Arrays(NamedTuple):
    """A book, and the batch that it is asked. All int64; columns and single numbers: layout.py.

    Memory: 128 bytes for an open order, 128 for a level of prices, 8 for every id that was ever named.
    Rows that were never used cost nothing: the operating system gives memory where it is written to.

    Attributes:
        orders: open orders and free rows. [rows, ORDER_COLUMNS]
        levels: levels, each in a skip list of its side, and free rows. There are never more than orders. [rows + 2, LEVEL_COLUMNS]
        slots: what became of each id: where its order's row begins, or NEVER, or ENDED. [ids]
        numbers: what there is one of. [NUMBERS]
        ops: what the book is asked. [operations, OP_COLUMNS]
        events: what happened. [rows, EVENT_COLUMNS]
    """

    orders: Ints
    levels: Ints
    slots: Ints
    numbers: Ints
    ops: Ints
    events: Ints


def empty(config: Config, phase: int, ref: int | None) -> Arrays:
    """A book without orders.

    Raises:
        OverflowError: a figure of the config, or the reference, is no int64.
    """
    numbers = np.zeros(NUMBERS, np.int64)
    numbers[[TICK, LOT, MAX_QTY, PMIN, PMAX]] = (config.tick, config.lot, config.max_qty, config.pmin, config.pmax)
    numbers[[PHASE, HAS_REF, REF]] = (phase, ref is not None, ref or 0)
    numbers[[FREE_ORDER, FREE_LEVEL, USED_ORDERS, USED_LEVELS, DICE]] = (NONE, NONE, 0, 2 * LEVEL_COLUMNS, 1)
    book = Arrays(
        orders=np.empty((_FIRST_ROWS, ORDER_COLUMNS), np.int64),
        levels=np.empty((_FIRST_ROWS + 2, LEVEL_COLUMNS), np.int64),
        slots=np.full(_FIRST_ROWS, NEVER, np.int64),
        numbers=numbers,
        ops=np.empty((0, OP_COLUMNS), np.int64),
        events=np.empty((0, EVENT_COLUMNS), np.int64),
    )
    book.levels[:2] = NONE
    return book


def with_more_orders(book: Arrays) -> Arrays:
    """Twice the rows for orders. What is copied is what was ever used, so that an order pays for two copies at most."""
    rows = 2 * len(book.orders)
    used_orders, used_levels = book.numbers[USED_ORDERS] // ORDER_COLUMNS, book.numbers[USED_LEVELS] // LEVEL_COLUMNS
    return book._replace(
        orders=_longer(book.orders, rows, used_orders),
        levels=_longer(book.levels, rows + 2, used_levels),
    )


def with_ids(book: Arrays, count: int) -> Arrays:
    """Place for this many ids."""
    known = len(book.slots)
    if count <= known:
        return book
    slots = _longer(book.slots, max(count, 2 * known), known)
    slots[known:] = NEVER
    return book._replace(slots=slots)


def _longer(array: Ints, rows: int, used: int) -> Ints:
    longer = np.empty((rows, *array.shape[1:]), np.int64)
    longer[:used] = array[:used]
    return longer
