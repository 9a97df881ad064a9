"""The sink's role: one lander for each topic, which has the steps and what they guarantee (streams/lander.py)."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping

import faust
from faust.types import TP

from schemas.clickhouse import JOURNAL
from schemas.dead_letters import DeadLetter
from schemas.facts import FACTS
from schemas.model import Event
from streams.clickhouse import ClickHouse
from streams.door import OBSERVED, Door
from streams.landables import Reader, read_dead_letters, read_facts, read_inputs, read_journal
from streams.lander import Lander
from streams.partition_counts import partition_count
from streams.settings import Settings
from streams.standing import LandingTables
from streams.tables import create_tables
from streams.transport import Batch, Committed, attach, consumer_of

SETTLE_S = 5.0
"""How long a rebalance waits for an insert in flight, s. One that takes longer ends on its own; the views hide what it doubles."""

LANDED = ("usage", "latency", "admissions", "journal", "facts", "dead-letters")
"""Topics that land, without their prefix."""


class Sink:
    """Lands the partitions that this worker owns.

    Its agents, one for each of `topics`, give every batch to `take`; a topic that has to wait then delays no other.
    """

    def __init__(self, app: faust.App, settings: Settings, door: Door) -> None:
        self._app = app
        self._settings = settings
        self._door = door
        self._kinds = {settings.topic(kind): kind for kind in LANDED}
        self._store = ClickHouse(settings)
        self._landers: dict[str, Lander] = {}
        self._landing: set[asyncio.Task[None]] = set()
        self._generation = -1
        self._tables_are_there = False  # as far as this process has seen to it: a rebalance need not do it again
        attach(app, self, self.topics)

    @property
    def topics(self) -> list[str]:
        """Names of the topics that it reads."""
        return list(self._kinds)

    async def assigned(self, committed: Mapping[TP, Committed]) -> Mapping[TP, int]:
        """Begin behind what has landed. Waits for ClickHouse as long as it takes."""
        owned: dict[str, list[int]] = defaultdict(list)
        for tp in committed:
            owned[tp.topic].append(tp.partition)
        if not self._tables_are_there:
            await self._store.until_done(self._create_tables)
            self._tables_are_there = True
        self._generation = generation = self._app.consumer_generation_id
        landers = {topic: await self._lander(topic, generation) for topic in owned}
        positions = {
            TP(topic, partition): start
            for topic, lander in landers.items()
            for partition, start in (await lander.start(owned[topic])).items()
        }
        self._landers = landers
        for lander in landers.values():
            task = asyncio.ensure_future(lander.land())
            self._landing.add(task)
            task.add_done_callback(self._on_end)
        return positions

    async def revoked(self, tps: set[TP]) -> None:  # noqa: ARG002  it is always all of them
        """Stop; wait a moment for the insert in flight, so that the next owner sees it."""
        landers, self._landers = self._landers, {}
        landing, self._landing = self._landing, set()
        for task in landing:
            task.cancel()
        for lander in landers.values():
            await lander.stop()
        await asyncio.wait({*landing, asyncio.ensure_future(self._store.idle())}, timeout=SETTLE_S)

    async def take(self, batch: Batch) -> None:
        """Collect one batch. Waits while ClickHouse is behind."""
        lander = self._landers.get(batch.topic)
        if lander is None or batch.generation != self._generation:
            return  # from before a rebalance: it will come again
        if self._kinds[batch.topic] in OBSERVED:
            await self._door.learn(record.value for record in batch.records)
        await lander.take(batch)
        await asyncio.sleep(0)  # other topics, inserts and rebalances have their turn

    async def _create_tables(self, _attempt: int) -> None:
        await self._store.call(lambda client: create_tables(client, self._settings.clickhouse_database, self._settings.upkeep))

    async def _lander(self, topic: str, generation: int) -> Lander:
        read, tables = await self._reader(topic)

        def landed(partition: int, next_offset: int) -> None:
            consumer_of(self._app).declare_safe(TP(topic, partition), next_offset, generation=generation)

        return Lander(
            LandingTables(self._settings.clickhouse_database, topic, tables, self._settings.upkeep),
            read,
            self._store,
            batch_rows=self._settings.sink_batch_rows,
            batch_s=self._settings.sink_batch_s,
            landed=landed,
        )

    async def _reader(self, topic: str) -> tuple[Reader, list[str]]:
        """The reader of a topic, and the tables into which it lands."""
        match self._kinds[topic]:
            case ("usage" | "latency" | "admissions") as kind:
                return read_inputs(self._door, kind, await partition_count(self._app, topic)), _tables(OBSERVED[kind])
            case "journal":
                return read_journal(topic), [JOURNAL.name]
            case "facts":
                return read_facts(topic), _tables(*FACTS)
            case _:
                return read_dead_letters(topic), _tables(DeadLetter)

    def _on_end(self, task: asyncio.Task[None]) -> None:
        """A lander ends only by failing: the worker stops, and its supervisor starts it again from what has landed."""
        self._landing.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._crashing = asyncio.ensure_future(self._app.crash(error))


def _tables(*models: type[Event]) -> list[str]:
    return [model.TABLE.name for model in models if model.TABLE is not None]
