"""The whole system for a test: real broker, real ClickHouse, workers that are restarted when they die, and how to wait for them.

Embedded parts in a directory of their own, so that they can be killed; `System(kafka=…, clickhouse=…)` uses parts that run already.
Periods are short and ticks shorter, so that a test of many periods takes seconds.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import clickhouse_connect
import httpx
from clickhouse_connect.driver.exceptions import Error as ClickHouseError
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from infra import run_state
from infra.embedded import EmbeddedBroker, EmbeddedClickHouse
from infra.parts import parts_of
from infra.processes import free_port
from infra.run_state import Desired
from infra.supervised import Policy, State, Supervised
from streams.replay import PartitionVerdict, verify
from streams.settings import Settings
from streams.topics import ensure_topics

ROLES = tuple(role for role in run_state.ROLES if role != "planner")
"""Of all but the planner, which speaks once an hour: tests/streams/test_planner.py is its own."""

TICK_MS = 250
SESSION_S = 6
STEP_S = 0.05
START_S = 180.0
"""How long anything may take to start: seconds on a machine of our own, a minute where twenty others want its two cores."""
STORES = ("kafka", "clickhouse")

FAST: dict[str, object] = {
    "tick_ms": TICK_MS,
    "partitions": 3,
    "session_timeout": f"{SESSION_S}s",
    "snapshot_every": "2s",
    "sink_batch": "500ms",
    # Two minutes, as by default: a publisher that retries through a broker's restart stays inside.
    "dedupe_window_ticks": 120_000 // TICK_MS,
    "stop_grace": "15s",
}


def until(condition: Callable[[], Any], seconds: float, what: str | Callable[[], str], *, every_s: float = 0.1) -> Any:
    """Ask until the answer is true; the answer. Parts that are down meanwhile are no answer."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            answer = condition()
        except (KafkaException, ClickHouseError, httpx.HTTPError, OSError) as down:
            answer, trouble = None, f" ({type(down).__name__}: {down})"
        else:
            trouble = ""
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:.0f} s: {what if isinstance(what, str) else what()}{trouble}")
        time.sleep(every_s)


class System:
    """Broker, ClickHouse and one worker of each role, supervised; a context manager that leaves nothing running."""

    def __init__(
        self,
        home: Path,
        *,
        kafka: str | None = None,
        clickhouse: str | None = None,
        workers: dict[str, int] | None = None,
        **options: Any,
    ) -> None:
        self.home = home
        self.broker = None if kafka else EmbeddedBroker(home)
        self.store = None if clickhouse else EmbeddedClickHouse(home)
        # Parts that others use, too, are shared by prefix and database.
        token = uuid.uuid4().hex[:8]
        self.settings = Settings(
            home=home,
            kafka=kafka or self.broker.bootstrap,
            clickhouse=clickhouse or self.store.url,
            topic_prefix=f"t{token}." if kafka else "bourse.",
            clickhouse_database=f"t{token}" if clickhouse else "bourse",
            engine_web_port=free_port(),
            **{**FAST, **options},
        )
        self.settings.run_dir.mkdir(parents=True, exist_ok=True)
        self._policy = replace(Policy.of(self.settings), pause_s=0.2, limit=10_000)
        self._count = dict.fromkeys(ROLES, 0)
        self._wanted = dict.fromkeys(ROLES, 1) | (workers or {})
        self.workers: dict[str, Supervised] = {}
        self._leaving: list[Supervised] = []
        self._probes = ThreadPoolExecutor(4)
        self._lock = threading.RLock()
        self._end = threading.Event()
        # Children die with the thread that started them, so one thread, which lasts, starts them all.
        self._supervising = threading.Thread(target=self._supervise, name="supervisor")

    # --- life ------------------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        try:
            for part in (self.broker, self.store):
                if part is not None:
                    part.start(timeout_s=START_S)
            ensure_topics(self.settings)
            self._supervising.start()
            for role, number in self._wanted.items():
                for _ in range(number):
                    self.add_worker(role)
            self.until_ready()
        except BaseException:  # nobody calls __exit__ then, and its processes would stay
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Everything stops; workers first, as they still use the stores."""
        with self._lock:
            for worker in self.workers.values():
                worker.ask_to_stop()
            everyone = [*self.workers.values(), *self._leaving]
        deadline = time.monotonic() + 15
        while not all(worker.gone for worker in everyone) and time.monotonic() < deadline:
            time.sleep(STEP_S)
        for worker in everyone:
            worker.kill()
        self._end.set()
        if self._supervising.ident is not None:
            self._supervising.join()
        self._probes.shutdown(cancel_futures=True)
        for part in (self.store, self.broker):
            if part is not None:
                part.stop()

    def _supervise(self) -> None:
        done = frozenset({"topics", "tables"})
        while not self._end.wait(STEP_S):
            with self._lock:
                for worker in self.workers.values():
                    worker.step(time.monotonic(), done)

    # --- processes -------------------------------------------------------------------------------------------------------

    def add_worker(self, role: str) -> str:
        """One more worker of a role; its name."""
        self._count[role] += 1
        name = f"{role}-{self._count[role]}"
        if role == "engine":
            self._choose_port(name)
        workers = dict(self._count)
        (part,) = [part for part in parts_of(self.settings, Desired((role,), workers)) if part.name == name]
        part = replace(part, environment={**self.settings.as_environment(), **part.environment})
        with self._lock:
            self.workers[name] = Supervised(part, self._policy, home=self.home, probes=self._probes)
        return name

    def remove_worker(self, name: str, *, by: signal.Signals = signal.SIGTERM) -> None:
        """One worker less: asked to stop (returns when it is gone), or killed."""
        with self._lock:
            worker = self.workers.pop(name)
            self._leaving.append(worker)
            worker.ask_to_stop() if by is signal.SIGTERM else self._kill_now(worker)
        until(lambda: worker.gone, 20, f"{name} does not stop")

    def _kill_now(self, worker: Supervised) -> None:
        worker.state = State.STOPPED
        worker.kill()

    def kill(self, name: str) -> None:
        """Kill -9. A worker is started again by its supervisor; a store by `restart`."""
        if name in STORES:
            self._part(name).kill()
            return
        with self._lock:
            pid = self.workers[name].pid
        if pid is not None:
            os.kill(pid, signal.SIGKILL)

    def restart(self, name: str) -> None:
        """Start a store that was killed, on its data and port."""
        self._part(name).start(timeout_s=START_S)

    def _part(self, name: str) -> EmbeddedBroker | EmbeddedClickHouse:
        part = self.broker if name == "kafka" else self.store
        assert part is not None, f"{name} is not this system's own"
        return part

    def _choose_port(self, name: str) -> None:
        """Where `Settings.port_of` looks, as `bourse up` does it."""
        path = self.settings.run_dir / "state.json"
        ports = json.loads(path.read_text())["ports"] if path.exists() else {}
        path.write_text(json.dumps({"ports": {**ports, name: free_port()}}))

    def until_ready(self, seconds: float = START_S) -> None:
        """All workers have their partitions."""
        until(
            lambda: all(worker.state is State.RUNNING for worker in self.workers.values()),
            seconds,
            lambda: (
                "ready: "
                + ", ".join(
                    f"{name} {worker.state} {self.tail(name)}"
                    for name, worker in self.workers.items()
                    if worker.state is not State.RUNNING
                )
            ),
        )

    def tail(self, name: str, size: int = 1500) -> str:
        """The last words in a worker's log."""
        path = self.settings.log_dir / f"{name}.log"
        return path.read_text(errors="replace")[-size:] if path.exists() else "(no log)"

    # --- Kafka -----------------------------------------------------------------------------------------------------------

    @contextmanager
    def admin(self) -> Iterator[AdminClient]:
        """A client of the broker."""
        yield AdminClient({**self.settings.kafka_client_config(), "log_level": 0})

    def ends(self, *topics: str) -> dict[tuple[str, int], int]:
        """(topic without prefix, partition) -> the next offset."""
        with self.admin() as admin:
            known = admin.list_topics(timeout=10).topics
            asked = {
                TopicPartition(self.settings.topic(topic), partition): OffsetSpec.latest()
                for topic in topics
                for partition in known[self.settings.topic(topic)].partitions
            }
            found = admin.list_offsets(asked, request_timeout=10)
        prefix = len(self.settings.topic_prefix)
        return {(tp.topic[prefix:], tp.partition): future.result().offset for tp, future in found.items()}

    def committed(self, role: str) -> dict[tuple[str, int], int]:
        """(topic without prefix, partition) -> what the role's group has committed."""
        group = self.settings.topic(role)
        with self.admin() as admin:
            future = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)], request_timeout=10)[group]
            answer = future.result()
        prefix = len(self.settings.topic_prefix)
        return {(tp.topic[prefix:], tp.partition): tp.offset for tp in answer.topic_partitions}

    def read(self, topic: str) -> Iterator[Any]:
        """Every record of a topic, partition after partition, up to where it ends now."""
        consumer = Consumer({**self.settings.kafka_client_config(), "group.id": "reader", "enable.auto.commit": False})
        try:
            for (_, partition), end in sorted(self.ends(topic).items()):
                if not end:
                    continue
                consumer.assign([TopicPartition(self.settings.topic(topic), partition, 0)])
                position = 0
                while position < end:
                    for record in consumer.consume(2000, timeout=0.2):
                        assert record.error() is None, record.error()
                        position = record.offset() + 1
                        if position <= end:
                            yield record
        finally:
            consumer.close()

    def replay(self) -> list[PartitionVerdict]:
        """The proof by replay, of all partitions."""
        settings = self.settings
        return verify(settings.kafka_client_config(), settings.topic("journal"), settings.topic("facts"), lambda *_: None)

    # --- ClickHouse ------------------------------------------------------------------------------------------------------

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """The rows of a query; tables are named without a database."""
        client = clickhouse_connect.get_client(dsn=self.settings.clickhouse_url, autogenerate_session_id=False)
        try:
            client.database = self.settings.clickhouse_database
            return [tuple(row) for row in client.query(query).result_rows]
        finally:
            client.close()

    def dicts(self, query: str) -> list[dict[str, Any]]:
        """The rows of a query by column."""
        client = clickhouse_connect.get_client(dsn=self.settings.clickhouse_url, autogenerate_session_id=False)
        try:
            client.database = self.settings.clickhouse_database
            return list(client.query(query).named_results())
        finally:
            client.close()

    def value(self, query: str) -> Any:
        """The one value of a query."""
        return self.rows(query)[0][0]

    def landed(self) -> dict[tuple[str, int], int]:
        """(topic without prefix, partition) -> the next offset to land."""
        prefix = len(self.settings.topic_prefix)
        return {
            (topic[prefix:], partition): through + 1
            for topic, partition, through in self.rows("SELECT topic, partition, through FROM landed")
        }

    # --- waiting ---------------------------------------------------------------------------------------------------------

    def web(self, path: str, number: int = 1) -> Any:
        """What an engine's web view answers."""
        answer = httpx.get(self.settings.engine_web_url(number) + path, timeout=5, follow_redirects=True)
        answer.raise_for_status()
        return answer.json()

    def settle(self, seconds: float = 180) -> None:
        """Wait until everything published so far is metered, its periods are closed, and all of it has landed.

        A meter commits an offset when all that came of the records below it is in the journal. What it forwarded stands
        behind the ends first seen, so that is done twice. What was in the journal then counts in a period that was open then or
        opens with the next: the one after the next is closed later than all of these.
        """
        for _ in range(2):
            self._until_reached(lambda: self.committed("meter"), self.ends("usage", "latency", "admissions"), seconds, "meters")
        self._until_reached(lambda: self.committed("intake"), self.ends("orders", "profiles"), seconds, "intake")
        now_s = time.time()
        self._until_reached(self.landed, self.ends("usage", "latency", "admissions", "dead-letters", "journal"), seconds, "sink")
        for pool, period_s in self.rows("SELECT pool, any(period_s) FROM pools GROUP BY pool"):
            wanted = int(now_s // period_s) + 1
            until(
                lambda: self.value(f"SELECT max(period) FROM periods WHERE pool = '{pool}'") >= wanted,  # noqa: B023  asked at once
                seconds,
                lambda: f"period {wanted} of {pool} closed: {self.rows('SELECT pool, max(period) FROM periods GROUP BY 1')}",  # noqa: B023  as above
            )
        self._until_reached(self.landed, self.ends("facts"), seconds, "sink")

    def _until_reached(
        self, now: Callable[[], dict[tuple[str, int], int]], ends: dict[tuple[str, int], int], seconds: float, who: str
    ) -> None:
        def behind() -> dict[tuple[str, int], tuple[int, int]]:
            reached = now()
            return {tp: (reached.get(tp, 0), end) for tp, end in ends.items() if reached.get(tp, 0) < end}

        until(
            lambda: not behind(),
            seconds,
            lambda: f"{who}: behind {behind()}\n" + "\n".join(self.tail(n) for n in self.workers if n.startswith(who[:4])),
        )
