"""`bourse backend` inside of the test's process, in a thread of its own, on a free port."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from infra.backend.app import Backend
from infra.backend.counted import Counted
from infra.backend.server import BackendServer
from infra.simulate.machine import Machine


@dataclass(frozen=True)
class Running:
    """Where it is (`url` ends in /v1), and a client of its own."""

    url: str
    http: httpx.Client

    @property
    def root(self) -> str:
        return self.url.removesuffix("/v1")

    def counted(self) -> dict[str, Any]:
        """What it counted, and what is inside now."""
        told: dict[str, Any] = self.http.get(f"{self.root}/counted").json()
        return told

    def idle(self) -> dict[str, Any]:
        """What it counted when nothing is inside any more, and that all of its blocks are free."""
        deadline = time.monotonic() + 20
        while (told := self.counted())["now"]["in_flight"]:
            assert time.monotonic() < deadline, told
            time.sleep(0.01)
        assert told["now"]["kv_blocks_free"] == told["now"]["kv_blocks"]
        return told


@contextmanager
def running_backend(
    machine: Machine | None = None, *, replicas: int = 1, speed: float = 20.0, fail_rate: float = 0.0, counts: Path | None = None
) -> Iterator[Running]:
    """Serve until the block ends."""
    backend = Backend(machine or Machine(), Counted(counts), replicas=replicas, speed=speed, fail_rate=fail_rate)
    server = BackendServer(backend)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.005)
        try:
            with httpx.Client() as http:
                yield Running(f"http://127.0.0.1:{listening.getsockname()[1]}/v1", http)
        finally:
            server.should_exit = True
            thread.join(20)
            assert not thread.is_alive()
