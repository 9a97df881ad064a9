"""Topics, records and worker processes for the tests of this folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client
from databases import drop

from schemas.clickhouse import tables
from streams.clickhouse import connect
from streams.settings import Settings
from streams.tables import create_tables


@pytest.fixture(scope="session")
def bootstrap(request: pytest.FixtureRequest) -> str:
    """`host:port` of the session's broker; `BOURSE_TEST_KAFKA` names one that runs already."""
    return os.environ.get("BOURSE_TEST_KAFKA") or str(request.getfixturevalue("broker"))


class WorkerProcess:
    """A running `transport_worker.py` and what it has told so far."""

    _told = threading.Condition()  # of all workers: a condition may look at several

    def __init__(self, spec: dict[str, Any], log: Path) -> None:
        self.log = log
        self.events: list[dict[str, Any]] = []
        self._errors = log.open("wb")
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("transport_worker.py")), json.dumps(spec)],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._told:
                self.events.append({**json.loads(line), "at": time.monotonic()})
                self._told.notify_all()
        with self._told:
            self._told.notify_all()

    def told(self, what: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["what"] == what]

    def until(self, condition: Callable[[WorkerProcess], object], seconds: float = 30) -> None:
        """Wait until what it has told meets a condition."""
        with self._told:
            met = self._told.wait_for(lambda: condition(self) or not self._reader.is_alive(), timeout=seconds)
        assert met, f"not in time: {self.events[-20:]}\n{self.log.read_text()[-4000:]}"
        assert condition(self), f"ended: {self.events[-20:]}\n{self.log.read_text()[-4000:]}"

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def exit_code(self, seconds: float = 30) -> int:
        """Wait until it has ended by itself."""
        try:
            return self.process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running: {self.events[-20:]}\n{self.log.read_text()[-4000:]}") from None
        finally:
            self._reader.join(timeout=5)

    def stop(self, seconds: float = 20) -> int:
        """SIGTERM, and its exit code."""
        self.process.terminate()
        return self.exit_code(seconds)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join(timeout=5)

    def close(self) -> None:
        if self.process.poll() is None:
            self.kill()
        self._errors.close()


@pytest.fixture
def start_worker(bootstrap: str, tmp_path: Path) -> Iterator[Callable[..., WorkerProcess]]:
    """Start a worker process: `start_worker(driver, topic=…, do=…, group=…)`."""
    running: list[WorkerProcess] = []

    def start(driver: str, **spec: Any) -> WorkerProcess:
        number = len(running)
        # The first address answers nothing: a worker finds the cluster through any of its brokers.
        full = {"driver": driver, "bootstrap": f"127.0.0.1:1,{bootstrap}", "datadir": str(tmp_path / f"data{number}"), **spec}
        running.append(WorkerProcess(full, tmp_path / f"worker{number}.log"))
        return running[-1]

    yield start
    for worker in running:
        worker.close()


class Lab:
    """What a test of the transport works with: topics, a consumer group of its own, worker processes."""

    def __init__(self, bootstrap: str, start: Callable[..., WorkerProcess]) -> None:
        from confluent_kafka import Producer
        from confluent_kafka.admin import AdminClient

        self.bootstrap, self._start = bootstrap, start
        self.group = f"g-{uuid.uuid4().hex[:8]}"
        self.admin = AdminClient({"bootstrap.servers": bootstrap})
        self._producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 5})

    def topic(self, name: str | None = None, partitions: int = 1, **config: str) -> str:
        """Create a topic, with a name of its own unless one is given; returns the name."""
        from confluent_kafka.admin import NewTopic

        name = name or f"t-{uuid.uuid4().hex[:8]}"
        settings = {key.replace("_", "."): value for key, value in config.items()}
        self.admin.create_topics([NewTopic(name, partitions, 1, config=settings)])[name].result(timeout=30)
        return name

    def publish(self, topic: str, values: list[bytes], partition: int = 0) -> None:
        """Publish to one partition; returns when all is acknowledged."""
        for value in values:
            self._producer.produce(topic, value=value, partition=partition)
            self._producer.poll(0)
        assert self._producer.flush(30) == 0

    def committed(self, topic: str, partition: int = 0) -> tuple[int, str]:
        """Offset and note that the group has committed; NOTHING for none."""
        from confluent_kafka import Consumer, TopicPartition

        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": self.group})
        try:
            found = consumer.committed([TopicPartition(topic, partition)], timeout=30)[0]
        finally:
            consumer.close()
        return found.offset, found.metadata or ""

    def worker(self, driver: str, topic: str, do: str, **spec: Any) -> WorkerProcess:
        """Start a worker process of the group whose agent behaves as `do` says."""
        return self._start(driver, topic=topic, do=do, group=self.group, **spec)


@pytest.fixture
def lab(bootstrap: str, start_worker: Callable[..., WorkerProcess]) -> Lab:
    return Lab(bootstrap, start_worker)


@pytest.fixture
def settings(clickhouse: str, tmp_path: Path) -> Iterator[Settings]:
    """A ClickHouse database of the test's own."""
    database = f"l{uuid.uuid4().hex[:10]}"
    yield Settings(clickhouse=clickhouse, clickhouse_database=database, home=tmp_path)
    drop(clickhouse_connect.get_client(dsn=clickhouse), database)


@pytest.fixture
def client(settings: Settings) -> Client:
    """The tables in it. A merge would drop the copies that some tests of landing look for: there are none."""
    made = connect(settings)
    create_tables(made, settings.clickhouse_database)
    for name in {ddl.insert_into for ddl in tables("any")}:
        made.command(f"SYSTEM STOP MERGES {settings.clickhouse_database}.{name}")
    return made
