"""Reading: batches in, declared offsets out.

What is true at any moment, and kept so by this module:

- A partition is fetched only while it is *placed*: its start position for the current generation of the group was asked
  from the role and sought. Records fetched before a seek have an older epoch and are dropped; the seek fetches them again.
- At most `DEPTH` batches of a partition are in the hands of its agent, so memory is bounded by
  partitions × DEPTH × `broker_max_poll_records` records, and a slow agent stops only its own partitions.
- Only what a role has declared safe is committed. Nothing is derived from Faust's acknowledgements; they only say that an agent has
  taken a batch's place free.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, cast

from aiokafka.errors import ConsumerStoppedError, IllegalStateError
from faust.sensors import Sensor
from faust.transport.consumer import ensure_TP
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, AppT, ConsumerMessage, EventT, StreamT
from faust.types.transports import TPorTopicSet
from mode import Service
from mode.types import ServiceT

from streams.transport.batch import Batch, Committed
from streams.transport.conductor import Conductor
from streams.transport.listeners import Listeners
from streams.transport.producer import Producer
from streams.transport.thread import ConsumerThread, Fetched

DEPTH = 2
"""Batches of one partition that an agent may hold: one in its hands and one that waits, so that it never idles for a fetch."""

MAX_RECORDS = 5000
"""Records of a fetch unless `broker_max_poll_records` says otherwise: 5,000 decode in about 30 ms, a fair turn among partitions."""

FETCH_TIMEOUT_S = 1.0
"""A fetch that finds nothing returns after this, s. Its length delays nothing: whatever changes what may be fetched ends it."""

HAND_OVER_S = 10.0
"""How long roles and the last commit may take when a worker stops, s."""


class _Partition:
    """A placed partition of the current generation."""

    __slots__ = ("begun", "committed", "in_flight", "position", "safe")

    def __init__(self, position: int, committed: Committed) -> None:
        self.position = position  # offset of the next record to be delivered
        self.begun = False  # something was delivered
        self.committed = committed
        self.safe: Committed | None = None  # the last declaration
        self.in_flight = 0  # batches delivered and not yet finished by the agent


class _PlaceFreed(Sensor):
    """Faust's sensors hear when a stream is done with an event; the pure Python and the Cython stream both call them."""

    def __init__(self, consumer: Consumer, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._consumer = consumer

    def on_stream_event_out(
        self,
        tp: TP,
        offset: int,  # noqa: ARG002  Faust's signature
        stream: StreamT[Any],  # noqa: ARG002  Faust's signature
        event: EventT[Any],
        state: dict[Any, Any] | None = None,  # noqa: ARG002  Faust's signature
    ) -> None:
        """`acked` is set when all streams of the topic are done with it."""
        if isinstance(event.value, Batch) and event.message.acked:
            self._consumer.on_batch_done(tp, event.value.generation)


class Consumer(driver.Consumer):
    """Faust's consumer for batches and declared offsets."""

    _thread: ConsumerThread

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._partitions: dict[TP, _Partition] = {}
        self._generation: int | None = None  # of the placed partitions
        self._assigned = False  # between an assignment and its revocation
        self._flowing = False  # Faust has resumed the streams after it asked us to seek
        self._open = False  # placed and flowing: batches may be delivered
        self._placing: asyncio.Future[None] | None = None
        self._something_changed = asyncio.Event()
        self._committing = asyncio.Lock()
        self._max_records = self.app.conf.broker_max_poll_records or MAX_RECORDS
        self.app.sensors.add(_PlaceFreed(self, beacon=self.beacon))

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    @property
    def _listeners(self) -> Listeners:
        return cast("Listeners", self.transport.listeners)  # type: ignore[attr-defined]  # our Transport; Faust types its interface

    @property
    def _conductor(self) -> Conductor:
        return cast("Conductor", self.app.topics)

    # --- what may be fetched -------------------------------------------------------------------------------------------

    def _fetchable(self) -> set[TP]:
        changelogs = self.app.tables.changelog_topics
        active = self._get_active_partitions()
        return {tp for tp in active if (self.flow_active if tp.topic in changelogs else self._has_room(tp))}

    def _has_room(self, tp: TP) -> bool:
        partition = self._partitions.get(tp)
        return self._open and partition is not None and partition.in_flight < DEPTH

    def _wake(self) -> None:
        self._something_changed.set()
        self._thread.wake()

    def on_batch_done(self, tp: TP, generation: int) -> None:
        """An agent has finished a batch, so another one of its partition may be fetched."""
        partition = self._partitions.get(tp)
        if partition is not None and generation == self._generation:
            partition.in_flight -= 1
            self._wake()

    def resume_partitions(self, tps: Any) -> None:
        """Faust lets these partitions be fetched."""
        super().resume_partitions(tps)
        self._wake()

    def on_buffer_drop(self, tp: TP) -> None:
        """Faust's queue of changelog records has room again."""
        super().on_buffer_drop(tp)
        self._wake()

    # --- the loop --------------------------------------------------------------------------------------------------------

    async def _drain_messages(self, fetcher: ServiceT) -> None:
        stopping = (self._stopped.is_set, cast("Service", fetcher)._stopped.is_set)  # noqa: SLF001  as Faust's own loop does
        try:
            while not any(stop() for stop in stopping):
                self._something_changed.clear()
                self._thread.rearm()
                tps = self._fetchable()
                if not tps:
                    await self._something_changed.wait()
                    continue
                fetched = await self._thread.fetch(tps, timeout_s=FETCH_TIMEOUT_S, max_records=self._max_records)
                for tp, taken in fetched.items():
                    await self._receive(tp, taken)
        except (ConsumerStoppedError, asyncio.CancelledError):
            if not self.app.should_stop:
                raise

    async def _receive(self, tp: TP, taken: Fetched) -> None:
        if taken.epoch != self._thread.epoch(tp):
            return  # from before a seek, which fetches what is to be delivered
        if tp.topic in self.app.tables.changelog_topics:
            await self._receive_changelog(tp, taken)
        else:
            self._deliver(tp, taken)

    async def _receive_changelog(self, tp: TP, taken: Fetched) -> None:
        """Record by record, as Faust's recovery of tables expects it."""
        for record in taken.records:
            if not self.flow_active or taken.epoch != self._thread.epoch(tp):
                return
            last_read = self._read_offset[tp]
            if last_read is None or record.offset >= last_read:
                message = self._to_message(tp, record)
                await self.wait_first(self.callback(message), self.suspend_flow.wait())
                self._read_offset[tp] = record.offset

    def _deliver(self, tp: TP, taken: Fetched) -> None:
        """To the agents; no await between the check and the delivery, so that no rebalance can come between them."""
        generation = self.app.consumer_generation_id
        if not self._open or generation != self._generation:
            return  # revoked meanwhile: the next assignment places the partition anew
        partition = self._partitions[tp]
        first, last = taken.records[0], taken.records[-1]
        if first.offset < partition.position:
            text = f"{tp} was cut or made anew: its log goes on at {first.offset}, we are at {partition.position}"
            raise AssertionError(text)
        if first.offset > partition.position and not partition.begun:
            self.log.warning("%s starts at %s: what was from %s on is gone", tp, first.offset, partition.position)
        batch = Batch(tp.topic, tp.partition, taken.records, generation)
        partition.begun = True
        partition.position = last.offset + 1
        partition.in_flight += 1
        self.app.monitor.track_tp_end_offset(tp, self.highwater(tp))
        self._conductor.deliver(
            ConsumerMessage(
                tp.topic,
                tp.partition,
                last.offset,
                last.timestamp / 1000,
                last.timestamp_type,
                headers=None,
                key=None,
                value=cast("bytes", batch),  # Faust types a message as Kafka has it; here the value is the batch
                checksum=None,
                tp=tp,
                generation_id=generation,
            )
        )

    # --- assignment: revoked → assigned → (Faust recovers tables) → perform_seek → resume_flow ---------------------------

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """First the roles, while we are still a member and may commit; then Faust."""
        self._assigned = False
        await self._hand_over()
        await super().on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Faust recovers the tables and then calls `perform_seek` and `resume_flow`."""
        self._assigned = True
        await super().on_partitions_assigned(assigned, generation_id)

    async def perform_seek(self) -> None:
        """Faust says that tables are recovered: ask the roles where to start.

        It returns before they have answered: an answer may take longer than the time that Faust gives us here.
        """
        if self._assigned:  # else: revoked while Faust was recovering; it will start again
            await self._stop_placing()
            self._placing = self.add_future(self._place(self.app.consumer_generation_id))

    async def _place(self, generation: int) -> None:
        changelogs = self.app.tables.changelog_topics
        tps = {tp for tp in self.assignment() if tp.topic not in changelogs}
        committed = await self._thread.committed(tps) if tps else {}
        positions = {tp: kept.offset for tp, kept in committed.items() if kept.offset is not None}
        positions.update(await self._listeners.assigned(committed))
        unknown = tps - positions.keys()
        if unknown:
            positions.update({ensure_TP(tp): at for tp, at in (await self.earliest_offsets(*unknown)).items()})
        try:
            await self._thread.place(positions)
        except IllegalStateError as moved_on:
            self.log.info("Not placed, the group has rebalanced: %s", moved_on)
            return
        self._partitions = {tp: _Partition(positions[tp], committed[tp]) for tp in tps}
        self._generation = generation
        self._maybe_open()

    def resume_flow(self) -> None:
        """Faust resumes the streams. Before that it cleared their queues, so nothing may be delivered earlier."""
        super().resume_flow()
        if self._assigned and self._placing is None and not self.assignment():
            # Faust does not seek if there is nothing to seek, but a role must hear that it owns nothing.
            self._placing = self.add_future(self._place(self.app.consumer_generation_id))
        self._flowing = self._placing is not None
        self._maybe_open()
        self._wake()

    def _maybe_open(self) -> None:
        if self._flowing and self._generation is not None and not self._open:
            self._open = True
            placed = {tp: partition.position for tp, partition in sorted(self._partitions.items())}
            self.log.info("Reading from %s", ", ".join(f"{tp.topic}/{tp.partition}@{at}" for tp, at in placed.items()) or "nothing")
            self._wake()

    async def _stop_placing(self) -> None:
        placing, self._placing = self._placing, None
        if placing is not None and not placing.done():
            placing.cancel()
            await asyncio.wait({placing})

    async def _hand_over(self) -> None:
        """Give the partitions up: no more batches; the roles hear of it; what they declared is committed; forget them."""
        self._open = self._flowing = False
        await self._stop_placing()
        self.app.flow_control.suspend()
        self.app.flow_control.clear()
        try:
            if self._generation is not None:
                await self._listeners.revoked(set(self._partitions))
                await self.commit()
        except Exception as error:  # noqa: BLE001  aiokafka only logs what a rebalance raises, and a stop must go on: exit code 1
            await self.app.crash(error)
        finally:
            self._partitions, self._generation = {}, None

    async def wait_empty(self) -> None:
        """Faust calls it when the worker stops, while agents and the producer still run."""
        self._assigned = False
        handing_over = asyncio.ensure_future(self._hand_over())
        await asyncio.wait({handing_over}, timeout=HAND_OVER_S)
        if not handing_over.done():
            handing_over.cancel()
            self.log.error("Stopped without the last commit: it took longer than %s s", HAND_OVER_S)

    async def on_stop(self) -> None:
        """Nothing is left to hand over if Faust has called `wait_empty`."""
        await self.wait_empty()

    # --- commits ---------------------------------------------------------------------------------------------------------

    def declare_safe(self, tp: TP, next_offset: int, note: str = "", *, generation: int | None = None) -> bool:
        """Everything of the partition below `next_offset` is safe: the next owner need not read it again.

        It is committed with the note within `broker_commit_interval`, before the partitions are revoked, and when the worker stops.

        Args:
            tp: the partition.
            next_offset: offset of the first record that is not safe.
            note: at most a few hundred bytes (the broker's `offset.metadata.max.bytes` is 4096), kept beside the offset.
            generation: of the batch from which the declaration comes. With it, a declaration made after the partition
                was taken away and came back is recognised as late.

        Returns:
            False if it came too late (the partition is not ours, or was given to us anew) or says less than what is committed:
            it is ignored.

        Raises:
            AssertionError: less than what was declared before, or more than what was delivered. The role is broken.
        """
        partition = self._partitions.get(tp)
        if partition is None or (generation is not None and generation != self._generation):
            self.log.info("Ignored a late declaration: %s/%s is safe below %s", tp.topic, tp.partition, next_offset)
            return False
        if next_offset > partition.position:
            text = f"{tp} declared safe below {next_offset}, but only delivered below {partition.position}"
            raise AssertionError(text)
        if partition.safe is not None and next_offset < cast("int", partition.safe.offset):
            text = f"{tp} declared safe below {next_offset}, after {partition.safe.offset}"
            raise AssertionError(text)
        if partition.committed.offset is not None and next_offset < partition.committed.offset:
            return False
        partition.safe = Committed(next_offset, note)
        return True

    async def commit(self, topics: TPorTopicSet | None = None, start_new_transaction: bool = True) -> bool:  # noqa: ARG002  Faust's signature
        """Commit what was declared safe, of all topics. Nothing after a failed send."""
        async with self._committing:
            if cast("Producer", self.app.producer).failure is not None:
                return False
            due = {
                tp: partition.safe
                for tp, partition in self._partitions.items()
                if partition.safe is not None and partition.safe != partition.committed
            }
            if not due or not await self._thread.commit_declared(due):
                return False
            for tp, safe in due.items():
                if tp in self._partitions:
                    self._partitions[tp].committed = safe
            self.app.monitor.on_tp_commit({tp: cast("int", safe.offset) for tp, safe in due.items()})
            return True

    def force_commit(self, topics: TPorTopicSet | None = None, start_new_transaction: bool = True) -> Awaitable[bool]:
        """The same as `commit`: there is nothing that could be forced."""
        return self.commit(topics, start_new_transaction)

    async def verify_all_partitions_active(self) -> None:
        """Faust's check infers stalls from acknowledgements, which we don't use; lag is what `bourse status` shows."""


def consumer_of(app: AppT) -> Consumer:
    """The app's consumer, on which a role calls `declare_safe`.

    Raises:
        TypeError: the app does not use this transport.
    """
    consumer = app.consumer
    if not isinstance(consumer, Consumer):
        text = f"the app {app.conf.id} does not use the bourse:// transport"
        raise TypeError(text)
    return consumer
