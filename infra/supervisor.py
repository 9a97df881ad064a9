"""The supervisor: `python -m infra.supervisor`, which `bourse up` leaves behind. Its settings come from the environment.

One thread steps every process ten times a second. When it is killed, the kernel kills its children with it (Linux), or the
next `up` or `down` finds and stops them (everywhere). Idle it takes 0.5 % of a core.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import FrameType

import psutil

from infra import processes
from infra.parts import TABLES, TOPICS, parts_of
from infra.run_state import Desired, Seen, choose_ports, supervisor_file
from infra.supervised import Policy, State, Supervised
from streams.errors import UserError
from streams.settings import Settings

log = logging.getLogger(__name__)

STEP_S = 0.1
SETUP_PAUSE_S = 1.0
ROTATE_EVERY_S = 30.0


class Setup:
    """A step that must succeed once before some parts start; tried again until it does.

    Attributes:
        done: it succeeded.
        reason: why it did not yet.
    """

    def __init__(self, name: str, work: Callable[[], None], store: str | None, pool: ThreadPoolExecutor) -> None:
        self.name = name
        self.done = False
        self.reason = "not begun"
        self._work = work
        self._store = store
        self._pool = pool
        self._running: Future[None] | None = None
        self._next = self._began = 0.0

    def step(self, now: float, ready: set[str]) -> None:
        """Try when the store is there: the part of ours (`store`), or one that was given (None)."""
        if self._running is not None and self._running.done():
            error = self._running.exception()
            self._running, self._next = None, now + SETUP_PAUSE_S
            self.done = error is None
            self.reason = str(error) if error else ""
            if error:
                log.warning("%s are not set up: %s", self.name, error)
            else:
                log.info("%s are set up, it took %.1f s", self.name, now - self._began)
            return
        store_is_there = self._store is None or self._store in ready
        if not self.done and self._running is None and now >= self._next and store_is_there:
            self._running, self._began = self._pool.submit(self._work), now


class Supervisor:
    """Runs what `desired.json` asks for until it is told to stop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._policy = Policy.of(settings)
        self._stopping = threading.Event()
        self._pool = ThreadPoolExecutor(8, thread_name_prefix="probe")
        self._running: dict[str, Supervised] = {}
        self._leaving: dict[str, Supervised] = {}
        self._desired: Desired | None = None
        self._seen: Seen | None = None
        self._rotate_at = 0.0
        self._setup = [
            Setup(TOPICS, self._make_topics, None if settings.kafka else "kafka", self._pool),
            Setup(TABLES, self._make_tables, None if settings.clickhouse else "clickhouse", self._pool),
        ]

    def run(self) -> None:
        """Return when everything has stopped."""
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, self._on_signal)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        if orphans := processes.of_home(self._settings.home):
            log.warning("stopping what an earlier supervisor left: %s", ", ".join(str(each.pid) for each in orphans))
            processes.stop(orphans, grace_s=self._policy.stop_s)
        while not self._stopping.is_set():
            self._reconcile()
            now = time.monotonic()
            done = frozenset(each.name for each in self._setup if each.done)
            for each in self._running.values():
                each.step(now, done)
            self._step_setup(now)
            self._let_go()
            self._rotate_logs(now)
            self._tell()
            self._stopping.wait(STEP_S)
        self._stop_everything()

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping.set()

    def _step_setup(self, now: float) -> None:
        ready = {name for name, each in self._running.items() if each.state is State.RUNNING}
        for step in self._setup:
            step.step(now, ready)

    def _make_topics(self) -> None:
        from streams.topics import check_partitions, ensure_topics  # noqa: PLC0415  only once Kafka is up

        check_partitions(ensure_topics(self._settings))
        if self._settings.schema_registry is not None:
            from streams.schema_registry import register_published  # noqa: PLC0415  0.3 s that few need

            register_published(self._settings)

    def _make_tables(self) -> None:
        from streams.clickhouse import connect  # noqa: PLC0415  0.4 s, while Kafka starts
        from streams.tables import create_tables  # noqa: PLC0415  as above

        client = connect(self._settings)
        try:
            create_tables(client, self._settings.clickhouse_database, self._settings.upkeep)
        finally:
            client.close()

    def _reconcile(self) -> None:
        desired = Desired.read(self._settings) or Desired(parts=())
        if desired == self._desired:
            return
        if self._desired is not None and desired.asked != self._desired.asked:
            for each in self._running.values():
                each.try_again()
        new_engines = [name for name in desired.names() if name.startswith("engine-") and name not in self._running]
        if self._desired is not None and new_engines:
            self._choose_engine_ports(new_engines)
        parts = {part.name: part for part in parts_of(self._settings, desired)}
        for name in [name for name in self._running if name not in parts]:
            leaving = self._running.pop(name)
            leaving.ask_to_stop()
            self._leaving[name] = leaving
            threading.Timer(self._policy.stop_s, leaving.kill).start()
        for name, part in parts.items():
            if name not in self._running and name not in self._leaving:
                self._running[name] = Supervised(part, self._policy, home=self._settings.home, probes=self._pool)
        waits_for_leaving = any(name in self._leaving for name in parts)
        self._desired = None if waits_for_leaving else desired

    def _choose_engine_ports(self, names: list[str]) -> None:
        try:
            choose_ports(self._settings, names)
        except UserError:
            log.exception("an engine was asked for whose port is taken")

    def _let_go(self) -> None:
        for name in [name for name, each in self._leaving.items() if each.gone]:
            del self._leaving[name]

    def _tell(self, *, stopping: bool = False) -> None:
        seen = Seen(
            [
                {"name": name, "pid": each.pid, "state": str(each.state), "restarts": each.restarts, "reason": each.reason}
                for name, each in {**self._running, **self._leaving}.items()
            ],
            {step.name: step.reason for step in self._setup if not step.done},
            stopping,
        )
        if seen != self._seen:
            seen.write(self._settings)
            self._seen = seen

    def _stop_everything(self) -> None:
        """Those who use the stores first, so that what they still write arrives."""
        self._tell(stopping=True)
        everyone = [*self._running.values(), *self._leaving.values()]
        for stores in (False, True):
            _stop_together([each for each in everyone if each.part.store is stores], self._policy.stop_s)
        self._tell(stopping=True)
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _rotate_logs(self, now: float) -> None:
        """Children append to their logs, so that a log may be copied away and emptied under them."""
        if now < self._rotate_at:
            return
        self._rotate_at = now + ROTATE_EVERY_S
        for path in self._settings.log_dir.glob("*.log"):
            if path.stat().st_size > processes.LOG_BYTES:
                shutil.copyfile(path, path.with_name(path.name + ".1"))
                os.truncate(path, 0)


def _stop_together(processes_: list[Supervised], grace_s: float) -> None:
    for each in processes_:
        each.ask_to_stop()
    deadline = time.monotonic() + grace_s
    while not all(each.gone for each in processes_) and time.monotonic() < deadline:
        time.sleep(STEP_S / 2)
    for each in processes_:
        if not each.gone:
            each.kill()


def main() -> int:
    """Supervise this home, if nobody else does."""
    settings = Settings.load()
    logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it tells of every question whether something is ready
    settings.run_dir.mkdir(parents=True, exist_ok=True)
    with (settings.run_dir / "supervisor.lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            log.info("another supervisor runs in %s", settings.home)
            return 0
        identity = processes.Identity(os.getpid(), psutil.Process().create_time())
        identity.write(supervisor_file(settings))
        log.info("supervising %s", settings.home)
        try:
            Supervisor(settings).run()
        finally:
            supervisor_file(settings).unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
