"""Books as everybody may see them: best prices first, followed on the topic `market`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

from schemas.outputs import Depth, output_key
from streams.codecs import decode
from streams.settings import Settings
from streams.tailing import CaughtUp, Tail


@dataclass(frozen=True, slots=True)
class TopOfBook:
    """The best price of each side (nanocredits per token) with its tokens; None where a side is empty."""

    period: int
    bid: int | None
    bid_qty: int
    ask: int | None
    ask_qty: int
    last_price: int | None


def top_of(depth: Depth) -> TopOfBook:
    """The first level of each side."""
    bid, ask = (levels[0] if levels else None for levels in (depth.bid_price, depth.ask_price))
    return TopOfBook(depth.period, bid, sum(depth.bid_qty[:1]), ask, sum(depth.ask_qty[:1]), depth.last_price)


@dataclass(frozen=True, slots=True)
class _Closed:
    """The instrument's period is over."""


class DepthTail:
    """Follows one instrument from what it is now on.

    The topic keeps the newest value of each key, and not much besides: it is read from its beginning (some megabytes at most).
    """

    def __init__(self, settings: Settings, pool: str, period: int) -> None:
        self._key = output_key(pool, period)
        self._tail: Tail[Depth | _Closed] = Tail(settings, settings.topic("market"), pool, self._read)

    async def start(self) -> None:
        """Begins to read.

        Raises:
            Unavailable: no broker answers, or none has the topic.
        """
        await self._tail.start(0)

    async def depths(self) -> AsyncIterator[Depth | None]:
        """The book as it is now, then each change. None: it is not there: nobody has ordered yet, or its period has closed.

        Raises:
            Unavailable: Kafka denies access.
        """
        newest: Depth | None = None
        told = False
        async for items in self._tail.lists():
            changed = not told
            for item in items:
                if isinstance(item, CaughtUp):
                    told = True
                elif isinstance(item, _Closed):
                    newest, changed = None, changed or newest is not None
                elif newest is None or item.journal_offset >= newest.journal_offset:
                    newest, changed = item, True
            if told and changed:
                yield newest

    async def close(self) -> None:
        """Stops reading; safe to call twice."""
        await self._tail.close()

    def _read(self, offset: int, key: bytes | None, value: bytes | None) -> Iterable[Depth | _Closed]:  # noqa: ARG002  as `Tail` calls
        if key != self._key:
            return ()
        if value is None:
            return (_Closed(),)
        told = decode(value)
        return (told,) if isinstance(told, Depth) else ()
