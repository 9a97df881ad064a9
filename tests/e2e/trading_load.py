"""Tenants at work: signed commands at a pace, every one of them kept, so that each can be asked for afterwards."""

from __future__ import annotations

import random
import threading
import time
from types import TracebackType
from typing import Self

from trading import POOL, Flow

from schemas.market import TenantCommand
from streams.codecs import encode
from streams.outbox import Letter, Outbox
from streams.settings import Settings

TWICE = 50
"""Every so many commands one is published a second time, as a producer does that did not hear of its success."""


class Desk:
    """Publishes a flow's commands in a thread of its own; leaving the context waits until all are published and acknowledged.

    Attributes:
        published: acknowledged, in the order of publication, each once.
    """

    def __init__(self, settings: Settings, flow: Flow, *, per_s: int, seconds: float, period_s: int, forward: int) -> None:
        self.published: list[TenantCommand] = []
        self.repeated = 0
        self._flow = flow
        self._per_s, self._seconds = per_s, seconds
        self._period_s, self._forward = period_s, forward
        self._random = random.Random(flow.seed)
        self._topic = settings.topic("orders")
        self._outbox: Outbox[TenantCommand] = Outbox(settings, linger_ms=0)
        self._thread = threading.Thread(target=self._run, name="desk")
        self._failure: BaseException | None = None
        self._begun = self._ended = 0.0

    def __enter__(self) -> Self:
        self._begun = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._thread.join()
        self._outbox.close()
        if self._failure is not None:
            raise self._failure

    @property
    def elapsed(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self._begun

    @property
    def rate(self) -> float:
        """Commands per second, as they were really published."""
        return len(self.published) / (self._ended - self._begun)

    def _run(self) -> None:
        try:
            for number in range(int(self._per_s * self._seconds)):
                while (left := self._begun + number / self._per_s - time.monotonic()) > 0:
                    time.sleep(left)
                self._publish(self._flow.next(self._period()))
            self._outbox.flush()
            self._ended = time.monotonic()
        except BaseException as error:  # noqa: BLE001  raised when the context ends, in the test's thread
            self._failure = error

    def _period(self) -> int:
        """A quarter of the present period and the next, the others of those behind. The first may be over when it is decided."""
        present = int(time.time()) // self._period_s
        if self._random.random() < 0.25:
            return present + self._random.randrange(2)
        return present + self._random.randrange(2, self._forward)

    def _publish(self, command: TenantCommand) -> None:
        letter = Letter(self._topic, POOL.encode(), encode(command))
        self._outbox.put(letter, command)
        self.published.append(command)
        if len(self.published) % TWICE == 0:
            self.repeated += 1
            self._outbox.put(letter, command)
