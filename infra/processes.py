"""Processes: started so that they are found again, stopped so that nothing of theirs stays.

A process is known by its pid *and* the time at which it was created: a pid alone may belong to somebody else by now.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

# Set in every process of a home: what is left of a supervisor that was killed is found by it, on Linux and macOS alike.
HOME_MARK = "BOURSE_HOME"
PART_MARK = "TOKENBOURSE_PART"
LOG_BYTES = 10 << 20


@dataclass(frozen=True)
class Identity:
    """A process: `pid` and when it was `created` (seconds since the epoch, as the operating system says)."""

    pid: int
    created: float

    @classmethod
    def of(cls, pid: int) -> Identity | None:
        """The process that has this pid now."""
        try:
            return cls(pid, psutil.Process(pid).create_time())
        except psutil.Error:
            return None

    @property
    def process(self) -> psutil.Process | None:
        """The process if it still runs; a zombie doesn't."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.created) < 0.01
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.Error:
            return None

    def write(self, path: Path) -> None:
        """Keep it in a file, whole or not at all."""
        arriving = path.with_suffix(".arriving")
        arriving.write_text(json.dumps(asdict(self)), encoding="ascii")
        arriving.replace(path)

    @classmethod
    def read(cls, path: Path) -> Identity | None:
        """What a file keeps; None if there is none."""
        try:
            kept = json.loads(path.read_text(encoding="ascii"))
            return cls(int(kept["pid"]), float(kept["created"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None


def start(
    argv: Sequence[str],
    *,
    log: Path,
    environment: Mapping[str, str],
    dies_with_parent: bool = True,
    own_session: bool = False,
) -> subprocess.Popen[bytes]:
    """Start a process whose output goes to a log.

    Args:
        argv: command and arguments.
        log: file to append output to; the one before is kept as `.1` beyond 10 MB.
        environment: added to this process's own.
        dies_with_parent: on Linux the kernel kills it when the calling *thread* ends; elsewhere the next start finds it.
        own_session: it survives the terminal.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > LOG_BYTES:
        log.replace(log.with_name(log.name + ".1"))
    with log.open("ab") as output:
        return subprocess.Popen(  # noqa: S603  our own argument list
            _dying_with_parent(argv) if dies_with_parent and sys.platform == "linux" else list(argv),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
            start_new_session=own_session,
        )


def _dying_with_parent(argv: Sequence[str]) -> list[str]:
    """The same command behind a few lines that ask the kernel and then become it, under the same pid.

    Not `preexec_fn`: Python that runs between fork and exec of a process with threads waits for ever for a lock that one of
    them held.
    """
    return [sys.executable, "-I", "-S", "-c", _ASK_THE_KERNEL, str(os.getpid()), *argv]


_PR_SET_PDEATHSIG = 1
_ASK_THE_KERNEL = f"""\
import ctypes, os, sys
ctypes.CDLL(None).prctl({_PR_SET_PDEATHSIG}, {int(signal.SIGKILL)}, 0, 0, 0)
if os.getppid() != int(sys.argv[1]):  # the parent went before the kernel was asked
    os._exit(1)
os.execvp(sys.argv[2], sys.argv[2:])
"""


def stop(processes: Sequence[psutil.Process], *, grace_s: float) -> None:
    """Ask to stop, then kill what is left after `grace_s` seconds, children included."""
    everyone = list(processes)
    for process in processes:
        with contextlib.suppress(psutil.Error):
            everyone += process.children(recursive=True)
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.terminate()
    _gone, left = psutil.wait_procs(everyone, timeout=grace_s)
    for process in left:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(left, timeout=5)


def of_home(home: Path) -> list[psutil.Process]:
    """Every process that carries the mark of this home, but for those that only were typed in a shell with it set."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            environment = process.environ()
            if environment.get(PART_MARK) and environment.get(HOME_MARK) == str(home) and process.pid != os.getpid():
                found.append(process)
    return found


def free_port(host: str = "127.0.0.1") -> int:
    """A port on which nobody listens now."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def port_is_free(port: int, host: str) -> bool:
    """True if a server could listen on it now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # ports in TIME_WAIT are free for a server
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def listener(port: int) -> str | None:
    """Who listens on a port, if the operating system tells: `java (pid 4711)`."""
    try:
        connections = psutil.net_connections("tcp")
    except psutil.Error:  # macOS tells only root
        return None
    for connection in connections:
        if connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port and connection.pid:
            with contextlib.suppress(psutil.Error):
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    return None
