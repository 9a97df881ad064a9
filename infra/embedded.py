"""Embedded parts outside a supervisor: for tests and benchmarks, which start, kill and restart them at will."""

from __future__ import annotations

import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from infra import processes
from infra.broker import broker_command, wait_for_broker
from streams.errors import UserError


class Part(ABC):
    """A process of an embedded part on a port of its own.

    Attributes:
        port: on which it listens; the same after a restart.
        log: file of its output.
    """

    def __init__(self, argv: list[str], log: Path, port: int, environment: Mapping[str, str] | None = None) -> None:
        self.port = port
        self.log = log
        self._argv = argv
        self._environment = dict(environment or {})
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, timeout_s: float = 60) -> Self:
        """Start and wait until it answers.

        Raises:
            UserError: it did not answer in time, or ended.
        """
        self._process = processes.start(self._argv, log=self.log, environment=self._environment)
        try:
            self._wait(timeout_s)
        except UserError as error:
            self.kill()
            tail = self.log.read_text(errors="replace")[-2000:]
            message = f"{error}\n{tail}"
            raise UserError(message) from error
        return self

    @abstractmethod
    def _wait(self, timeout_s: float) -> None:
        """Return when it answers."""

    @property
    def pid(self) -> int:
        """Of the running process."""
        return self._running().pid

    @property
    def alive(self) -> bool:
        """True while it runs."""
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """Kill -9, as a crash."""
        self._running().kill()
        self._running().wait()

    def stop(self, *, grace_s: float = 15) -> None:
        """Ask to stop, kill after `grace_s` seconds."""
        if not self.alive:
            return
        self._running().terminate()
        try:
            self._running().wait(grace_s)
        except subprocess.TimeoutExpired:
            self.kill()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            message = "not started"
            raise RuntimeError(message)
        return self._process

    def __enter__(self) -> Self:
        return self if self.alive else self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()


class EmbeddedBroker(Part):
    """Apache Kafka in this directory, on a free port unless one is given."""

    def __init__(self, directory: Path, *, port: int | None = None, jar_dir: Path | None = None) -> None:
        chosen = port or processes.free_port()
        argv = broker_command(
            directory / "kafka",
            port=chosen,
            controller_port=processes.free_port(),
            jar_dir=jar_dir,
        )
        super().__init__(argv, directory / "logs" / "kafka.log", chosen)

    @property
    def bootstrap(self) -> str:
        """host:port for clients."""
        return f"127.0.0.1:{self.port}"

    def _wait(self, timeout_s: float) -> None:
        wait_for_broker({"bootstrap.servers": self.bootstrap}, timeout_s=timeout_s, gone=lambda: not self.alive)


class EmbeddedClickHouse(Part):
    """ClickHouse in this directory, on a free port unless one is given; `environment` may set user and password."""

    def __init__(self, directory: Path, *, port: int | None = None, environment: Mapping[str, str] | None = None) -> None:
        chosen = port or processes.free_port()
        argv = clickhouse_command(directory / "clickhouse", port=chosen)
        super().__init__(argv, directory / "logs" / "clickhouse.log", chosen, environment)

    @property
    def url(self) -> str:
        """http://host:port for clients."""
        return f"http://127.0.0.1:{self.port}"

    def _wait(self, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while not clickhouse_answers(self.url):
            if not self.alive or time.monotonic() > deadline:
                message = f"ClickHouse at {self.url} {'does not answer' if self.alive else 'ended'}"
                raise UserError(message)
            time.sleep(0.05)


def clickhouse_command(data: Path, *, port: int, host: str = "127.0.0.1") -> list[str]:
    """The command that runs an embedded ClickHouse on this data."""
    return [sys.executable, "-m", "infra.clickhouse_server", "--host", host, "--port", str(port), "--path", str(data)]


def clickhouse_answers(url: str, *, timeout_s: float = 2.0) -> bool:
    """True if the server at this URL says it is alive."""
    answer = get(f"{url}/ping", timeout_s=timeout_s)
    return answer is not None and answer.text.strip() == "Ok."


def get(url: str, *, timeout_s: float = 2.0) -> httpx.Response | None:
    """The answer of something that may be starting or gone; None: there is none.

    Certificates are loaded (50 ms of a core) only where one has to be checked: this is asked many times a second.
    """
    try:
        return httpx.get(url, timeout=timeout_s, verify=url.startswith("https"))
    except httpx.HTTPError:
        return None
