"""A compiled book that is asked in the operations of `decide`, and tells its events."""

from collections.abc import Sequence

from processors.orderbook.book import Config
from processors.orderbook.compiled.book import CompiledBook
from processors.orderbook.compiled.names import Translator
from processors.orderbook.events import BookEvent
from processors.orderbook.operations import Op
from schemas.trading import Phase, Side


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

    def run(self, ops: Sequence[Op]) -> list[BookEvent]:
        """Carries out operations; what happened, as `decide` would have told it one by one.

        Raises:
            OverflowError: a time is no int64. Nothing was carried out.
            BrokenBookError: the engine withdraws what is not open. Operations before that were carried out.
        """
        told = self._book.run(self._translator.rows(ops))
        return list(self._translator.events(told, ops))

    def resting(self, side: Side) -> list[tuple[str, int, int]]:
        """Id, price and open quantity of the orders of a side in priority order."""
        rows = self._book.resting(sells=side == Side.SELL)
        return [(self._translator.name(handle), price, qty) for handle, price, qty in rows.tolist()]
