"""Load whose every event is accounted for: what was published, and what must therefore be found at the other end."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Self

from schemas.published import LatencyEvent, PoolCommand, ProfileCommand, UsageEvent
from streams.client import CommandPublisher, LatencyPublisher, UsagePublisher
from streams.outbox import PublishTimeout
from streams.settings import Settings

# Shorter than any restart of the broker takes under load, so that publishers do give up and publish again with the same id.
DELIVERY = timedelta(seconds=12)


@dataclass
class Ledger:
    """What was published and acknowledged."""

    usage: dict[tuple[str, str, str], UsageEvent] = field(default_factory=dict)
    latency: dict[tuple[str, str, str], LatencyEvent] = field(default_factory=dict)

    def add(self, event: UsageEvent | LatencyEvent) -> None:
        """An event is known by (tenant, source, id)."""
        kept: dict[Any, Any] = self.usage if isinstance(event, UsageEvent) else self.latency
        kept[event.tenant, event.source, event.id] = event

    def tokens(self, *, pools: set[str] | None = None) -> dict[tuple[str, str], int]:
        """(pool, tenant) -> input + output of all events, cached input at its full weight."""
        sums: dict[tuple[str, str], int] = defaultdict(int)
        for event in self.usage.values():
            if pools is None or event.pool in pools:
                sums[event.pool, event.tenant] += event.input_tokens + event.output_tokens
        return dict(sums)

    def counts(self) -> dict[tuple[str, str], int]:
        """(pool, tenant) -> usage events."""
        return dict(Counter((event.pool, event.tenant) for event in self.usage.values()))


def command(settings: Settings, *commands: PoolCommand | ProfileCommand) -> None:
    """Publish commands, acknowledged."""
    with CommandPublisher(settings) as publisher:
        for one in commands:
            publisher.publish(one)


class Load:
    """Publishes usage and latency in a thread of its own until it is stopped, through any failure of the broker.

    What is not acknowledged is published again with the same id; now and then an event is published twice on purpose.
    """

    def __init__(self, settings: Settings, tenants: dict[str, list[str]], *, per_s: int, seed: int) -> None:
        self.ledger = Ledger()
        self.repeated = 0
        self.retried = 0
        self.failure: BaseException | None = None
        self._tenants = [(pool, tenant) for pool, names in tenants.items() for tenant in names]
        self._per_s = per_s
        self._random = random.Random(seed)
        self._usage = UsagePublisher(settings, delivery_timeout=DELIVERY, max_wait=timedelta(seconds=1))
        self._latency = LatencyPublisher(settings, delivery_timeout=DELIVERY, max_wait=timedelta(seconds=1), encoding="json")
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop publishing; returns when all is acknowledged."""
        self._end.set()
        self._thread.join()
        for publisher in (self._usage, self._latency):
            deadline = time.monotonic() + 90
            while self._publish_again(publisher) or publisher.flush(timedelta(seconds=1)).in_flight:
                assert time.monotonic() < deadline, "the broker does not acknowledge"
            publisher.close()
        if self.failure is not None:
            raise self.failure

    def _run(self) -> None:
        try:
            number, start = 0, time.monotonic()
            while not self._end.wait(0.02):
                due = int((time.monotonic() - start) * self._per_s)
                # After a wait for a dead broker the load goes on at its pace; it does not catch up.
                number = max(number, due - self._per_s)
                while number < due:
                    self._one(number)
                    number += 1
                self._publish_again(self._usage)
                self._publish_again(self._latency)
        except BaseException as error:  # noqa: BLE001  told by `stop`, in the test's thread
            self.failure = error

    def _one(self, number: int) -> None:
        pool, tenant = self._random.choice(self._tenants)
        now = time.time_ns() // 1_000_000
        used = UsageEvent(
            time=now,
            source="load",
            id=f"u{number}",
            tenant=tenant,
            pool=pool,
            input_tokens=self._random.randint(0, 2000),
            output_tokens=self._random.randint(0, 500),
        )
        self._put(self._usage, used)
        if number % 50 == 0:
            self.repeated += 1
            self._put(self._usage, used)
        if number % 5 == 0:
            took = LatencyEvent(
                time=now, source="load", id=f"l{number}", tenant=tenant, pool=pool, latency_ms=self._random.randint(1, 5000)
            )
            self._put(self._latency, took)

    def _put(self, publisher: Any, event: UsageEvent | LatencyEvent) -> None:
        """Until it is taken: everything that is taken ends acknowledged, as `stop` sees to."""
        while True:
            try:
                publisher.publish(event)
            except PublishTimeout:
                self._publish_again(publisher)
                continue
            self.ledger.add(event)
            return

    def _publish_again(self, publisher: Any) -> int:
        failed = publisher.take_undelivered()
        for one in failed:
            self.retried += 1
            while True:
                try:
                    publisher.publish(one.event)
                except PublishTimeout:
                    continue
                break
        return len(failed)
