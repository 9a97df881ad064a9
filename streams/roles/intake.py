"""Intake: what tenants and operators command, into the journal of its pool.

1. A batch of commands is read; what is valid is sent to the journal, in the order of the log; what is not, to the dead letters.
2. When all of it is acknowledged, the batch is declared safe.
After a crash commands are sent again; the engine drops ids that it has seen. Ticks among the commands show that the topic is
alive; they carry nothing here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import faust
from faust.types import TP

from streams.codecs import encode
from streams.complaints import Refusal
from streams.dead_letters import Record, dead_letter
from streams.declaring import InOrder
from streams.door import Door, TopicKind
from streams.partition_counts import partition_count
from streams.partitioning import home_partition
from streams.settings import Settings
from streams.ticks import is_tick, read_tick
from streams.transport import Batch, Committed, Outgoing, attach

KINDS: tuple[TopicKind, ...] = ("orders", "profiles")


@dataclass(frozen=True, slots=True)
class Targets:
    """Where commands and dead letters go, as the broker has these topics."""

    journal: str
    journal_partitions: int
    dead_letters: str
    dead_letter_partitions: int


@dataclass(frozen=True, slots=True)
class InputPartition:
    """One partition of `orders` or `profiles`: what becomes of its records. No broker, no clock, no waiting."""

    kind: TopicKind
    topic: str
    partition: int
    door: Door
    targets: Targets
    tick_ms: int

    def take(self, records: Sequence[Record]) -> list[Outgoing]:
        """Commands for the journal and dead letters, in the order of the log."""
        return [outgoing for record in records if (outgoing := self._take(record)) is not None]

    def _take(self, record: Record) -> Outgoing | None:
        if is_tick(record.headers):
            tick = read_tick(record.value, record.timestamp, self.tick_ms)
            return self._dead_letter(record, tick) if isinstance(tick, Refusal) else None
        command = self.door.read(self.kind, record.value, record.headers, record.key, record.timestamp)
        if isinstance(command, Refusal):
            return self._dead_letter(record, command)
        pool = command.pool.encode()
        return Outgoing(self.targets.journal, home_partition(pool, self.targets.journal_partitions), pool, encode(command))

    def _dead_letter(self, record: Record, refusal: Refusal) -> Outgoing:
        targets = self.targets
        return dead_letter((self.topic, self.partition), record, refusal, targets.dead_letters, targets.dead_letter_partitions)


class Intake:
    """Takes commands in from the partitions that this worker owns."""

    def __init__(self, app: faust.App, settings: Settings, door: Door) -> None:
        self._app = app
        self._settings = settings
        self._door = door
        self._kinds = {settings.topic(kind): kind for kind in KINDS}
        self._owned: dict[TP, InputPartition] = {}
        self._in_order = InOrder(app)
        attach(app, self, self.topics)

    @property
    def topics(self) -> list[str]:
        """Names of the topics that it reads."""
        return list(self._kinds)

    async def assigned(self, committed: Mapping[TP, Committed]) -> Mapping[TP, int]:
        """Learn where commands go; start at the committed offsets, else at the beginning."""
        settings = self._settings
        journal, dead_letters = settings.topic("journal"), settings.topic("dead-letters")
        targets = Targets(
            journal, await partition_count(self._app, journal), dead_letters, await partition_count(self._app, dead_letters)
        )
        self._owned = {
            tp: InputPartition(self._kinds[tp.topic], tp.topic, tp.partition, self._door, targets, settings.tick_ms)
            for tp in committed
        }
        return {}

    async def revoked(self, tps: set[TP]) -> None:
        """Let what is under way be declared."""
        await self._in_order.settle(tps)
        for tp in tps:
            self._owned.pop(tp, None)

    async def take(self, batch: Batch) -> None:
        """Take one batch in."""
        owned = self._owned.get(batch.tp)
        if owned is None:
            return
        await self._door.learn([record.value for record in batch.records])
        await self._in_order.send(batch.tp, owned.take(batch.records))
        await self._in_order.declare(batch, batch.last + 1)
        await asyncio.sleep(0)  # other partitions, acknowledgements and rebalances have their turn
