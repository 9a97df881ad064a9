"""What one worker of a group does at a time: whoever owns the one partition of the `clock` topic."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping

import faust
from faust.types import TP

from streams.settings import Settings
from streams.transport import Committed, attach


class ClockOwner(ABC):
    """Works while this worker owns the partition in its role's group."""

    def __init__(self, app: faust.App, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        self._working: asyncio.Future[None] | None = None
        attach(app, self, self.topics)

    @property
    def topics(self) -> list[str]:
        """Names of the topics that it reads."""
        return [self._settings.topic("clock")]

    async def assigned(self, committed: Mapping[TP, Committed]) -> Mapping[TP, int]:
        """Begin if the partition is ours."""
        if any(tp.partition == 0 for tp in committed):
            self._working = self._app.add_future(self._work())
        return {}

    async def revoked(self, tps: set[TP]) -> None:  # noqa: ARG002  whatever was ours is gone
        """Stop at once: the next owner goes on."""
        working, self._working = self._working, None
        if working is not None:
            working.cancel()
            await asyncio.wait({working})

    @abstractmethod
    async def _work(self) -> None:
        """Never ends by itself; is cancelled when the partition goes."""
