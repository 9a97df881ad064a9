"""What engines ask for, followed on the compacted topic `scaling`: the newest of each scaled pool.

While Kafka is away the last word stands: nobody scales for an outage. How old it is, `/metrics` tells.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator

from schemas.outputs import Scale
from streams.codecs import decode
from streams.settings import Settings
from streams.tailing import CaughtUp, Tail

TOPIC = "scaling"

Told = tuple[str, Scale | None]
"""A pool, and how it is scaled; None: no more."""


class Scales:
    """The newest word on each pool. 1,000 scaled pools hold 1 MB."""

    def __init__(self) -> None:
        self.ready = False
        """Whether all that the topic held has been read."""
        self._now: dict[str, Scale] = {}
        self._changed = asyncio.Event()

    def __iter__(self) -> Iterator[Scale]:
        """Of all scaled pools, in the order of their ids."""
        return iter([self._now[pool] for pool in sorted(self._now)])

    def get(self, pool: str) -> Scale | None:
        """Of one pool; None: it is not scaled."""
        return self._now.get(pool)

    def take(self, pool: str, scale: Scale | None) -> None:
        """What was told. An older word may follow a newer one after a crash of an engine."""
        known = self._now.get(pool)
        if scale is None:
            self._now.pop(pool, None)
        elif known is None or scale.journal_offset >= known.journal_offset:
            self._now[pool] = scale
        self._tell()

    def begun(self) -> None:
        """All that was there has been taken."""
        self.ready = True
        self._tell()

    async def courses(self, pool: str) -> AsyncIterator[Scale | None]:
        """A pool as it is, then after each change of whatever it may be; ends with who asks."""
        while True:
            changed = self._changed
            yield self._now.get(pool)
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
