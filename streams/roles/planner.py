"""The planner's role: what history says goes to `profiles` as commands, so that it counts as what stands in the journal.

Whoever owns the one partition of the `clock` topic in this role's group plans; its ticks tell the time. Every few ticks it asks
which hours have closed and landed since, and when a planning interval is over:
    1. it reads the hours that it does not have yet, of every pool (streams/history.py)
    2. it publishes the pool's plan (streams/planner.py), chunk by chunk, each acknowledged before the next
    3. it notes that the interval is planned: in memory, and in a file for `bourse status`
A crash repeats what was not noted, with the same ids. A second planner for a moment publishes the same. While ClickHouse is away it
waits where it is, with growing pauses (streams/clickhouse.py, `until_done`), and says so; nothing else waits for it.

Memory: each pool's hours (processors/history.py), 134 to 270 MB at 100,000 tenants and a week, and one command.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeVar

import faust
from clickhouse_connect.driver.client import Client

from processors.history import History
from processors.rebalance import RebalanceSettings
from schemas.planning import PlanCommand
from streams.clickhouse import ClickHouse
from streams.codecs import encode
from streams.complaints import Refusal
from streams.history import HOUR_S, ClosedPool, Reader, hours_to_read
from streams.partition_counts import partition_count
from streams.partitioning import home_partition
from streams.planner import priors, rebalance
from streams.planner_note import PlannerNote
from streams.roles.clock_owner import ClockOwner
from streams.settings import Settings
from streams.ticks import is_tick, read_tick
from streams.transport import Batch, Outgoing, consumer_of, send_all

T = TypeVar("T")

LOOKS_EVERY_MS = 30_000
"""How often it asks whether an interval has closed, at most; more often where the intervals are short."""

LOOKS_AN_INTERVAL = 4


class Planner(ClockOwner):
    """Plans while this worker owns the `clock` topic's partition in its group."""

    def __init__(self, app: faust.App, settings: Settings) -> None:
        super().__init__(app, settings)
        self._store = ClickHouse(settings)
        self._reader = Reader(settings.clickhouse_database)
        self._histories: dict[str, History] = {}
        self._rebalancing: dict[str, RebalanceSettings | None] = {}
        self._planned: dict[str, int] = {}  # pool -> end of the last interval that was planned, seconds since 1970
        self._now_ms = 0
        self._ticked = asyncio.Event()

    async def take(self, batch: Batch) -> None:
        """Learn the time."""
        for record in reversed(batch.records):
            tick = read_tick(record.value, record.timestamp, self._settings.tick_ms) if is_tick(record.headers) else None
            if tick is not None and not isinstance(tick, Refusal):
                self._now_ms = max(self._now_ms, tick.tick * tick.tick_ms)
                self._ticked.set()
                break
        consumer_of(self._app).declare_safe(batch.tp, batch.last + 1, generation=batch.generation)

    async def _work(self) -> None:
        look_every_ms = min(LOOKS_EVERY_MS, self._settings.plan_every_s * 1000 // LOOKS_AN_INTERVAL)
        looked_ms = -look_every_ms
        while True:
            await self._ticked.wait()
            self._ticked.clear()
            if self._now_ms >= looked_ms + look_every_ms:
                looked_ms = self._now_ms
                await self._plan_what_is_due()

    async def _plan_what_is_due(self) -> None:
        every_s = self._settings.plan_every_s
        pools = await self._ask(self._reader.pools)
        due = [(pool, pool.end_s // every_s * every_s) for pool in pools]
        due = [(pool, as_of_s) for pool, as_of_s in due if as_of_s > self._planned.get(pool.pool, -1)]
        for pool, as_of_s in due:
            await self._read(pool, as_of_s)
        for pool, as_of_s in due:
            await self._plan(pool, as_of_s)

    async def _read(self, pool: ClosedPool, as_of_s: int) -> None:
        """Step 1. What is taken in stays: an outage in between repeats nothing."""
        settings = self._rebalancing[pool.pool] = await self._ask(partial(self._reader.rebalancing, pool=pool))
        look_back = max(self._settings.plan_look_back_s // HOUR_S, settings.look_back_h if settings else 0)
        history = self._histories.get(pool.pool)
        if history is None or (history.period_s, history.look_back) != (pool.period_s, look_back):
            history = History(pool.period_s, look_back)
        hours = hours_to_read(history, pool, as_of_s)
        if hours and history.through is not None and hours.start != history.through + 1:
            history = History(pool.period_s, look_back)  # it was away for longer than it looks back
        for hour in hours:
            used = await self._ask(partial(self._reader.hour, pool=pool, hour=hour))
            history.take(hour, used.tenant, used.tokens)
        self._histories[pool.pool] = history

    async def _plan(self, pool: ClosedPool, as_of_s: int) -> None:
        """Steps 2 and 3."""
        history = self._histories[pool.pool]
        standings = await self._ask(partial(self._reader.standings, pool=pool))
        if await self._ask(partial(self._reader.has_mixture, pool=pool)):
            told = await self._ask(partial(self._reader.told, pool=pool))
            await self._publish(pool.pool, priors(pool.pool, as_of_s, self._histories, standings, told))
        settings = self._rebalancing[pool.pool]
        if settings is not None:
            await self._publish(pool.pool, rebalance(pool.pool, as_of_s, history, standings, settings))
        self._planned[pool.pool] = as_of_s
        self._note(None)

    async def _publish(self, pool: str, commands: Iterator[PlanCommand]) -> None:
        """One after the other; made in a thread, as a chunk takes up to 50 ms."""
        topic, key = self._settings.topic("profiles"), pool.encode()
        partition = home_partition(key, await partition_count(self._app, topic))
        while (command := await asyncio.to_thread(next, commands, None)) is not None:
            acknowledged = await send_all(self._app, [Outgoing(topic, partition, key, encode(command))])
            await acknowledged

    async def _ask(self, question: Callable[[Client], T]) -> T:
        """ClickHouse's answer, however long it takes."""
        waited = False

        async def attempt(number: int) -> T:
            nonlocal waited
            if number == 2:
                waited = True
                self._note(self._now_ms)
            return await self._store.call(question)

        answer = await self._store.until_done(attempt)
        if waited:
            self._note(None)
        return answer

    def _note(self, waiting_since_ms: int | None) -> None:
        planned = {pool: as_of_s * 1000 for pool, as_of_s in sorted(self._planned.items())}
        PlannerNote(self._now_ms, planned, waiting_since_ms).write(self._settings)
