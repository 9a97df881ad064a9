"""The meter: counts what backends and gateways publish and reports it to the journal at every tick.

For each partition of `usage`, `latency` and `admissions` (DESIGN.md, "Delivery"):
1. Records are read up to a tick n that counts. Bad ones are written to the dead letters, strays are forwarded to their tenant's
   home; both may be written again after a crash, and are recognised by where the record stood.
2. At tick n the sums since the last tick are sent to the journal, then a mark to each of its partitions. The producer
   keeps the order, so whoever sees the mark has seen the sums.
3. When all of it is acknowledged, the offset behind the tick is declared safe, with a note of where the dedupe window begins.
After a crash the next owner reads from the window's beginning without saying anything, and from the committed offset on says
the same as the one before it would have: the engine drops what it has (meter, tick).

Without ticks nothing is declared and the window grows: the clock is as essential as the broker. Rebuilding a window of 120 ticks
reads their events again at the meter's own pace, below 20 µs each.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace

import faust
from faust.types import TP

from processors.metering import MeterNote
from streams.declaring import InOrder
from streams.door import OBSERVED, Door, TopicKind
from streams.look_back import look_back
from streams.partition_counts import partition_count
from streams.roles.meter_partition import MeterPartition, Surroundings, load_note
from streams.settings import Settings
from streams.transport import Batch, Committed, attach

log = logging.getLogger(__name__)

KINDS: tuple[TopicKind, ...] = tuple(OBSERVED)


class Meter:
    """Meters the partitions that this worker owns."""

    def __init__(self, app: faust.App, settings: Settings, door: Door) -> None:
        self._app = app
        self._settings = settings
        self._door = door
        self._kinds = {settings.topic(kind): kind for kind in KINDS}
        self._owned: dict[TP, MeterPartition] = {}
        self._in_order = InOrder(app)
        attach(app, self, self.topics)

    @property
    def topics(self) -> list[str]:
        """Names of the topics that it reads."""
        return list(self._kinds)

    async def assigned(self, committed: Mapping[TP, Committed]) -> Mapping[TP, int]:
        """Begin at the first record of each partition's window."""
        around = {topic: await self._surroundings(topic) for topic in {tp.topic for tp in committed}}
        starts = await self._app.consumer.earliest_offsets(*committed) if committed else {}
        ends = await self._app.consumer.highwaters(*committed) if committed else {}
        self._owned = {}
        positions: dict[TP, int] = {}
        for tp, kept in committed.items():
            if kept.offset is not None and kept.offset > ends[tp]:
                raise AssertionError(f"{tp} ends at {ends[tp]}, but {kept.offset} was committed: its log was lost")
            note = await self._note(tp, kept)
            positions[tp] = max(note.window, starts[tp])  # retention may have taken the window's first records
            self._owned[tp] = MeterPartition(
                around[tp.topic],
                tp.partition,
                self._door,
                note=replace(note, window=positions[tp]),
                resume_at=kept.offset or 0,
                again_below=ends[tp],
            )
        return positions

    async def revoked(self, tps: set[TP]) -> None:
        """Forget what is no longer ours: its next owner rebuilds it."""
        await self._in_order.settle(tps)
        for tp in tps:
            self._owned.pop(tp, None)

    async def take(self, batch: Batch) -> None:
        """Count one batch."""
        owned = self._owned.get(batch.tp)
        if owned is None:
            return
        await self._door.learn([record.value for record in batch.records])
        for portion in owned.fold(batch.records):
            await self._in_order.send(batch.tp, portion.outgoing)
            if portion.safe is not None:
                await self._in_order.declare(batch, *portion.safe)
        await asyncio.sleep(0)  # other partitions, acknowledgements and rebalances have their turn

    async def _note(self, tp: TP, kept: Committed) -> MeterNote:
        """The note beside the committed offset.

        Where an offset was committed without one, someone has moved it with Kafka's tools: the window is then read from as long
        before it as the window is. Where nothing was committed, nothing was counted: there is nothing to remember.
        """
        if kept.offset is None:
            return MeterNote()
        note = load_note(kept.note, self._settings.tick_ms)
        if note is not None:
            return note
        span_ms = (self._settings.dedupe_window_ticks + 1) * self._settings.tick_ms
        begin = await asyncio.to_thread(
            look_back, self._settings.kafka_client_config(), tp.topic, tp.partition, kept.offset, span_ms
        )
        log.warning("%s/%s: no note beside the committed offset %s; remembering from %s on", *tp, kept.offset, begin)
        return MeterNote(window=begin)

    async def _surroundings(self, topic: str) -> Surroundings:
        settings = self._settings
        return Surroundings(
            kind=self._kinds[topic],
            topic=topic,
            partitions=await partition_count(self._app, topic),
            journal=settings.topic("journal"),
            journal_partitions=await partition_count(self._app, settings.topic("journal")),
            dead_letters=settings.topic("dead-letters"),
            dead_letter_partitions=await partition_count(self._app, settings.topic("dead-letters")),
            tick_ms=settings.tick_ms,
            window_ticks=settings.dedupe_window_ticks,
        )
