"""The planner's role: what history says goes to `profiles` as commands, so that it counts as what stands in the journal.

Whoever owns the one partition of the `clock` topic in this role's group plans; its ticks tell the time. Every few ticks it asks
which hours have closed and landed since, and when a planning interval is over:
    1. it reads the hours that it does not have yet, of every pool (streams/history.py), and how the pool's tenants stand.
       Guarantees that a plan never waits for ClickHouse half published
    2. it publishes the pool's plan (streams/planner.py), chunk by chunk, each acknowledged before the next
    3. it notes that the interval is planned: in memory, and in a file for `bourse status`
A crash repeats what was not noted, with the same ids. A second planner for a moment publishes the same. While ClickHouse is away
step 1 is tried again, with growing pauses (streams/clickhouse.py, `until_done`), which is noted; nothing else waits for it.

Memory: each pool's hours (processors/history.py), 134 to 270 MB at 100,000 tenants and a week, and one command.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import faust

from schemas.planning import PlanCommand
from streams.clickhouse import ClickHouse
from streams.codecs import encode
from streams.complaints import Refusal
from streams.partition_counts import partition_count
from streams.partitioning import home_partition
from streams.planner import Plans
from streams.planner_note import PlannerNote
from streams.roles.clock_owner import ClockOwner
from streams.settings import Settings
from streams.ticks import is_tick, read_tick
from streams.transport import Batch, Outgoing, consumer_of, send_all

LOOKS_EVERY_MS = 30_000
"""How often it asks whether an interval has closed, at most; more often where the intervals are short."""

LOOKS_AN_INTERVAL = 4


class Planner(ClockOwner):
    """Plans while this worker owns the `clock` topic's partition in its group."""

    def __init__(self, app: faust.App, settings: Settings) -> None:
        super().__init__(app, settings)
        self._plans = Plans(settings, ClickHouse(settings), lambda waits: self._note(self._now_ms if waits else None))
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
        while (found := await self._plans.next()) is not None:
            await self._publish(found.pool, self._plans.commands(found))
            self._plans.planned[found.pool] = found.as_of_s
            self._note(None)

    async def _publish(self, pool: str, commands: Iterator[PlanCommand]) -> None:
        """One after the other, made in a thread."""
        topic, key = self._settings.topic("profiles"), pool.encode()
        partition = home_partition(key, await partition_count(self._app, topic))
        while (command := await asyncio.to_thread(next, commands, None)) is not None:
            acknowledged = await send_all(self._app, [Outgoing(topic, partition, key, encode(command))])
            await acknowledged

    def _note(self, waiting_since_ms: int | None) -> None:
        planned = {pool: as_of_s * 1000 for pool, as_of_s in sorted(self._plans.planned.items())}
        PlannerNote(self._now_ms, planned, waiting_since_ms).write(self._settings)
