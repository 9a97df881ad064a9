"""Other order books and forecasters of PyPI, each in an environment of its own, kept in bench-results for the next run."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

Row = Sequence[int]
Version = tuple[int, int]

_HERE = Path(__file__).parent
_ENVIRONMENTS = _HERE.parents[1] / "bench-results" / "rivals"
_SECONDS = 1800


@dataclass(frozen=True)
class Rival:
    """A book that is published on PyPI.

    Attributes:
        name: of the package.
        version: which is measured.
        oldest: Python that it asks for.
        newest: Python that it can still be installed with.
        passes: of which the best counts.
        extra: what of it is installed besides, in brackets.
    """

    name: str
    version: str
    oldest: Version
    newest: Version
    passes: int
    extra: str = ""

    @property
    def label(self) -> str:
        """How it is called in a table."""
        return f"PyPI {self.name} {self.version}"


BOURSE = Rival("bourse", "0.4.0", (3, 9), (3, 12), passes=3)
PYORDERBOOK = Rival("pyorderbook", "0.4.9", (3, 11), (3, 99), passes=1)
MATCHING_ENGINE = Rival("matching-engine", "0.1.1", (3, 12), (3, 99), passes=3)


class UnavailableError(Exception):
    """A book can't be measured here; says why."""


@dataclass(frozen=True)
class Measured:
    """Processor seconds of a stream, and its trades: resting id, arriving id, price, quantity."""

    seconds: float
    trades: list[tuple[int, ...]]


def measure(rival: Rival, stream: list[Row]) -> Measured:
    """Runs the stream through the book.

    Raises:
        UnavailableError: no interpreter, or the package can't be installed.
    """
    python = environment(rival)
    with tempfile.TemporaryDirectory() as folder:
        asked, told = Path(folder, "stream"), Path(folder, "trades")
        asked.write_bytes(array("q", (number for row in stream for number in row)).tobytes())
        command = [str(python), str(_HERE / "rival_books.py"), rival.name, str(asked), str(told), str(rival.passes)]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
        if ran.returncode:
            raise RuntimeError(f"{rival.label} failed: {ran.stderr}")
        trades = array("q", told.read_bytes()).tolist()
    return Measured(float(ran.stdout), list(zip(*(iter(trades),) * 4, strict=True)))


def environment(rival: Rival) -> Path:
    """The interpreter that has it. What is asked for and what is there: `ready` in the environment, written last."""
    home = _ENVIRONMENTS / f"{rival.name}-{rival.version}"
    python, ready = home / "bin" / "python", home / "ready"
    if ready.exists():
        return python
    shutil.rmtree(home, ignore_errors=True)
    _succeed([_interpreter(rival), "-m", "venv", str(home)])
    _succeed(
        [
            str(python),
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            f"{rival.name}{rival.extra}=={rival.version}",
        ]
    )
    ready.touch()
    return python


def _succeed(command: list[str]) -> None:
    ran = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    if ran.returncode:
        said = ran.stderr.strip().splitlines() or [f"exit code {ran.returncode}"]
        raise UnavailableError(f"{' '.join(command[1:4])}: {said[-1]}")


def _interpreter(rival: Rival) -> str:
    for candidate in _candidates(rival.oldest):
        if rival.oldest <= _version(candidate) <= rival.newest:
            return candidate
    newest = f" to {_text(rival.newest)}" if rival.newest < (3, 99) else " or newer"
    raise UnavailableError(f"it needs Python {_text(rival.oldest)}{newest}, and none was found")


def _candidates(oldest: Version) -> Iterator[str]:
    """The running interpreter, those on the path, what uv knows, what pyenv has."""
    yield sys.executable
    for minor in range(oldest[1], oldest[1] + 6):
        if found := shutil.which(f"python3.{minor}"):
            yield found
    if uv := shutil.which("uv"):
        ran = subprocess.run([uv, "python", "find", f">={_text(oldest)}"], capture_output=True, text=True, check=False)
        yield from ran.stdout.split()
    versions = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv", "versions")
    yield from sorted(str(python) for python in versions.glob("3.*/bin/python"))


def _version(python: str) -> Version:
    """Of an interpreter; (0, 0) if it does not run, as pyenv's stand-ins on the path do not for versions that are not chosen."""
    code = "import json, sys, venv; print(json.dumps(sys.version_info[:2]))"
    try:
        ran = subprocess.run([python, "-c", code], capture_output=True, text=True, timeout=60, check=False)
        major, minor = json.loads(ran.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return 0, 0
    return major, minor


def _text(version: Version) -> str:
    return f"{version[0]}.{version[1]}"
