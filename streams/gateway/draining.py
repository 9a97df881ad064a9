"""How a gateway ends when it is asked to (SIGTERM), so that whoever restarts it loses no request.

1. New requests are refused from that moment, 503 with `Retry-After`, and `/healthz` says 503: its clients and load balancers go
   elsewhere. It still listens, as a client that finds nobody can't know why.
2. What runs or waits goes on until it has ended, but no longer than `drain_s`. Then, or when asked a second time, it is cut off:
   told so, and settled for what it got.
3. It listens no more, and what follows it goes on as always: shares are given back, usage is published, files are closed.
"""

from __future__ import annotations

import signal
import time
from types import FrameType

import uvicorn

from streams.gateway.admitting import Parts

LAST_BYTES_S = 5
"""For answers that are complete to reach their clients, and for those that are cut off to say so: uvicorn's own patience."""


class Draining(uvicorn.Server):
    """uvicorn's server of a gateway.

    Args:
        config: of uvicorn; the time that it gives running requests in the end is set here.
        parts: of the gateway.
        drain_s: how long what runs may go on.
    """

    def __init__(self, config: uvicorn.Config, parts: Parts, drain_s: float) -> None:
        super().__init__(config)
        self._parts = parts
        self._drain_s = drain_s
        self._until: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal. SIGTERM is not raised again afterwards, as uvicorn does it: to end by it is what was asked, and done."""
        if sig != signal.SIGTERM:
            super().handle_exit(sig, frame)
            return
        first = self._until is None
        self._parts.closing = True
        self._until = time.monotonic() + (self._drain_s if first else 0)

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second: whether it is time to end."""
        if await super().on_tick(counter):
            return True
        if self._until is None:
            return False
        left_s = max(self._until - time.monotonic(), 0)
        # A request whose body is still on its way is in nobody's hand yet, and has the rest of the time.
        self.config.timeout_graceful_shutdown = LAST_BYTES_S + int(left_s)
        return not (left_s and self._parts.in_hand)
