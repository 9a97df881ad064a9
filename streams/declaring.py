"""Declaring offsets safe, in order, each when everything that came of the records below it is acknowledged."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Iterable, Sequence

import faust
from faust.types import TP

from streams.transport import Batch, Outgoing, consumer_of, send_all

MAX_PENDING = 4
"""Declarations of a partition that may wait for acknowledgements: enough to keep reading while the broker writes, few enough that a
broker which answers slowly slows reading down instead of filling memory."""

SETTLE_S = 2.0
"""How long a rebalance may wait for acknowledgements, s; what stays undeclared is read again."""


class InOrder:
    """Sends what came of a partition's records and declares them safe behind it, while reading goes on.

    1. `send` puts records into the producer's buffer, in order within each partition that they go to.
    2. `declare` waits, in the background, until all that was sent for the partition before it is acknowledged,
    3. and until every earlier declaration of the partition is made; then it makes its own.
    A failed send crashes the app and nothing behind it is ever declared.
    """

    def __init__(self, app: faust.App) -> None:
        self._app = app
        self._sent: dict[TP, list[asyncio.Future[list[int]]]] = defaultdict(list)
        self._pending: dict[TP, deque[asyncio.Task[None]]] = defaultdict(deque)

    async def send(self, tp: TP, records: Sequence[Outgoing]) -> None:
        """Send what came of records of `tp`."""
        if records:
            unacknowledged = [sent for sent in self._sent[tp] if not sent.done() or sent.exception() is not None]
            self._sent[tp] = [*unacknowledged, await send_all(self._app, records)]

    async def declare(self, batch: Batch, next_offset: int, note: str = "") -> None:
        """Everything below `next_offset` is safe once all that was sent for the partition so far is acknowledged.

        Waits only while MAX_PENDING declarations of the partition are outstanding.
        """
        pending = self._pending[batch.tp]
        while pending and (pending[0].done() or len(pending) >= MAX_PENDING):
            await pending.popleft()
        before = pending[-1] if pending else None
        acknowledgements = self._sent.pop(batch.tp, [])
        pending.append(asyncio.ensure_future(self._declare(batch, next_offset, note, acknowledgements, before)))

    async def _declare(
        self,
        batch: Batch,
        next_offset: int,
        note: str,
        acknowledgements: Iterable[asyncio.Future[list[int]]],
        before: asyncio.Task[None] | None,
    ) -> None:
        if before is not None:
            await before
        for acknowledged in acknowledgements:
            await acknowledged
        consumer_of(self._app).declare_safe(batch.tp, next_offset, note, generation=batch.generation)

    async def settle(self, tps: Iterable[TP]) -> None:
        """The partitions are being taken away: give outstanding declarations a moment, then forget them."""
        outstanding = {task for tp in tps for task in self._pending.pop(tp, ())}
        for tp in tps:
            self._sent.pop(tp, None)
        if outstanding:
            _, late = await asyncio.wait(outstanding, timeout=SETTLE_S)
            for task in late:
                task.cancel()
