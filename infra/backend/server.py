"""The HTTP server around the backend's routes."""

from __future__ import annotations

from types import FrameType

import uvicorn

from infra.backend.app import HEADERS, Backend

LAST_WORDS_S = 5
"""For requests to hear that the server is being stopped."""


class BackendServer(uvicorn.Server):
    """uvicorn with HTTP parsed in C, every answer marked as simulated, and requests that end before it waits for connections to."""

    def __init__(self, backend: Backend) -> None:
        super().__init__(
            uvicorn.Config(
                backend.app(),
                loop="uvloop",
                http="httptools",
                log_level="warning",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                headers=HEADERS,
                timeout_graceful_shutdown=LAST_WORDS_S,
            )
        )
        self._backend = backend

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal."""
        super().handle_exit(sig, frame)
        self._backend.stop()
