"""The thread in which aiokafka's consumer lives: fetching, seeking and committing, on an event loop of its own.

Faust's driver runs it apart from the agents so that a busy agent never delays a heartbeat. This one adds fetches
that can be woken up, commits that carry a note, and an epoch of each partition, which tells records fetched before a seek
from those fetched after it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast

import aiokafka
from aiokafka.errors import CommitFailedError, ConsumerStoppedError, IllegalStateError
from aiokafka.structs import ConsumerRecord, OffsetAndMetadata, TopicPartition
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from streams.transport.batch import Committed

FETCH_MAX_WAIT_MS = 50
"""How long a broker may hold a fetch that finds nothing, ms.

aiokafka has one fetch to a broker at a time. While an idle partition's fetch is held, a partition of the same broker that
has just been consumed can't be fetched. Faust's 1500 ms would so stall a busy partition for up to 1.5 s; 50 ms costs an
idle worker 20 small requests a second.
"""

FETCH_PACE_S = 0.01
"""How long a broker is left alone after a fetch that brought records, s.

At 1,000 records/s each would else be fetched, handed over, acknowledged and sent on by itself: some 60 turns of two event loops and
six requests for one order, three times the work of deciding it. Ten a turn cost a tenth of that. The first record
after a pause of this length is fetched at once; none waits longer than this; a busy partition fetches up to 1 MB each time.
"""

ASK_AGAIN_S = 0.2
"""How long to wait before a broker that does not know a topic is asked again."""


class Fetched(NamedTuple):
    """Records of one partition and the epoch in which they were taken."""

    epoch: int
    records: Sequence[ConsumerRecord]


Fetch = Callable[[Any, int, Any], Awaitable[bool]]
"""aiokafka's: (assignment, node, request) -> whether it brought records."""


class Paced:
    """aiokafka's fetch, which lets FETCH_PACE_S pass between one that brought records and the next to that broker."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._not_before: dict[int, float] = {}

    async def __call__(self, assignment: Any, node_id: int, request: Any) -> bool:
        """One fetch. A seek or a new assignment in the meantime is seen by aiokafka when the answer comes, as after a long wait."""
        clock = asyncio.get_running_loop().time
        rest = self._not_before.get(node_id, 0.0) - clock()
        if rest > 0:
            try:
                await asyncio.sleep(rest)
            except asyncio.CancelledError:
                return False  # as aiokafka's own: nobody is interested in the answer any more
        brought = await self._fetch(assignment, node_id, request)
        if brought:
            self._not_before[node_id] = clock() + FETCH_PACE_S
        return brought


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """aiokafka's consumer in its thread."""

    def __post_init__(self) -> None:
        """Start without partitions: nothing was sought yet."""
        super().__post_init__()
        self._epochs: dict[TP, int] = {}
        self._waiting: asyncio.Task[dict[TP, Fetched]] | None = None
        self._woken = False
        self._learning: asyncio.Task[None] | None = None

    def _create_worker_consumer(self, transport: driver.Transport) -> aiokafka.AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = FETCH_MAX_WAIT_MS  # noqa: SLF001  Faust offers no setting for it; read by aiokafka's start()
        return consumer

    async def on_start(self) -> None:
        """Start the consumer; nothing is subscribed to yet."""
        await super().on_start()
        fetcher = self._ensure_consumer()._fetcher  # noqa: SLF001  aiokafka has no setting for it: `fetch_min_bytes` delays the first too
        fetcher._proc_fetch_request = Paced(fetcher._proc_fetch_request)  # noqa: SLF001  see above

    def close(self) -> None:
        """Called by Faust where a rebalance meets a worker that is stopping; that stop closes the consumer, in order.

        Faust would close it from the other thread's loop, which ends before that is done: the member would not leave, and the
        group wait for its session to end.
        """

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """A new assignment: whatever was fetched before it is stale."""
        self._begin_epoch(assigned)
        if self._learning is None or self._learning.done():
            self._learning = asyncio.ensure_future(self._learn_topics())
        await super().on_partitions_assigned(assigned, generation_id)

    async def _learn_topics(self) -> None:
        """Ask until the cluster knows all topics that we read; a leader of the group then assigns anew by itself.

        A broker that has just started tells of no topics for a moment. A leader that assigns in that moment gives nobody
        anything, and aiokafka would look again only when its metadata is five minutes old.
        """
        consumer = self._ensure_consumer()
        client = consumer._client  # noqa: SLF001  aiokafka offers no other way to refresh its metadata
        while not consumer._closed:  # noqa: SLF001  as in Faust's driver
            unknown = sorted(topic for topic in consumer.subscription() if not client.cluster.partitions_for_topic(topic))
            if not unknown:
                return
            self.log.warning("The cluster does not know %s: asking again", ", ".join(unknown))
            await client.force_metadata_update()
            await asyncio.sleep(ASK_AGAIN_S)

    def epoch(self, tp: TP) -> int:
        """Changes with every seek and assignment of the partition; records of an older epoch must not be delivered."""
        return self._epochs.get(tp, 0)

    def _begin_epoch(self, tps: Iterable[TP]) -> None:
        for tp in tps:
            self._epochs[tp] = self._epochs.get(tp, 0) + 1

    # --- fetching: `rearm`, `fetch` and `wake` are called from the main loop -------------------------------------------

    def rearm(self) -> None:
        """Forget earlier wake-ups. Call it before choosing what to fetch, so that no wake-up after the choice is lost."""
        self._woken = False

    def wake(self) -> None:
        """End a fetch that is waiting for records: another partition may be fetched now."""
        self._woken = True
        self.thread_loop.call_soon_threadsafe(self._stop_waiting)

    def fetch(self, tps: set[TP], *, timeout_s: float, max_records: int) -> asyncio.Future[dict[TP, Fetched]]:
        """Take records of these partitions; wait for some if there are none, until `timeout_s` or `wake`.

        Args:
            tps: not empty.
            timeout_s: seconds.
            max_records: of all partitions together.
        """
        call = asyncio.run_coroutine_threadsafe(self._fetch(tps, timeout_s, max_records), self.thread_loop)
        return asyncio.wrap_future(call, loop=self.parent_loop)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()

    async def _fetch(self, tps: set[TP], timeout_s: float, max_records: int) -> dict[TP, Fetched]:
        consumer = self._ensure_consumer()
        fetcher = consumer._fetcher  # noqa: SLF001  as in Faust's driver: getmany() can't be ended early without upsetting its idle timer
        if consumer._closed or fetcher._closed:  # noqa: SLF001  as in Faust's driver
            raise ConsumerStoppedError
        consumer._coordinator.check_errors()  # noqa: SLF001  a refused group or topic must stop the worker; Faust's driver never looks
        subscriptions = fetcher._subscriptions  # noqa: SLF001  as in Faust's driver
        if not subscriptions.reassignment_in_progress:
            ready = await self._take(fetcher, tps, 0, max_records)
            if ready or self._woken:
                return ready
        waiting = asyncio.ensure_future(self._take(fetcher, tps, timeout_s, max_records))
        self._waiting = waiting
        try:
            with subscriptions.fetch_context():
                await asyncio.wait({waiting})
        finally:
            self._waiting = None
            waiting.cancel()
        # A cancelled wait has taken nothing: aiokafka takes records in the same step in which it returns them.
        return {} if waiting.cancelled() else waiting.result()

    async def _take(self, fetcher: Any, tps: set[TP], timeout_s: float, max_records: int) -> dict[TP, Fetched]:
        records = await fetcher.fetched_records(tps, timeout=timeout_s, max_records=max_records)
        # Without an await between taking and stamping, no seek can come between them.
        return {TP(tp.topic, tp.partition): Fetched(self.epoch(tp), taken) for tp, taken in records.items()}

    # --- positions and commits: called from the main loop through `call_thread` ------------------------------------------

    async def place(self, positions: Mapping[TP, int]) -> None:
        """Seek; the next records taken of each partition start at its position.

        Raises:
            IllegalStateError: a partition is not assigned any more.
        """
        await self.call_thread(self._place, positions)

    async def _place(self, positions: Mapping[TP, int]) -> None:
        consumer = self._ensure_consumer()
        self._begin_epoch(positions)
        for tp, offset in positions.items():
            consumer.seek(TopicPartition(tp.topic, tp.partition), offset)

    async def _seek_wait(self, consumer: aiokafka.AIOKafkaConsumer, partitions: Mapping[TP, int]) -> None:
        self._begin_epoch(partitions)
        await super()._seek_wait(consumer, partitions)

    async def committed(self, tps: Iterable[TP]) -> dict[TP, Committed]:
        """What the group has committed for these partitions, with the notes."""
        return cast("dict[TP, Committed]", await self.call_thread(self._committed, list(tps)))

    async def _committed(self, tps: list[TP]) -> dict[TP, Committed]:
        # AIOKafkaConsumer.committed() drops the metadata, in which our note is.
        coordinator = self._ensure_consumer()._coordinator  # noqa: SLF001  see above
        found = await coordinator.fetch_committed_offsets([TopicPartition(tp.topic, tp.partition) for tp in tps])
        known = {tp: Committed(kept.offset, kept.metadata) for tp, kept in found.items() if kept.offset >= 0}
        return {tp: known.get(TopicPartition(tp.topic, tp.partition), Committed(None)) for tp in tps}

    async def commit_declared(self, offsets: Mapping[TP, Committed]) -> bool:
        """Commit offsets with their notes.

        Returns:
            False if the group has moved on: the partitions' next owner starts from what was committed before.
        """
        return bool(await self.call_thread(self._commit_declared, offsets))

    async def _commit_declared(self, offsets: Mapping[TP, Committed]) -> bool:
        kept = {TopicPartition(tp.topic, tp.partition): OffsetAndMetadata(safe.offset, safe.note) for tp, safe in offsets.items()}
        try:
            await self._ensure_consumer().commit(kept)
        except (CommitFailedError, IllegalStateError) as moved_on:
            self.log.info("Not committed, the group has rebalanced: %s", moved_on)
            return False
        return True
