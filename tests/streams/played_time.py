"""Time that is played: whoever would wait has waited already."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any


class PlayedTime(selectors.SelectSelector):
    """Of one event loop: it passes by what is slept, and by nothing else."""

    now_s = 0.0

    @property
    def now_ms(self) -> int:
        return round(self.now_s * 1000)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        assert timeout is not None, "nothing will ever happen: somebody waits for ever"
        self.now_s += timeout
        return super().select(0)

    def play(self, coroutine: Coroutine[Any, Any, None]) -> None:
        loop = asyncio.SelectorEventLoop(self)
        loop.time = lambda: self.now_s  # type: ignore[method-assign]  # the time that is played
        problems: list[dict[str, Any]] = []
        loop.set_exception_handler(lambda _loop, context: problems.append(context))
        try:
            loop.run_until_complete(coroutine)
        finally:
            loop.close()
        assert not problems, "what nobody awaits went wrong"
