"""A compiled book that is asked in the operations of `decide`, and tells its events."""

from collections.abc import Collection, Sequence

import numpy as np

from processors.orderbook.book import Config
from processors.orderbook.compiled.book import CompiledBook
from processors.orderbook.compiled.layout import CANCELLED, CLOSED_EVENT, CROSSED, EVENT_KIND, FILLED_EVENT, REJECTED
from processors.orderbook.compiled.names import Translator
from processors.orderbook.events import BookEvent
from processors.orderbook.operations import Op
from schemas.trading import Phase, Side

ALL_KINDS = range(CLOSED_EVENT + 1)
OUTCOMES = (FILLED_EVENT, CROSSED, CANCELLED, REJECTED)
"""Kinds that tell what became of operations. Half of all events say only that an order was taken, or that it rests."""


class NamedBook:
    """One book. A batch costs its translation: several times what the matching takes, and less than the readable engine."""

    __slots__ = ("_book", "_translator")

    def __init__(self, config: Config | None = None, phase: Phase = Phase.CONTINUOUS, ref: int | None = None) -> None:
        """An empty book.

        Raises:
            OverflowError: a figure of the config, or the reference, is no int64.
        """
        config = config or Config()
        self._book = CompiledBook(config, phase, ref)
        self._translator = Translator(config.lot)

    def run(self, ops: Sequence[Op], told: Collection[int] = ALL_KINDS) -> list[BookEvent]:
        """Carries out operations; what happened, as `decide` would have told it one by one.

        Args:
            ops: operations, in their order.
            told: kinds of events (layout.py) that are wanted.

        Raises:
            OverflowError: a time is no int64. Nothing was carried out.
            BrokenBookError: the engine withdraws what is not open. Operations before that were carried out.
        """
        rows = self._book.run(self._translator.rows(ops))
        if len(told) < len(ALL_KINDS):
            rows = rows[np.isin(rows[:, EVENT_KIND], list(told))]
        return list(self._translator.events(rows, ops))

    def resting(self, side: Side) -> list[tuple[str, int, int]]:
        """Id, price and open quantity of the orders of a side in priority order."""
        rows = self._book.resting(sells=side == Side.SELL)
        return [(self._translator.name(handle), price, qty) for handle, price, qty in rows.tolist()]
