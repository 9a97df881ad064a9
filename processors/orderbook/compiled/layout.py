"""What stands where: every number of a compiled book is an int64 in one of a few arrays.

Ids and accounts are handles: numbers from 0 on that the caller gives to names (names.py).
"""

from typing import Final, cast

import numpy as np


def _code(number: int) -> int:
    """A number that functions are given. Of plain ones numba compiles a function for each value that it is given."""
    return cast("int", np.int64(number))


NONE: Final = -1
"""No order, no level, no place."""
NOTHING: Final = _code(0)
"""What an event or an operation does not say."""

BUY: Final = _code(0)
SELL: Final = _code(1)

INT64_MIN: Final = -(2**63)
INT64_MAX: Final = 2**63 - 1

# Columns of an open order: 128 bytes, of which matching reads the first half.
ID: Final = 0
ACCT: Final = 1
OPEN: Final = 2
FILLED: Final = 3
LEVEL: Final = 4  # where it rests, or NONE
AHEAD: Final = 5  # the order before it in its level
BEHIND: Final = 6  # the one after it; of a free row: the next free one
PRICE: Final = 7
SIDE: Final = 8
POST_ONLY: Final = 9
STP: Final = 10
PLACE: Final = 11
ARRIVAL: Final = 12
EXPIRE: Final = 13
TURN: Final = 14  # its place in the heap of those that expire, or NONE
HEAP: Final = 15  # not of this order: column of that heap, of rows of orders
ORDER_COLUMNS: Final = 16

# Columns of a level. Rows 0 and 1 stand before the first level of bids and of asks.
KEY: Final = 0  # ascends from the best price to the worst: the price of asks, its complement of bids
HEAD: Final = 1  # of a free row: the next free one
TAIL: Final = 2
HEIGHT: Final = 3
BETTER: Final = 4  # the level before it, during an uncross
NEXT: Final = 5  # the next level, then the next one that is at least 2, 3, ... high
TALLEST: Final = 11  # of those of a height a quarter is higher: enough for 4^11, 4 million, of one side
LEVEL_COLUMNS: Final = NEXT + TALLEST

# What the book is and has, one number each.
TICK: Final = 0
LOT: Final = 1
MAX_QTY: Final = 2
PMIN: Final = 3
PMAX: Final = 4
PHASE: Final = 5
HAS_REF: Final = 6
REF: Final = 7
HAS_NOW: Final = 8
NOW: Final = 9
CLOSED: Final = 10
SEQUENCE: Final = 11
OPEN_ORDERS: Final = 12
TIMED: Final = 13  # orders in the heap of those that expire
FREE_ORDER: Final = 14  # first of the chain of rows that were used and are free, or NONE
USED_ORDERS: Final = 15  # where rows begin that were never used
FREE_LEVEL: Final = 16
USED_LEVELS: Final = 17
DICE: Final = 18  # state of the random numbers that heights of levels come from
OP: Final = 19  # which operation of the batch is carried out
WRITTEN: Final = 20  # where the rows of the batch's events end
EDITION: Final = 21
PATH: Final = 22  # scratch: where a search in a skip list came by, by height
NUMBERS: Final = PATH + TALLEST

# What became of an id: NEVER accepted, ENDED, or else the row of the open order.
NEVER: Final = -1
ENDED: Final = -2

# Columns of an operation: 64 bytes, one line of cache.
OP_KIND: Final = 0
OP_ID: Final = 1
OP_ACCT: Final = 2
OP_PRICE: Final = 3
OP_QTY: Final = 4  # also what is reduced or withdrawn, and the time of a clock
OP_STYLE: Final = 5  # bits, see below
OP_STP: Final = 6
OP_EXPIRE: Final = 7
OP_COLUMNS: Final = 8

# Kinds of operations.
NEW: Final = 0
CANCEL: Final = 1
REDUCE: Final = 2
REPLACE: Final = 3
WITHDRAW: Final = 4
CLOCK: Final = 5
TO_AUCTION: Final = 6
UNCROSS: Final = 7
CLOSE: Final = 8

# Bits of a style. The lowest three are the time in force.
TIF: Final = 7
GTC: Final = _code(0)
IOC: Final = 1
FOK: Final = 2
GTD: Final = 3
UNKNOWN_TIF: Final = 4
SELLS: Final = 8
MARKET: Final = 16
ONLY_POST: Final = 32
PRICED: Final = 64  # OP_PRICE is a price: a whole number of 64 bits
TIMED_OUT: Final = 128  # OP_EXPIRE is a time

# Self-trade prevention.
STP_NONE: Final = 0
CANCEL_TAKER: Final = 1
CANCEL_MAKER: Final = 2
CANCEL_BOTH: Final = 3
DECREMENT: Final = 4

# Phases.
CONTINUOUS: Final = _code(0)
AUCTION: Final = _code(1)

# Columns of an event: of which operation, what, and what is said of it.
EVENT_OP: Final = 0
EVENT_KIND: Final = 1
EVENT_FIRST: Final = 2  # the id; the maker, the buy; the phase
EVENT_SECOND: Final = 3  # the taker, the sell; a refusal, a reason; whether priority was kept; whether there is a reference
EVENT_PRICE: Final = 4
EVENT_QTY: Final = 5  # also a time
EVENT_COLUMNS: Final = 6

# Kinds of events.
ACCEPTED: Final = _code(0)
REJECTED: Final = _code(1)
FILLED_EVENT: Final = _code(2)
CROSSED: Final = _code(3)
RESTED: Final = _code(4)
CANCELLED: Final = _code(5)
REDUCED: Final = _code(6)
REPLACED: Final = _code(7)
CLOCK_SET: Final = _code(8)
PHASE_SET: Final = _code(9)
CLOSED_EVENT: Final = _code(10)

# Whether a replaced order kept its priority.
LOST: Final = _code(0)
KEPT: Final = _code(1)

# Refusals: rows of codes.REFUSALS, a reason and a field each.
FINE: Final = _code(-1)
REFUSED_CLOSED: Final = _code(0)
REFUSED_DUPLICATE: Final = _code(1)
REFUSED_QTY: Final = _code(2)
REFUSED_PRICE: Final = _code(3)
REFUSED_TIF: Final = _code(4)
REFUSED_TIF_POST_ONLY: Final = _code(5)
REFUSED_TIF_EXPIRE: Final = _code(6)
REFUSED_EXPIRED: Final = _code(7)
REFUSED_AUCTION_TIF: Final = _code(8)
REFUSED_AUCTION_POST_ONLY: Final = _code(9)
REFUSED_CROSSES: Final = _code(10)
REFUSED_FOK: Final = _code(11)
REFUSED_UNKNOWN: Final = _code(12)
REFUSED_OWNER: Final = _code(13)
REFUSED_BY: Final = _code(14)

# Reasons of cancels: rows of codes.CANCEL_REASONS. A withdrawal's reason is the operation's own.
BY_USER: Final = _code(0)
BY_UNFILLED: Final = _code(1)
BY_SELF_TRADE: Final = _code(2)
BY_EXPIRY: Final = _code(3)
BY_CLOSE: Final = _code(4)
BY_WITHDRAWAL: Final = _code(5)

# How a batch ended.
DONE: Final = 0
MORE_ORDERS: Final = 1  # there is no row for another order
MORE_EVENTS: Final = 2  # the next operation may have more events than there are rows for
BROKEN: Final = 3  # a withdrawal that does not fit
