"""A bound on how long a client may take for what is sent to it: one timer for all, as one for each piece costs as much as it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

LOOKS = 4
"""How often is looked within the bound: who is slow is noticed a quarter of it too late at most."""


class Slow:
    """Those to whom something is being sent, in one event loop. 100 bytes each; looking costs what is late, not what is there."""

    def __init__(self) -> None:
        self._sending: dict[str, tuple[float, float, Callable[[], None]]] = {}
        self._looking = False

    def begins(self, name: str, longest_s: float, late: Callable[[], None]) -> None:
        """Something is being sent to it; `late` is called if that takes longer. All have about the same bound."""
        loop = asyncio.get_running_loop()
        self._sending[name] = (loop.time() + longest_s, longest_s / LOOKS, late)
        if not self._looking:
            self._looking = True
            loop.call_later(longest_s / LOOKS, self._look, longest_s / LOOKS)

    def ends(self, name: str) -> None:
        """It was taken, or nobody is there any more."""
        self._sending.pop(name, None)

    def _look(self, every_s: float) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        while self._sending:
            name, (until, every_s, late) = next(iter(self._sending.items()))
            if until > now:  # those behind it began later
                loop.call_later(every_s, self._look, every_s)
                return
            del self._sending[name]
            late()
        self._looking = False
