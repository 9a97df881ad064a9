"""When acts of the demo's play begin: at their times, one after the other, none left out however late it is."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from infra.demo.shared_pool import ACTS, Act, act_at

LOOK_EVERY_S = 0.1


class Stage:
    """Begins acts in a thread of its own: what the screen shows may take longer than an act lasts."""

    def __init__(self, now: Callable[[], tuple[int, bool]], change: Callable[[int, Act], None], seconds: float) -> None:
        """Nothing begins before `start`.

        Args:
            now: time of the play, milliseconds, and whether it goes on.
            change: makes an act, of this number, what the pool is like.
            seconds: how long the play is.
        """
        self._now = now
        self._change = change
        self._seconds = seconds
        self._begun = self._told = 0
        self._stopping = threading.Event()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="stage")
        self._run: Future[None] | None = None

    @property
    def begun(self) -> int:
        """Acts that have begun."""
        return self._begun

    def start(self) -> None:
        """From now on acts begin."""
        self._run = self._pool.submit(self._begin_all)

    def news(self) -> tuple[Act, ...]:
        """Acts that have begun since this was asked last, in order."""
        first, self._told = self._told, self._begun
        return ACTS[first : self._told]

    def finish(self) -> None:
        """No more acts begin.

        Raises:
            Exception: what kept one from beginning, if anything did.
        """
        self._stopping.set()
        self._pool.shutdown()
        if self._run is not None:
            self._run.result()

    def _begin_all(self) -> None:
        goes_on = True
        while goes_on:
            goes_on = not self._stopping.wait(LOOK_EVERY_S)  # before the look: an act that is due at the end begins, too
            at_ms, more = self._now()
            self._catch_up(act_at(at_ms, self._seconds))
            goes_on = goes_on and more

    def _catch_up(self, number: int) -> None:
        while self._begun <= number:
            self._change(self._begun, ACTS[self._begun])
            self._begun += 1
