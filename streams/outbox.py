"""Bytes on their way to Kafka: a bounded producer that accounts for every message it was given."""

from __future__ import annotations

import asyncio
import atexit
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Generic, TypeVar

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from streams.errors import Unavailable
from streams.settings import Settings
from streams.topics import INPUT_BYTES

log = logging.getLogger(__name__)

Item = TypeVar("Item")
Handed_co = TypeVar("Handed_co", covariant=True)
Headers = Sequence[tuple[str, bytes]]
Settle = Callable[[str | None], None]

MAX_MESSAGE_BYTES = INPUT_BYTES
"""Largest message the producer takes: what the topics take. An event larger than Settings.max_event_bytes must still reach its
topic, so that it becomes a dead letter instead of an error that only its publisher sees."""

TELL_EVERY_S = 10.0
"""A broker that is away is tried many times a second; so often it is told."""

POLL_S = 0.1
"""How long the delivery thread waits for acknowledgements before it looks whether it shall end."""


class PublishTimeout(Unavailable):
    """The local queue stayed full: Kafka is down or slower than the publisher. The event was not taken; try again later."""


class PublishFailed(Unavailable):
    """The producer can't take anything more: it is closed, or met an error that it can't get over. The event was not taken."""


class UndeliveredError(Unavailable):
    """Events were taken but not acknowledged.

    Attributes:
        undelivered: each event with its reason; publish them again with their ids.
    """

    def __init__(self, undelivered: Sequence[Undelivered[object]]) -> None:
        self.undelivered = tuple(undelivered)
        first = self.undelivered[0]
        super().__init__(f"{len(self.undelivered)} events were not acknowledged, the first because: {first.reason}")

    @property
    def events(self) -> list[object]:
        """The events alone."""
        return [one.event for one in self.undelivered]


@dataclass(frozen=True, slots=True)
class Delivered:
    """What became of the events of a publisher since it was made."""

    acknowledged: int
    failed: int
    in_flight: int
    """Neither acknowledged nor failed yet: only after a flush that timed out."""


@dataclass(frozen=True, slots=True)
class Undelivered(Generic[Handed_co]):
    """An event that was not acknowledged, and why."""

    event: Handed_co
    reason: str


@dataclass(frozen=True, slots=True)
class Letter:
    """One message: the topic's full name, the key that decides the partition (None: a random one), its bytes, its headers."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


class Outbox(Generic[Item]):
    """Sends messages, each standing for an item that is handed back if the message is not acknowledged.

    Thread-safe. `put` never waits for the broker; it waits for room. Failed items take up room until `take_undelivered`, so
    that a broker that is down for hours can't fill the memory.

    acks=all, with idempotence: a retry inside the producer is not appended twice, order per partition is kept. The
    partitioner is the CRC-32 of the key, of which streams/partitioning.py computes a tenant's home.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        max_pending: int = 100_000,
        max_wait: timedelta = timedelta(seconds=30),
        delivery_timeout: timedelta = timedelta(minutes=2),
        linger_ms: float = 5,
        on_delivery: Callable[[Item, str | None], None] | None = None,
    ) -> None:
        self._max_pending = max_pending
        self._max_wait_s = max_wait.total_seconds()
        self._delivery_timeout_s = delivery_timeout.total_seconds()
        self._on_delivery = on_delivery
        self._changed = threading.Condition()
        self._taken = 0
        self._acknowledged = 0
        self._undelivered: list[Undelivered[Item]] = []
        self._handed_back = 0
        self._trouble = ""
        self._tell_again = 0.0
        self._closed = False
        self._producer = Producer(
            {
                **settings.kafka_client_config(),
                "acks": "all",
                "enable.idempotence": True,
                "partitioner": "consistent_random",
                "compression.type": "lz4",
                "linger.ms": linger_ms,
                "batch.size": 1 << 20,
                "message.max.bytes": MAX_MESSAGE_BYTES,
                "delivery.timeout.ms": int(self._delivery_timeout_s * 1000),
                "queue.buffering.max.messages": max_pending,
                "queue.buffering.max.kbytes": 1 << 20,
                "reconnect.backoff.max.ms": 1000,
                "log_level": 0,  # librdkafka tells twenty times a second that a broker is away; `_on_error` does it now and then
                "error_cb": self._on_error,
            }
        )
        # Acknowledgements must be seen while the caller does something else, or an awaiting task would never wake.
        self._poller = threading.Thread(target=self._poll, name="outbox", daemon=True)
        self._poller.start()
        atexit.register(self._close_at_exit)

    def check(self, topic: str, timeout: timedelta) -> None:
        """Asks Kafka now whether the topic is there, for a caller who would rather know at once than wait.

        Raises:
            Unavailable: no broker answered in time, or none has the topic.
        """
        try:
            known = self._producer.list_topics(topic, timeout.total_seconds()).topics[topic].error
        except KafkaException as silent:
            raise Unavailable(f"Kafka does not answer: {self._trouble or _told(silent.args[0])}") from silent
        if known is not None:
            raise Unavailable(f"topic {topic}: {known.str()}")

    def put(self, letter: Letter, item: Item, settle: Settle | None = None) -> None:
        """Takes one message; waits while there is no room.

        Args:
            letter: the message.
            item: what is handed back if the message fails.
            settle: called in the delivery thread with None or the reason of the failure; the outbox then does not keep the item.

        Raises:
            PublishTimeout: no room within `max_wait`.
            PublishFailed: closed, too large, or a fatal error.
        """
        deadline = time.monotonic() + self._max_wait_s
        while not self._offer(letter, item, settle):
            left = deadline - time.monotonic()
            if left <= 0:
                raise PublishTimeout(self._why_full())
            with self._changed:
                self._changed.wait(min(left, POLL_S))

    async def put_async(self, letter: Letter, item: Item) -> None:
        """Takes one message and waits for its acknowledgement without blocking the event loop.

        Raises:
            UndeliveredError: the message failed.
            PublishTimeout: no room within `max_wait`.
            PublishFailed: closed, too large, or a fatal error.
        """
        reason = await (await self.hand_over(letter, item))
        if reason is not None:
            raise UndeliveredError([Undelivered[object](item, reason)])

    async def hand_over(self, letter: Letter, item: Item) -> asyncio.Future[str | None]:
        """Takes one message as soon as there is room. Messages whose calls follow one another keep their order.

        Returns:
            A future, done when the message's fate is known: None, or the reason why it failed.

        Raises:
            PublishTimeout: no room within `max_wait`.
            PublishFailed: closed, too large, or a fatal error.
        """
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[str | None] = loop.create_future()

        def resolve(reason: str | None) -> None:
            if not outcome.done():
                outcome.set_result(reason)

        def settle(reason: str | None) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(resolve, reason)

        if not self._offer(letter, item, settle):
            await asyncio.to_thread(self.put, letter, item, settle)
        return outcome

    def flush(self, timeout: timedelta | None = None) -> Delivered:
        """Waits until every message so far is acknowledged or failed, at most `timeout` (None: as long as deliveries are tried)."""
        self._producer.flush(self._delivery_timeout_s + 5 if timeout is None else timeout.total_seconds())
        return self.delivered()

    def delivered(self) -> Delivered:
        """What became of the messages so far, without waiting."""
        with self._changed:
            return Delivered(self._acknowledged, len(self._undelivered), self._in_flight())

    def take_undelivered(self) -> list[Undelivered[Item]]:
        """The items that failed; the outbox forgets them."""
        with self._changed:
            taken, self._undelivered = self._undelivered, []
            self._handed_back += len(taken)
            self._changed.notify_all()
        return taken

    def close(self, timeout: timedelta | None = None) -> None:
        """Flushes, gives up what is still under way after `timeout`, and stops.

        Raises:
            UndeliveredError: with every item that was not acknowledged and not handed back before.
        """
        with self._changed:
            if self._closed:
                return
            self._closed = True
        atexit.unregister(self._close_at_exit)
        self.flush(timeout)
        # What is given up fails with a reason of its own, so that it is handed back like any other failure.
        self._producer.purge()
        self._producer.flush(5)
        self._poller.join()
        if undelivered := self.take_undelivered():
            raise UndeliveredError(undelivered)

    def _offer(self, letter: Letter, item: Item, settle: Settle | None) -> bool:
        """Gives the message to the producer if there is room."""
        with self._changed:
            if self._closed:
                raise PublishFailed("the publisher is closed")
            if self._in_flight() + len(self._undelivered) >= self._max_pending:
                return False
            self._taken += 1

        def on_delivery(error: KafkaError | None, _message: Message) -> None:
            self._settled(item, None if error is None else _told(error), settle)

        try:
            self._producer.produce(
                letter.topic, value=letter.value, key=letter.key, headers=list(letter.headers) or None, on_delivery=on_delivery
            )
        except BufferError:
            self._not_taken()
            return False
        except KafkaException as failed:
            self._not_taken()
            raise PublishFailed(_told(failed.args[0])) from failed
        return True

    def _not_taken(self) -> None:
        with self._changed:
            self._taken -= 1

    def _in_flight(self) -> int:
        return self._taken - self._acknowledged - self._handed_back - len(self._undelivered)

    def _settled(self, item: Item, reason: str | None, settle: Settle | None) -> None:
        with self._changed:
            if reason is None:
                self._acknowledged += 1
            elif settle is None:
                self._undelivered.append(Undelivered(item, reason))
            else:
                self._handed_back += 1
            self._changed.notify_all()
        if settle is not None:
            settle(reason)
        if self._on_delivery is not None:
            try:
                self._on_delivery(item, reason)
            except Exception:  # an error of the caller's code must not end the thread that all acknowledgements come through
                log.exception("on_delivery failed")

    def _on_error(self, error: KafkaError) -> None:
        self._trouble = _told(error)
        now = time.monotonic()
        if now >= self._tell_again:
            self._tell_again = now + TELL_EVERY_S
            log.warning("Kafka: %s", self._trouble)

    def _why_full(self) -> str:
        state = self.delivered()
        trouble = f"; Kafka: {self._trouble}" if self._trouble else ""
        return (
            f"no room within {self._max_wait_s:g} s: {state.in_flight} events wait for their acknowledgement, "
            f"{state.failed} failed and were not taken back{trouble}"
        )

    def _poll(self) -> None:
        while not self._closed:
            self._producer.poll(POLL_S)

    def _close_at_exit(self) -> None:
        try:
            self.close()
        except UndeliveredError as lost:
            log.error("the publisher was not closed before the program ended: %s", lost)  # noqa: TRY400  no traceback at exit


def _told(error: KafkaError) -> str:
    return f"{error.str()} ({error.name()})"
