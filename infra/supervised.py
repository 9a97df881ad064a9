"""One supervised process: started, watched until it is ready, restarted with a growing pause, given up when that is in vain."""

from __future__ import annotations

import logging
import subprocess
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from infra import processes
from streams.errors import UserError
from streams.settings import Settings

log = logging.getLogger(__name__)

LONGEST_PAUSE_S = 30.0
STABLE_S = 10.0
PROBE_EVERY_S = 0.1


class State(StrEnum):
    """How a process is; `running` means ready."""

    WAITING = "waiting"
    STARTING = "starting"
    RUNNING = "running"
    BACKING_OFF = "backing-off"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True)
class Part:
    """What to run.

    Attributes:
        name: unique in a home; names its log, pid and ready files.
        argv: gives the command at each start (Kafka's checks its jars then); a UserError from it is final.
        ready: given the pid, tells whether it works; may take two seconds, runs in a thread.
        needs: steps that must be done before its first start.
        environment: added to the supervisor's.
        store: holds data that other parts use: stopped after them.
    """

    name: str
    argv: Callable[[], list[str]]
    ready: Callable[[int], bool]
    needs: frozenset[str] = frozenset()
    environment: Mapping[str, str] = field(default_factory=dict)
    store: bool = False


@dataclass(frozen=True)
class Policy:
    """How a process that ends by itself is treated, seconds.

    Attributes:
        pause_s: before the first restart; doubles up to 30 s, and begins anew once the process was ready for 10 s.
        limit: restarts within `window_s` after which it is given up.
        window_s: in which they are counted.
        stop_s: between asking to stop and killing.
    """

    pause_s: float
    limit: int
    window_s: float
    stop_s: float

    @classmethod
    def of(cls, settings: Settings) -> Policy:
        """The policy that the settings choose."""
        return cls(
            settings.restart_backoff.total_seconds(),
            settings.restart_limit,
            settings.restart_window.total_seconds(),
            settings.stop_grace.total_seconds(),
        )


class Supervised:
    """A part and its process. `step` is called ten times a second by the supervisor's one thread.

    Attributes:
        state: how it is.
        restarts: how often it was started again, since the supervisor began.
        reason: why it is not running, for people.
    """

    def __init__(self, part: Part, policy: Policy, *, home: Path, probes: Executor) -> None:
        self.part = part
        self.state = State.WAITING
        self.restarts = 0
        self.reason = ""
        self._policy = policy
        self._home = home
        self._probes = probes
        self._process: subprocess.Popen[bytes] | None = None
        self._probe: Future[bool] | None = None
        self._probe_at = 0.0
        self._ready_at: float | None = None
        self._start_at = 0.0
        self._pause_s = policy.pause_s
        self._recent: deque[float] = deque()

    @property
    def pid(self) -> int | None:
        """Of the process, while there is one."""
        return self._process.pid if self._process else None

    @property
    def log(self) -> Path:
        """File of what the process prints."""
        return self._home / "logs" / f"{self.part.name}.log"

    @property
    def ready_file(self) -> Path:
        """Written by a worker when its partitions are assigned and recovered."""
        return self._home / "run" / f"{self.part.name}.ready"

    @property
    def pid_file(self) -> Path:
        """Tells a later supervisor or `down` which process this was."""
        return self._home / "run" / f"{self.part.name}.pid"

    def step(self, now: float, done: frozenset[str]) -> None:
        """Bring it nearer to running.

        Args:
            now: monotonic time, seconds.
            done: steps that are done.
        """
        if self._process is not None and (code := self._process.poll()) is not None:
            self._ended(code, now)
        elif self.state is State.WAITING and self.part.needs <= done:
            self._start()
        elif self.state is State.BACKING_OFF and now >= self._start_at:
            self.restarts += 1
            self._start()
        elif self.state is State.STARTING:
            self._look(now)
        elif self.state is State.RUNNING and self._ready_at is not None and now - self._ready_at > STABLE_S:
            self._pause_s = self._policy.pause_s

    def try_again(self) -> None:
        """Forget that it was given up."""
        if self.state is State.FAILED:
            self.state, self.reason, self._pause_s = State.WAITING, "", self._policy.pause_s
            self._recent.clear()

    def ask_to_stop(self) -> None:
        """Ask the process to end; it is not started again."""
        self.state = State.STOPPED
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def kill(self) -> None:
        """End the process now."""
        if self._process is not None and self._process.poll() is None:
            log.warning("%s does not stop: killed", self.part.name)
            self._process.kill()
            self._process.wait()

    @property
    def gone(self) -> bool:
        """True if no process is left."""
        if self._process is not None and self._process.poll() is None:
            return False
        self.pid_file.unlink(missing_ok=True)
        self.ready_file.unlink(missing_ok=True)
        return True

    def _start(self) -> None:
        self.ready_file.unlink(missing_ok=True)
        try:
            argv = self.part.argv()
        except UserError as error:
            self._give_up(str(error))
            return
        environment = {
            **self.part.environment,
            processes.HOME_MARK: str(self._home),
            processes.PART_MARK: self.part.name,
        }
        self._process = processes.start(argv, log=self.log, environment=environment)
        if identity := processes.Identity.of(self._process.pid):
            identity.write(self.pid_file)
        self.state, self._ready_at, self._probe = State.STARTING, None, None
        log.info("%s started, pid %d", self.part.name, self._process.pid)

    def _look(self, now: float) -> None:
        """Readiness is asked in another thread: a broker that is down takes seconds to say nothing."""
        if self._probe is not None and self._probe.done():
            if self._probe.result():
                self.state, self.reason, self._ready_at = State.RUNNING, "", now
                log.info("%s is ready", self.part.name)
            self._probe, self._probe_at = None, now + PROBE_EVERY_S
        elif self._probe is None and now >= self._probe_at and self._process is not None:
            self._probe = self._probes.submit(self.part.ready, self._process.pid)

    def _ended(self, code: int, now: float) -> None:
        how = f"killed by signal {-code}" if code < 0 else f"ended with code {code}"
        self._process = None
        self.pid_file.unlink(missing_ok=True)
        if self.state is State.STOPPED:
            return
        if self._ready_at is not None and now - self._ready_at > STABLE_S:
            self._pause_s = self._policy.pause_s
        self._recent.append(now)
        while self._recent and now - self._recent[0] > self._policy.window_s:
            self._recent.popleft()
        if len(self._recent) > self._policy.limit:
            self._give_up(f"{how}, {len(self._recent)} times in {self._policy.window_s:g} s; last words in {self.log}")
            return
        self.state, self.reason, self._start_at = State.BACKING_OFF, how, now + self._pause_s
        log.warning("%s %s: starting it again in %.1f s", self.part.name, how, self._pause_s)
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)

    def _give_up(self, reason: str) -> None:
        self.state, self.reason = State.FAILED, reason
        log.error("%s is given up: %s", self.part.name, reason)
