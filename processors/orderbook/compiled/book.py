"""A compiled book as Python sees it: batches of operations in, events out, both as arrays."""

import numpy as np

from processors.orderbook.book import BrokenBookError, Config
from processors.orderbook.compiled.layout import (
    AUCTION,
    BROKEN,
    CLOSE,
    CONTINUOUS,
    EVENT_COLUMNS,
    EVENT_OP,
    MORE_EVENTS,
    MORE_ORDERS,
    NEW,
    OP_COLUMNS,
    OP_ID,
    OP_KIND,
    OP_QTY,
    OPEN_ORDERS,
    USED_LEVELS,
    USED_ORDERS,
    WRITTEN,
)
from processors.orderbook.compiled.running import resting, run
from processors.orderbook.compiled.state import Ints, empty, with_ids, with_more_orders
from schemas.trading import Phase

_EVENTS_PER_OP = 3
"""Rows for events that a batch begins with. Pages that are not written to cost nothing."""
_MOST_OPS = 2**20
"""A batch's operations are carried out in parts of this many, so that events of a part take 150 MB at most, most often."""


class CompiledBook:
    """A book that is asked in handles: ids and accounts are numbers from 0 on, prices, quantities and times are int64.

    It does what `decide` and `apply` do, all at once, and tells the same events in the same order (layout.py says how). To ask it
    in names: `NamedBook`.
    """

    __slots__ = ("_book",)

    def __init__(self, config: Config | None = None, phase: Phase = Phase.CONTINUOUS, ref: int | None = None) -> None:
        """An empty book.

        Raises:
            OverflowError: a figure of the config, or the reference, is no int64.
        """
        self._book = empty(config or Config(), AUCTION if phase == Phase.AUCTION else CONTINUOUS, ref)

    @property
    def open_orders(self) -> int:
        """How many orders rest."""
        return int(self._book.numbers[OPEN_ORDERS])

    @property
    def nbytes(self) -> int:
        """Bytes of rows that were ever used. Others have no memory yet: the operating system gives it where it is written to."""
        book = self._book
        used = int(book.numbers[USED_ORDERS] + book.numbers[USED_LEVELS]) * book.numbers.itemsize
        return used + book.slots.nbytes + book.numbers.nbytes

    def run(self, ops: Ints) -> Ints:
        """Carries out operations in their order.

        Args:
            ops: one row each. [operations, OP_COLUMNS]

        Returns:
            What happened, in its order. [events, EVENT_COLUMNS]

        Raises:
            ValueError: these are no operations. Nothing was carried out.
            BrokenBookError: the engine withdraws what is not open. Operations before that were carried out.
        """
        ops = _checked(ops)
        self._book = with_ids(self._book, int(ops[:, OP_ID].max(initial=-1)) + 1)
        parts = [part for first in range(0, len(ops), _MOST_OPS) for part in self._part(ops[first : first + _MOST_OPS], first)]
        return parts[0] if len(parts) == 1 else np.concatenate([np.empty((0, EVENT_COLUMNS), np.int64), *parts])

    def resting(self, *, sells: bool) -> Ints:
        """Handle, price and open quantity of the orders of a side in priority order. [orders, 3]."""
        rows = np.empty((self.open_orders, 3), np.int64)
        return rows[: resting(self._book, int(sells), rows)]

    def _part(self, ops: Ints, first: int) -> list[Ints]:
        """Events of some operations, the first of which has this place among all. Rows that are too few become more in between."""
        parts: list[Ints] = []
        done, room = 0, _EVENTS_PER_OP * len(ops) + 64
        while done < len(ops):
            batch = self._book._replace(ops=ops, events=np.empty((room, EVENT_COLUMNS), np.int64))
            before = done
            done, status = run(batch, done)
            told = batch.events[: batch.numbers[WRITTEN] // EVENT_COLUMNS]
            told[:, EVENT_OP] += first
            parts.append(told)
            if status == BROKEN:
                raise BrokenBookError(
                    f"operation {first + done}: {ops[done, OP_QTY]} withdrawn of an order that does not have that"
                )
            if status == MORE_ORDERS:
                self._book = with_more_orders(self._book)
            elif status == MORE_EVENTS and done == before:
                room *= 2
        return parts


def _checked(ops: Ints) -> Ints:
    """Operations as the compiled code reads them, which looks at no bounds.

    Raises:
        ValueError: these are no operations.
    """
    if ops.dtype != np.int64 or ops.ndim != 2 or ops.shape[1] != OP_COLUMNS:
        raise ValueError(f"operations are int64 of {OP_COLUMNS} columns, not {ops.dtype} of shape {ops.shape}")
    if np.any((ops[:, OP_KIND] < NEW) | (ops[:, OP_KIND] > CLOSE) | (ops[:, OP_ID] < 0)):
        raise ValueError("an operation of no kind, or a handle below 0")
    return np.require(ops, requirements=["C", "W"])
