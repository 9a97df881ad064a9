"""One partition of a topic, followed from an offset on: what a client reads that wants everything, and is no worker of a group.

A thread of its own reads and decodes; the event loop gets lists of what it found. Who does not take them stops the thread, so
memory stays at ROOM lists. A broker that restarts, or a partition whose leader changes, is waited for.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from streams.codecs import UnreadableRecord
from streams.errors import Unavailable
from streams.partitioning import home_partition
from streams.settings import Settings

Item = TypeVar("Item")

Found = Callable[[int, bytes | None, bytes | None], Iterable[Item]]
"""(offset, key, value) of a record -> what is to be handed on of it. Called in the thread."""

ANSWER_S = 10.0
POLL_S = 0.1
"""How long the thread waits for records before it looks whether it shall end."""
MOST_RECORDS = 500
ROOM = 16

_FINAL = frozenset(
    {KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED, KafkaError.SASL_AUTHENTICATION_FAILED}
)
"""Errors that do not pass by themselves."""


@dataclass(frozen=True, slots=True)
class CaughtUp:
    """Stands among what was found: the partition had no more at that moment."""


class Tail(Generic[Item]):
    """Follows the partition in which a key lives.

    Args:
        settings: how to reach Kafka.
        topic: its full name.
        key: whose home partition is read, such as a pool.
        found: what to make of each record.
    """

    def __init__(self, settings: Settings, topic: str, key: str, found: Found[Item]) -> None:
        self._topic = topic
        self._servers = settings.kafka_bootstrap
        self._key = key
        self._found = found
        self._arrived: asyncio.Queue[list[Item | CaughtUp] | BaseException] = asyncio.Queue()
        self._room = threading.Semaphore(ROOM)
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._consumer = Consumer(
            {
                **settings.kafka_client_config(),
                "group.id": "bourse-tail",  # the library wants one; nothing joins or commits
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
                "queued.max.messages.kbytes": 8 << 10,
                "fetch.wait.max.ms": 100,
                "reconnect.backoff.max.ms": 1000,
                "log_level": 0,  # what it retries is no news; what it can't is raised
            }
        )

    async def end(self) -> int:
        """Where the partition ends now: the offset of its next record.

        Raises:
            Unavailable: as `start`.
        """
        return (await asyncio.to_thread(self._partition))[2]

    async def start(self, offset: int) -> None:
        """Begins to read at an offset, or where the partition begins if that is later.

        Raises:
            Unavailable: no broker answers, or none has the topic.
        """
        loop = asyncio.get_running_loop()
        partition, low, _ = await asyncio.to_thread(self._partition)
        self._consumer.assign([TopicPartition(self._topic, partition, max(offset, low))])
        self._thread = threading.Thread(target=self._read, args=(loop,), name=f"tail {self._topic}", daemon=True)
        self._thread.start()

    async def lists(self) -> AsyncIterator[list[Item | CaughtUp]]:
        """What was found, as it comes; ends with `close`.

        Raises:
            Unavailable: Kafka denies access.
        """
        while not self._ended.is_set():
            taken = await self._arrived.get()
            self._room.release()
            if isinstance(taken, BaseException):
                raise taken
            if taken:
                yield taken

    async def close(self) -> None:
        """Stops reading; safe to call twice."""
        if self._ended.is_set():
            return
        self._ended.set()
        self._arrived.put_nowait([])  # for who waits
        if self._thread is None:
            await asyncio.to_thread(self._consumer.close)
        else:
            await asyncio.to_thread(self._thread.join)

    def _partition(self) -> tuple[int, int, int]:
        """Number, first offset and end of the key's partition."""
        deadline = time.monotonic() + ANSWER_S
        while True:
            try:
                return self._look()
            except KafkaException as silent:
                error: KafkaError = silent.args[0]
                if error.code() in _FINAL or time.monotonic() > deadline:
                    raise Unavailable(f"Kafka at {self._servers} does not answer: {error.str()}") from silent
                time.sleep(POLL_S)  # a broker that has just started, or a leader that changes; this is a thread of its own

    def _look(self) -> tuple[int, int, int]:
        found = self._consumer.list_topics(self._topic, ANSWER_S).topics[self._topic]
        if found.error is not None:
            raise Unavailable(f"topic {self._topic}: {found.error.str()}")
        number = home_partition(self._key.encode(), len(found.partitions))
        low, high = self._consumer.get_watermark_offsets(TopicPartition(self._topic, number), timeout=ANSWER_S)
        return number, low, high

    def _read(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            while not self._ended.is_set():
                items = self._fetch()
                if items:
                    self._hand_over(loop, items)
        except Exception as error:  # noqa: BLE001  raised again where its items are awaited
            self._hand_over(loop, error)
        finally:
            self._consumer.close()

    def _fetch(self) -> list[Item | CaughtUp]:
        first = self._consumer.poll(POLL_S)  # at the first record; `consume` would wait for more
        if first is None:
            return []
        return [item for message in (first, *self._consumer.consume(MOST_RECORDS, 0)) for item in self._items(message)]

    def _items(self, message: Message) -> Iterable[Item | CaughtUp]:
        error = message.error()
        if error is None:
            offset = message.offset()
            return () if offset is None else self._items_of(offset, message)
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001  the library's only name for it
            return (CaughtUp(),)
        if error.fatal() or error.code() in _FINAL:
            raise Unavailable(f"topic {self._topic}: {error.str()}")
        return ()  # a broker's absence, told in many ways

    def _items_of(self, offset: int, message: Message) -> Iterable[Item]:
        try:
            return tuple(self._found(offset, message.key(), message.value()))
        except UnreadableRecord as error:
            told = f"topic {self._topic}, partition {message.partition()}, offset {offset}: {error}"
            raise Unavailable(f"{told}; is what writes it a newer release?") from error

    def _hand_over(self, loop: asyncio.AbstractEventLoop, items: list[Item | CaughtUp] | BaseException) -> None:
        while not self._room.acquire(timeout=POLL_S):
            if self._ended.is_set() or loop.is_closed():
                break
        if loop.is_closed():
            self._ended.set()  # whoever read this is gone without a word
        else:
            loop.call_soon_threadsafe(self._arrived.put_nowait, items)
