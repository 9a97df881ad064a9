"""The market's data as a client reads it: trades, books, and what happens to one tenant's orders, each as an async iterator."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from contextlib import aclosing
from types import TracebackType
from typing import Any, Self, TypeVar

from schemas.fact import Fact
from schemas.market_facts import OrderEvents, Trades, TransferEvents
from schemas.outputs import Depth
from streams.depths import DepthTail, TopOfBook, top_of
from streams.settings import Settings
from streams.tailing import CaughtUp, Tail
from streams.updates import Facts, Trade, Update, trades_of, updates_of

Item = TypeVar("Item")


class MarketReader:
    """Reads one pool's market from Kafka. Iterators survive restarts of the broker and of the engine, and tell each event once.

    Each iterator has a thread and a connection of its own; one that is not iterated on waits at a bounded number of records.

        async with MarketReader("llama-70b") as market:
            async for trade in market.trades():
                print(trade.period, trade.price, trade.qty)

    Args:
        pool: whose market.
        settings: how to reach Kafka; default: from the environment and `bourse.toml`.
    """

    def __init__(self, pool: str, settings: Settings | None = None) -> None:
        self.pool = pool
        self.settings = settings or Settings.load()
        self._opened_at: int | None = None
        self._opening = asyncio.Lock()
        self._following: set[Tail[Any] | DepthTail] = set()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def open(self) -> int:
        """Notes where `facts` ends: what is decided from now on is new. Done by `async with`, or else when it is first needed.

        Returns:
            The offset of the first new fact.

        Raises:
            Unavailable: Kafka does not answer, or has no such topics.
        """
        async with self._opening:
            if self._opened_at is None:
                tail: Tail[Fact] = Tail(self.settings, self.settings.topic("facts"), self.pool, lambda *_: ())
                try:
                    self._opened_at = await tail.end()
                finally:
                    await tail.close()
        return self._opened_at

    async def updates_of(self, tenant: str, after: int | None = None) -> AsyncIterator[Update]:
        """What happens to a tenant's orders and transfers, whoever sent the commands.

        Args:
            tenant: whose.
            after: offset of an update: those behind it, from the past into the future; -1: all there ever were. None: those
                decided since this reader was opened.

        Raises:
            Unavailable: Kafka does not answer at first, or denies access.
        """
        kinds = (OrderEvents, TransferEvents)
        async for update in self._facts(kinds, lambda fact, offset: updates_of(tenant, fact, offset), after):
            yield update

    async def trades(self, period: int | None = None, after: int | None = None) -> AsyncIterator[Trade]:
        """Everybody's trades of a period, or of all; `after` and errors as of `updates_of`."""
        async for trade in self._facts((Trades,), lambda fact, offset: trades_of(period, fact, offset), after):
            yield trade

    async def depth(self, period: int) -> AsyncGenerator[Depth | None, None]:
        """The book of a period: as it is now, then (at most 50 times a second) as it has become.

        None where there is no book: nobody has ordered yet, or the period has closed. Errors as of `updates_of`.
        """
        tail = DepthTail(self.settings, self.pool, period)
        self._following.add(tail)
        try:
            await tail.start()
            async for depth in tail.depths():
                yield depth
        finally:
            await self._leave(tail)

    async def top_of_book(self, period: int) -> AsyncIterator[TopOfBook | None]:
        """As `depth`, but the best prices only, and only when they change."""
        told: list[TopOfBook | None] = []
        async for depth in self.depth(period):
            top = None if depth is None else top_of(depth)
            if [top] != told:
                told = [top]
                yield top

    async def last_depth(self, period: int) -> Depth | None:
        """The book of a period as it is now; None where there is none."""
        async with aclosing(self.depth(period)) as depths:
            async for depth in depths:
                return depth
        return None

    async def last_top_of_book(self, period: int) -> TopOfBook | None:
        """The best prices of a period as they are now; None where there is no book."""
        depth = await self.last_depth(period)
        return None if depth is None else top_of(depth)

    async def close(self) -> None:
        """Ends all iterators; safe to call twice."""
        for following in list(self._following):
            await self._leave(following)

    async def _facts(
        self, kinds: Iterable[type[Fact]], make: Callable[[Fact, int], Iterable[Item]], after: int | None
    ) -> AsyncIterator[Item]:
        """What `make` gives of each fact of these kinds."""
        since = await self.open() if after is None else after + 1
        tail = Tail(self.settings, self.settings.topic("facts"), self.pool, Facts(self.pool, kinds, make, since=since))
        self._following.add(tail)
        try:
            await tail.start(max(since - 1, 0))  # the one before tells which facts are known
            async for found in tail.lists():
                for item in found:
                    if not isinstance(item, CaughtUp):
                        yield item
        finally:
            await self._leave(tail)

    async def _leave(self, following: Tail[Any] | DepthTail) -> None:
        self._following.discard(following)
        await following.close()
