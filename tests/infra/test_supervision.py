"""Supervision, on small real processes: restart, growing pause, giving up, stopping, what a killed supervisor leaves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from infra import processes
from infra.supervised import Part, Policy, State, Supervised
from streams.errors import UserError

SLEEPER = [sys.executable, "-c", "import time; time.sleep(600)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)",
]
CRASHER = [sys.executable, "-c", "print('last words'); raise SystemExit(3)"]
POLICY = Policy(pause_s=0.05, limit=3, window_s=60, stop_s=2)


@pytest.fixture
def probes() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


@pytest.fixture
def supervise(tmp_path: Path, probes: ThreadPoolExecutor) -> Iterator[Callable[..., Supervised]]:
    (tmp_path / "run").mkdir()
    made: list[Supervised] = []

    def make(
        argv: list[str] | Callable[[], list[str]], ready: Callable[[int], bool] = lambda _pid: True, **part: object
    ) -> Supervised:
        command = argv if callable(argv) else lambda: argv
        made.append(Supervised(Part("part", command, ready, **part), POLICY, home=tmp_path, probes=probes))  # type: ignore[arg-type]  # a test's own keywords
        return made[-1]

    yield make
    for each in made:
        each.kill()


def step_until(each: Supervised, condition: Callable[[], bool], done: frozenset[str] = frozenset()) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, each.state
        each.step(time.monotonic(), done)
        time.sleep(0.005)


def test_it_is_running_only_when_it_is_ready(supervise: Callable[..., Supervised]) -> None:
    told: list[int] = []
    each = supervise(SLEEPER, ready=lambda pid: told.append(pid) or len(told) > 3)  # type: ignore[func-returns-value]  # append, then count
    step_until(each, lambda: each.state is State.RUNNING)
    assert set(told) == {each.pid}
    assert len(told) > 3
    assert processes.Identity.read(each.pid_file) == processes.Identity.of(each.pid or 0)


def test_it_waits_for_what_it_needs(supervise: Callable[..., Supervised]) -> None:
    each = supervise(SLEEPER, needs=frozenset({"topics"}))
    each.step(0, frozenset())
    assert each.state is State.WAITING
    assert each.pid is None
    step_until(each, lambda: each.state is State.RUNNING, frozenset({"topics"}))


def test_kill_9_restarts_it(supervise: Callable[..., Supervised]) -> None:
    each = supervise(SLEEPER)
    step_until(each, lambda: each.state is State.RUNNING)
    first = each.pid
    os.kill(first or 0, signal.SIGKILL)
    step_until(each, lambda: each.state is State.RUNNING and each.restarts == 1)
    assert each.pid != first


def test_pauses_double_and_then_it_is_given_up_loudly(
    supervise: Callable[..., Supervised], caplog: pytest.LogCaptureFixture
) -> None:
    each = supervise(CRASHER)
    with caplog.at_level("INFO", "infra.supervised"):
        step_until(each, lambda: each.state is State.FAILED)
    assert each.restarts == POLICY.limit
    assert "ended with code 3" in each.reason
    assert str(each.log) in each.reason
    assert each.log.read_text().count("last words") == POLICY.limit + 1
    pauses = [record.args[-1] for record in caplog.records if "again in" in record.message and isinstance(record.args, tuple)]
    assert pauses == [0.05, 0.1, 0.2]
    assert any(record.levelname == "ERROR" for record in caplog.records)
    each.step(time.monotonic() + 1000, frozenset())
    assert each.state is State.FAILED, "it stays given up"
    each.try_again()
    step_until(each, lambda: each.state is State.FAILED)
    assert each.restarts == 2 * POLICY.limit


def test_a_stable_process_gets_its_short_pause_back(supervise: Callable[..., Supervised], caplog: pytest.LogCaptureFixture) -> None:
    each = supervise(SLEEPER)
    with caplog.at_level("INFO", "infra.supervised"):
        for later in (0.0, 0.0, 100.0):  # the third time it was ready for 100 s
            step_until(each, lambda: each.state is State.RUNNING)
            each.kill()
            each.step(time.monotonic() + later, frozenset())
            each.step(time.monotonic() + later + 1, frozenset())
    pauses = [record.args[-1] for record in caplog.records if "again in" in record.message and isinstance(record.args, tuple)]
    assert pauses == [0.05, 0.1, 0.05]


def test_an_error_of_the_user_is_final_at_once(supervise: Callable[..., Supervised]) -> None:
    def refuse() -> list[str]:
        raise UserError("kafka.jar is not what the lock says")

    each = supervise(refuse)
    each.step(0, frozenset())
    assert (each.state, each.reason) == (State.FAILED, "kafka.jar is not what the lock says")


def test_it_stops_and_is_killed_if_it_does_not(supervise: Callable[..., Supervised]) -> None:
    each = supervise(STUBBORN, ready=lambda _pid: "deaf" in each.log.read_text())
    step_until(each, lambda: each.state is State.RUNNING)
    process = psutil.Process(each.pid)
    each.ask_to_stop()
    each.step(time.monotonic(), frozenset())
    assert process.is_running()
    assert not each.gone
    each.kill()
    assert each.gone
    assert each.state is State.STOPPED
    assert not each.pid_file.exists()


def test_children_die_with_their_parent_or_are_found(tmp_path: Path) -> None:
    """A parent that is killed: on Linux the kernel takes its child along, elsewhere the mark of the home finds it."""
    program = """
import sys, time
from pathlib import Path
from infra import processes
home = Path(sys.argv[1])
marks = {processes.HOME_MARK: str(home), processes.PART_MARK: "x"}
for dies in (True, False):
    sleeper = [sys.executable, "-c", "import time; time.sleep(600)"]
    print(processes.start(sleeper, log=home / "log", dies_with_parent=dies, environment=marks).pid, flush=True)
time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        bound, unbound = (psutil.Process(int(parent.stdout.readline())) for _ in range(2))
        parent.kill()
    if sys.platform == "linux":
        psutil.wait_procs([bound], timeout=10)
        assert not bound.is_running() or bound.status() == psutil.STATUS_ZOMBIE
    orphans = processes.of_home(tmp_path)
    assert unbound.pid in {each.pid for each in orphans}
    processes.stop(orphans, grace_s=5)
    assert not processes.of_home(tmp_path)


def test_a_pid_that_belongs_to_somebody_else_is_not_ours(tmp_path: Path) -> None:
    mine = processes.Identity.of(os.getpid())
    assert mine is not None
    assert mine.process is not None
    processes.Identity(mine.pid, mine.created - 100).write(tmp_path / "x.pid")
    kept = processes.Identity.read(tmp_path / "x.pid")
    assert kept is not None
    assert kept.process is None
