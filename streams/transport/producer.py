"""Sending: acknowledged by all replicas, in order, each record once; a failure stops the worker."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Iterable, Mapping
from typing import Any, cast

import aiokafka
from aiokafka.errors import MessageSizeTooLargeError
from aiokafka.producer.message_accumulator import BatchBuilder
from faust.exceptions import ProducerSendError
from faust.transport.drivers import aiokafka as driver
from faust.types import AppT, FutureMessage, HeadersArg, RecordMetadata

from streams.transport.batch import Outgoing

STOP_AFTER_FAILURE_S = 5.0
"""How long a failed producer may take to stop, s: what it still holds is sent again by the worker that follows."""


class Producer(driver.Producer):
    """aiokafka's producer, idempotent, whose failures are fatal.

    After the first failed send the app crashes, and the consumer commits nothing more: whatever depended on that send is
    read again by the next worker.
    """

    failure: BaseException | None = None

    def __post_init__(self) -> None:
        """Start with nothing in flight."""
        super().__post_init__()
        self._buffered: set[FutureMessage] = set()
        self._failed = asyncio.Event()
        self._crashing: asyncio.Task[None] | None = None

    def _settings_extra(self) -> Mapping[str, Any]:
        return {"acks": "all", "enable_idempotence": True}

    async def send(  # noqa: PLR0917  Faust's signature
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        partition: int | None,
        timestamp: float | None,
        headers: HeadersArg | None,
        *,
        transactional_id: str | None = None,
    ) -> Awaitable[RecordMetadata]:
        """Put one record into the producer's buffer; the returned future is done when the broker has acknowledged it.

        Faust calls it for changelogs and for `topic.send`. Roles send through `send_all`.
        """
        try:
            sent = await super().send(topic, key, value, partition, timestamp, headers, transactional_id=transactional_id)
        except Exception as error:  # whatever broke, nothing may be committed behind what was not sent
            self.fail(error)
            raise
        kept = cast("asyncio.Future[RecordMetadata]", sent)
        self._watch(kept)
        return asyncio.shield(kept)

    def send_soon(self, fut: FutureMessage) -> None:
        """Put one record into Faust's buffer; a table's changelog takes this way."""
        self._buffered.add(fut)
        fut.add_done_callback(self._buffered.discard)
        super().send_soon(fut)

    async def enqueue(self, records: Iterable[Outgoing]) -> asyncio.Future[list[int]]:
        """Put records into the producer's buffer, in order within each partition.

        Waits while a partition's previous batch has not left yet, so memory stays at one batch (`producer_max_batch_size`)
        of each partition that is written to.

        Returns:
            A future, done when all are acknowledged: their offsets, as the records came; -1 where the broker
            answered that it had the record already.
        """
        sent: dict[tuple[str, int], list[asyncio.Future[RecordMetadata]]] = defaultdict(list)
        try:
            kafka = self._ensure_producer()
            slots, batches = self._pack(kafka, records)
            # The n-th batch of every partition before the n+1-th of any, so that no partition waits for another one.
            for depth in range(max(map(len, batches.values()), default=0)):
                for (topic, partition), of_partition in batches.items():
                    if depth < len(of_partition):
                        future = await kafka.send_batch(of_partition[depth], topic, partition=partition)
                        self._watch(future)
                        sent[topic, partition].append(future)
        except Exception as error:  # whatever broke, nothing may be committed behind what was not sent
            self.fail(error)
            raise
        # Who gives up waiting must not take the failure of a send out of our sight.
        return asyncio.shield(asyncio.ensure_future(_offsets(slots, sent)))

    def _pack(
        self, kafka: aiokafka.AIOKafkaProducer, records: Iterable[Outgoing]
    ) -> tuple[list[tuple[tuple[str, int], int, int]], dict[tuple[str, int], list[BatchBuilder]]]:
        """Records into aiokafka's batch builders (2 µs a record, against 20 µs for a `send` of each).

        Returns:
            For each record its partition, the number of its batch there and its place in the batch; the batches.

        Raises:
            MessageSizeTooLargeError: a record is larger than `producer_max_request_size`.
        """
        batches: dict[tuple[str, int], list[BatchBuilder]] = defaultdict(list)
        slots: list[tuple[tuple[str, int], int, int]] = []
        for record in records:
            target = (record.topic, record.partition)
            of_partition = batches[target]
            if not of_partition or not _append(of_partition[-1], record):
                of_partition.append(kafka.create_batch())
                _append(of_partition[-1], record)
                # A builder takes its first record whatever its size.
                if of_partition[-1].size() > self.max_request_size:
                    text = f"a record for {record.topic}/{record.partition} is larger than {self.max_request_size} bytes"
                    raise MessageSizeTooLargeError(text)
            slots.append((target, len(of_partition) - 1, of_partition[-1].record_count() - 1))
        for of_partition in batches.values():
            for batch in of_partition:
                batch.close()
        return slots, batches

    def _watch(self, sent: asyncio.Future[RecordMetadata]) -> None:
        sent.add_done_callback(self._on_sent)

    def _on_sent(self, sent: asyncio.Future[RecordMetadata]) -> None:
        error = None if sent.cancelled() else sent.exception()
        if error is not None:
            self.fail(error)

    def fail(self, error: BaseException) -> None:
        """A send failed: nothing is committed from now on, and the app crashes."""
        if self.failure is None:
            self.failure = error
            self._failed.set()
            self._crashing = asyncio.ensure_future(self.app.crash(error))

    async def flush(self) -> None:
        """Wait until all that was sent is acknowledged, or the producer has failed."""
        if self.failure is None and self._producer is not None:
            await _first(self._settle(), self._failed.wait())

    async def _settle(self) -> None:
        # Faust's buffer gives up waiting after 0.1 s; every FutureMessage is resolved by the broker's answer.
        while self._buffered:
            await asyncio.wait(set(self._buffered))
        await self._ensure_producer().flush()

    async def on_stop(self) -> None:
        """Send what is left; a failed producer is not waited for."""
        if self.failure is None:
            await super().on_stop()
            return
        producer, self._producer = self._producer, None
        if producer is not None:
            await _within(producer.stop(), STOP_AFTER_FAILURE_S)


def _append(batch: BatchBuilder, record: Outgoing) -> bool:
    # Without a timestamp the builder writes the current time; LogAppendTime topics replace it.
    return batch.append(timestamp=None, key=record.key, value=record.value, headers=list(record.headers)) is not None


async def _offsets(
    slots: list[tuple[tuple[str, int], int, int]], sent: Mapping[tuple[str, int], list[asyncio.Future[RecordMetadata]]]
) -> list[int]:
    bases = {target: [(await future).offset for future in futures] for target, futures in sent.items()}
    return [base + place if (base := bases[target][batch]) >= 0 else -1 for target, batch, place in slots]


async def _first(*waits: Awaitable[object]) -> None:
    tasks = {asyncio.ensure_future(wait) for wait in waits}
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()


async def _within(wait: Awaitable[object], seconds: float) -> None:
    task = asyncio.ensure_future(wait)
    await asyncio.wait({task}, timeout=seconds)
    task.cancel()


def producer_of(app: AppT) -> Producer:
    """The app's producer.

    Raises:
        TypeError: the app does not use this transport.
    """
    producer = app.producer
    if not isinstance(producer, Producer):
        text = f"the app {app.conf.id} does not use the bourse:// transport"
        raise TypeError(text)
    return producer


async def send_all(app: AppT, records: Iterable[Outgoing]) -> asyncio.Future[list[int]]:
    """Send records past Faust's per-message machinery, in order within each partition.

    `acknowledged = await send_all(app, records)` returns when all are in the producer's buffer; calls that follow
    one another keep their order. `await acknowledged` returns when the broker has them all: their offsets. Only then may
    what they came from be declared safe. A failure crashes the app whether or not anyone awaits.
    """
    return await producer_of(app).enqueue(records)


async def flushed(app: AppT) -> None:
    """Wait until everything sent so far is acknowledged, writes to tables too.

    Raises:
        ProducerSendError: a send has failed; the app is crashing.
    """
    producer = producer_of(app)
    await producer.flush()
    if producer.failure is not None:
        text = f"a send has failed: {producer.failure!r}"
        raise ProducerSendError(text) from producer.failure
