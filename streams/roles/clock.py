"""The clock: whoever owns the one partition of the `clock` topic writes ticks to everyone.

Tick n = floor(time / tick length). For each tick:
1. it is written to `clock` itself, whose answer tells the broker's time. If the broker is behind, everyone would refuse the tick
   as ahead of its own append time, so nobody else gets it; this host's lead is noted, and this tick and those after it wait for it;
2. then it is written to every partition of the inputs and of the journal.
Ticks that were missed are not made up: the next one carries on, and periods are closed by it. Readers ignore n at or below
the last, so a second clock for a moment, or one whose owner has a slower clock, is harmless.
"""

from __future__ import annotations

import asyncio
import logging
import time

import faust

from schemas.journal import ClockTick
from streams.codecs import encode
from streams.partition_counts import partition_count
from streams.roles.clock_owner import ClockOwner
from streams.settings import Settings
from streams.ticks import TICK_HEADER
from streams.transport import Batch, Outgoing, consumer_of, producer_of, send_all

log = logging.getLogger(__name__)

WORTH_TELLING_MS = 10
"""A lead that grows by more than this is told; less is how exactly two clocks can be compared over a network."""

INPUTS = ("usage", "latency", "admissions", "orders", "profiles")


class BrokerTime:
    """This host's time, held back by its lead over the broker's, ms.

    An answer to a record sent at s, appended by the broker at b and answered at a (s and a by our clock) says that our lead was
    between s - b and a - b.
    """

    def __init__(self) -> None:
        self.lead_ms = 0

    def held_back(self, now_ms: int) -> int:
        """A time that the broker's clock has reached, as far as is known."""
        return now_ms - self.lead_ms

    def learn(self, sent_ms: int, appended_ms: int, answered_ms: int) -> None:
        """Take an answer into account; a lead that has gone, because somebody has set the clock, is forgotten.

        Args:
            sent_ms: our time when the record was sent.
            appended_ms: the broker's time in its answer.
            answered_ms: our time when the answer came.
        """
        self.lead_ms = max(0, sent_ms - appended_ms, min(self.lead_ms, answered_ms - appended_ms))


def now_ms() -> int:
    """This host's time, ms since 1970."""
    return time.time_ns() // 1_000_000


class Clock(ClockOwner):
    """Writes ticks while this worker owns the `clock` topic's partition."""

    def __init__(self, app: faust.App, settings: Settings) -> None:
        super().__init__(app, settings)
        self._time = BrokerTime()

    async def take(self, batch: Batch) -> None:
        """Ticks that were read back need nothing."""
        consumer_of(self._app).declare_safe(batch.tp, batch.last + 1, generation=batch.generation)

    async def _work(self) -> None:
        """Sleep to the next boundary by the time of day, whatever the last tick took: no drift, and none is made up."""
        tick_ms, last = self._settings.tick_ms, -1
        while True:
            now = self._time.held_back(now_ms())
            number = now // tick_ms
            if number > last:
                if await self._tick(number):
                    last = number
            else:
                await asyncio.sleep(((last + 1) * tick_ms - now) / 1000)

    async def _tick(self, number: int) -> bool:
        """Write a tick to everyone; False if it is too early by the broker's clock."""
        settings = self._settings
        tick = ClockTick(
            tick=number,
            tick_ms=settings.tick_ms,
            meter_partitions=await partition_count(self._app, settings.topic("usage")),
            grace_ticks=settings.grace_ticks,
        )
        value = encode(tick)
        if not await self._broker_has_reached(number * settings.tick_ms, value):
            return False
        targets = [(topic, await partition_count(self._app, topic)) for topic in map(settings.topic, (*INPUTS, "journal"))]
        await send_all(
            self._app,
            [Outgoing(topic, part, None, value, (TICK_HEADER,)) for topic, count in targets for part in range(count)],
        )
        return True

    async def _broker_has_reached(self, begin_ms: int, value: bytes) -> bool:
        sent_ms = now_ms()
        sent = await producer_of(self._app).send(self._settings.topic("clock"), None, value, 0, None, [TICK_HEADER])
        appended_ms = int((await sent).timestamp or 0)
        before = self._time.lead_ms
        self._time.learn(sent_ms, appended_ms, now_ms())
        if self._time.lead_ms - before > WORTH_TELLING_MS:
            log.error("This host's clock is %s ms ahead of the broker's: set both by NTP. Ticks wait for it.", self._time.lead_ms)
        return appended_ms >= begin_ms
