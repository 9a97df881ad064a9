"""What engines ask for, followed on the compacted topic `scaling`: the newest of each scaled pool.

Engines tell of each at every tick. While Kafka or the engine is away the last word stands: nobody scales for an outage. How old it
is, `/scale/{pool}` and `/metrics` tell.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator

from schemas.outputs import Scale
from streams.codecs import decode
from streams.settings import Settings
from streams.tailing import CaughtUp, Tail

TOPIC = "scaling"

Told = tuple[str, Scale | None]
"""A pool, and how it is scaled; None: no more."""


class Scales:
    """The newest word on each pool. 1,000 scaled pools hold 1 MB.

    Args:
        clock: seconds since 1970.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.ready = False
        """Whether all that the topic held has been read."""
        self._clock = clock
        self._now: dict[str, Scale] = {}
        self._heard: dict[str, float] = {}
        self._changed = asyncio.Event()

    def __iter__(self) -> Iterator[Scale]:
        """Of all scaled pools, in the order of their ids."""
        return iter([self._now[pool] for pool in sorted(self._now)])

    def get(self, pool: str) -> Scale | None:
        """Of one pool; None: it is not scaled."""
        return self._now.get(pool)

    def heard(self, pool: str) -> float:
        """When the word on a scaled pool came, in seconds since 1970; one that stood there before: when it was read."""
        return self._heard[pool]

    def age_s(self, pool: str) -> float:
        """How long ago that was."""
        return max(self._clock() - self._heard[pool], 0.0)

    def take(self, pool: str, scale: Scale | None) -> None:
        """What was told. An older word may follow a newer one after a crash of an engine."""
        known = self._now.get(pool)
        if scale is None:
            self._now.pop(pool, None)
            self._heard.pop(pool, None)
        elif known is None or scale.journal_offset >= known.journal_offset:
            self._now[pool] = scale
            self._heard[pool] = self._clock()
        self._tell()

    def begun(self) -> None:
        """All that was there has been taken."""
        self.ready = True
        self._tell()

    async def words(self) -> AsyncIterator[None]:
        """At once, then after each word on whatever pool; ends with who asks."""
        while True:
            changed = self._changed
            yield
            await changed.wait()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


async def follow(settings: Settings, scales: Scales) -> None:
    """Takes what the topic holds and what comes, until it is cancelled.

    Raises:
        Unavailable: no broker answers, none has the topic, or Kafka denies access.
    """
    tail: Tail[Told] = Tail(settings, settings.topic(TOPIC), TOPIC, _read)
    await tail.start(0)
    try:
        async for items in tail.lists():
            for item in items:
                if isinstance(item, CaughtUp):
                    scales.begun()
                else:
                    scales.take(*item)
    finally:
        await tail.close()


def _read(offset: int, key: bytes | None, value: bytes | None) -> Iterable[Told]:  # noqa: ARG001  as `Tail` calls
    if key is None:
        return ()
    told = None if value is None else decode(value)
    return ((key.decode(), told),) if told is None or isinstance(told, Scale) else ()
