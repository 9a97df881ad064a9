"""The gateway's own cost: whole, the same proxy without admission, LiteLLM's proxy with a token limit for each key, and no gateway.

Run alone: `python tests/benchmarks/bench_gateway.py [HOST:PORT of Kafka]`. All stand before the same upstream (gateway_upstream.py:
answers made before) and are asked by the same client (gateway_load.py), each in a process of its own. What a server costs is taken
from its process: seconds of user and system, all threads, so that neighbours on the machine disturb little; a *rate per core* is
requests (or events of streams) by those seconds. The gateway publishes in a process of its own; its core is the one that serves,
and a row says what it is with both. Rounds go from one server to the next, and ratios are medians of the rounds'.

Latency is of requests that come at fixed moments, far fewer than a server can take, counted from when they were due; *added* is the
percentile less that of asking upstream directly at the same rate. A stream's first byte is of the first piece that upstream sends,
which it does at once; its further pieces come each 10 ms, 32 streams at once. LiteLLM is asked less often: it takes fewer.
"""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gateway_rival
import psutil
from gateway_load import Load
from gateway_served import Variant
from rivals import UnavailableError

from infra.embedded import EmbeddedBroker
from streams.settings import Settings
from streams.topics import ensure_topics

Row = dict[str, Any]

REPEATS = 3
CONNECTIONS, KEYS = 32, 16
REQUESTS, RIVALS_REQUESTS = 2_000, 150
STREAMS, RIVALS_STREAMS, PIECES = 64, 16, 100
DUE, RIVALS_DUE = 400, 60
"""Requests of a round; fewer of what is slow."""
RATE, RIVALS_RATE = 100.0, 10.0
"""Of requests in a second where their latency is what counts: a tenth of what a core takes."""
WAITING_S = 180.0
"""For one client's answer; a slow machine needs a tenth of it."""
GOAL_OFF, GOAL_RIVAL = 0.95, 5.0

_HERE = Path(__file__).parent
_DIRECT = "direct"
_LITELLM = "LiteLLM"
_BARE, _WHOLE = Variant.BARE, Variant.WHOLE


@dataclass(frozen=True)
class Server:
    """One that is measured, or upstream itself."""

    process: psutil.Process
    port: int
    keys: list[str]

    def processor(self) -> tuple[float, float]:
        """Seconds that it has used: the process that serves, and its children."""
        return _used(self.process), sum(_used(each) for each in self.process.children(recursive=True))


@dataclass(frozen=True)
class Round:
    """What one server did in one round.

    Attributes:
        cost: processor seconds of a request, in the process that serves.
        whole_cost: the same with its children.
        stream_cost: of an event of a stream, with its children.
        latency: microseconds of a request at a moderate rate, p50 and p99.
        first: of it to the first byte of a stream, p50 and p99.
        cores: used by the server, upstream and the client while requests came whole.
        rate: requests per second of the clock.
    """

    cost: float
    whole_cost: float
    stream_cost: float
    latency: tuple[int, int]
    first: tuple[int, int]
    cores: tuple[float, float, float]
    rate: float


def run(bootstrap: str, repeats: int = REPEATS) -> list[Row]:
    """Rows of {name, value, unit, baseline, baseline_value, ratio, goal, met}."""
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bourse-bench-gateway-")))
        ensure_topics(Settings(home=home, kafka=bootstrap))
        behind = stack.enter_context(_started([sys.executable, str(_HERE / "gateway_upstream.py")]))
        servers: dict[str, Server] = {_DIRECT: behind}
        for variant in Variant:
            (home / variant).mkdir()
            serve = [str(_HERE / "gateway_served.py"), variant, str(behind.port), str(KEYS), str(home / variant), bootstrap]
            servers[variant] = stack.enter_context(_started([sys.executable, *serve]))
        try:
            servers[_LITELLM] = stack.enter_context(_rival(home, behind.port, servers[_BARE].keys))
            missing = ""
        except UnavailableError as unavailable:
            missing = str(unavailable)
        for name, server in servers.items():
            for pieces in (0, 5):  # what is done once is done
                _asked(Load(server.port, server.keys, CONNECTIONS, RIVALS_DUE if name == _LITELLM else DUE, pieces))
        rounds = [{name: _measured(name, server, behind) for name, server in servers.items()} for _ in range(repeats)]
    return list(_rows(rounds, missing))


def _measured(name: str, server: Server, behind: Server) -> Round:
    slow, keys = name == _LITELLM, server.keys
    (serving, children), (upstream, _) = server.processor(), behind.processor()
    whole = _asked(Load(server.port, keys, CONNECTIONS, RIVALS_REQUESTS if slow else REQUESTS))
    time.sleep(0.3)  # what was written is published
    (serving_now, children_now), (upstream_now, _) = server.processor(), behind.processor()
    serving, children, upstream = serving_now - serving, children_now - children, upstream_now - upstream
    before = sum(server.processor())
    streamed = _asked(Load(server.port, keys, CONNECTIONS, RIVALS_STREAMS if slow else STREAMS, PIECES))
    stream_used = sum(server.processor()) - before
    few, rate = (RIVALS_DUE, RIVALS_RATE) if slow else (DUE, RATE)
    due = _asked(Load(server.port, keys, CONNECTIONS, few, rate=rate))
    first = _asked(Load(server.port, keys, CONNECTIONS, few // 2, 1, rate))
    seconds, answers = whole["seconds"], whole["answers"]
    return Round(
        cost=serving / answers,
        whole_cost=(serving + children) / answers,
        stream_cost=stream_used / streamed["events"],
        latency=tuple(due["whole"]),
        first=tuple(first["first"]),
        cores=((serving + children) / seconds, upstream / seconds, whole["processor"] / seconds),
        rate=answers / seconds,
    )


def _used(process: psutil.Process) -> float:
    """Seconds of processor: by the clock that Linux keeps of each process (nanoseconds), else in hundredths."""
    if sys.platform == "linux":
        return time.clock_gettime((~process.pid << 3) | 2)  # clock_getcpuclockid(3), which Python does not offer
    return float(sum(process.cpu_times()[:2]))


def _asked(load: Load) -> dict[str, Any]:
    """What the client saw.

    Raises:
        RuntimeError: an answer that is no answer, of which no figure is worth anything.
    """
    asking = [sys.executable, str(_HERE / "gateway_load.py"), json.dumps(vars(load))]
    told = json.loads(subprocess.run(asking, stdout=subprocess.PIPE, check=True, env=_environment(), timeout=WAITING_S).stdout)
    if told["failed"]:
        raise RuntimeError(f"{told['failed']} of {load.requests} requests failed: {told['example']}")
    return dict(told)


# What is started


@contextmanager
def _started(command: list[str]) -> Iterator[Server]:
    """A server that tells its port and keys on a line; ended with its children at the end."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=_environment())
    with _ending(process):
        assert process.stdout is not None
        told = json.loads(process.stdout.readline() or "{}")
        if not told:
            raise RuntimeError(f"{command[1]} did not begin")
        _answers(process, told["port"], 30.0)
        yield Server(psutil.Process(process.pid), told["port"], told.get("keys") or [""])


@contextmanager
def _rival(home: Path, upstream: int, keys: list[str]) -> Iterator[Server]:
    """LiteLLM's proxy.

    Raises:
        UnavailableError: it can't be installed, or does not serve.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    directory = home / "litellm"
    directory.mkdir()
    serve = gateway_rival.command(directory, port, upstream, keys)
    log = (directory / "log").open("wb")
    process = subprocess.Popen(
        serve, cwd=directory, stdout=log, stderr=log, env={**os.environ, **gateway_rival.ENVIRONMENT, "HOME": str(directory)}
    )
    with log, _ending(process):
        _answers(process, port, gateway_rival.SERVING_S)
        yield Server(psutil.Process(process.pid), port, keys)


@contextmanager
def _ending(process: subprocess.Popen[Any]) -> Iterator[None]:
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(process: subprocess.Popen[Any], port: int, seconds: float) -> None:
    """Waits until it listens."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), 1):
                return
        except OSError as deaf:
            if process.poll() is not None or time.monotonic() > deadline:
                raise UnavailableError(f"it does not serve within {seconds:g} s") from deaf
        time.sleep(0.2)


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(_HERE.parents[1]), os.environ.get("PYTHONPATH", "")])}


# The rows


def _rows(rounds: list[dict[str, Round]], missing: str) -> Iterator[Row]:
    for variant in (Variant.ADMITS, Variant.WRITES, Variant.WHOLE):
        goal = None if variant is Variant.ADMITS else GOAL_OFF
        yield _rate(f"requests of a core, {_SAID[variant]}", "requests/s", rounds, (variant, _BARE), "cost", goal=goal)
    yield _rate(f"requests of both processes' cores, {_SAID[_WHOLE]}", "requests/s", rounds, (_WHOLE, _BARE), "whole_cost")
    if missing:
        yield _row(f"requests of a core against LiteLLM's proxy: skipped, {missing}", None, "requests/s")
    else:
        both = f"requests of both processes' cores, {_SAID[_WHOLE]}"
        yield _rate(both, "requests/s", rounds, (_WHOLE, _LITELLM), "whole_cost", goal=GOAL_RIVAL)
    yield _rate("events of streams of a core, whole gateway", "events/s", rounds, (_WHOLE, _BARE), "stream_cost", goal=GOAL_OFF)
    if not missing:
        yield _rate(
            "events of streams of a core, whole gateway", "events/s", rounds, (_WHOLE, _LITELLM), "stream_cost", goal=GOAL_RIVAL
        )
    for what, column in (("latency", "latency"), ("time to first token", "first")):
        for number, percent in enumerate((50, 99)):
            took = {name: statistics.median(getattr(each[name], column)[number] for each in rounds) for name in rounds[0]}
            added = {name: (value - took[_DIRECT]) / 1e3 for name, value in took.items()}
            for name in (_BARE, *(() if missing else (_LITELLM,))):
                yield _row(f"{what} added, p{percent}", added[_WHOLE], "ms", f"{_SAID[name]}, added", added[name])
            yield _row(
                f"{what} through the gateway, p{percent}", took[_WHOLE] / 1e3, "ms", "upstream directly", took[_DIRECT] / 1e3
            )
    cores = [statistics.median(part) for part in zip(*(each[_WHOLE].cores for each in rounds), strict=True)]
    for who, value in zip(("the gateway", "upstream", "the client"), cores, strict=True):
        yield _row(f"cores used while requests come whole, {who}", value, "cores")
    yield _row(
        "requests in a second of the clock, with upstream and client on the same cores",
        statistics.median(each[_WHOLE].rate for each in rounds),
        "requests/s",
        "asking upstream directly",
        statistics.median(each[_DIRECT].rate for each in rounds),
    )


_SAID = {
    Variant.BARE: "the same proxy without admission",
    Variant.ADMITS: "with admission and settlement",
    Variant.WRITES: "with admission, settlement and write-ahead",
    Variant.WHOLE: "the same, published to Kafka",
    _LITELLM: f"{gateway_rival.LITELLM.label}, a token limit for each key",
}


def _rate(
    name: str, unit: str, rounds: list[dict[str, Round]], pair: tuple[str, str], column: str, *, goal: float | None = None
) -> Row:
    """How often it fits into a second of a core; a goal is a least ratio.

    Args:
        name: of the row.
        unit: of the value.
        rounds: that were measured.
        pair: whose it is, and against whom.
        column: of a round, the seconds of one.
        goal: None: there is none.
    """
    ours, theirs = ([getattr(each[who], column) for each in rounds] for who in pair)
    ratio = statistics.median(other / own for own, other in zip(ours, theirs, strict=True))
    row = _row(name, 1 / statistics.median(ours), unit, _SAID[pair[1]], 1 / statistics.median(theirs))
    return {**row, "ratio": ratio, "goal": goal, "met": None if goal is None else ratio >= goal}


def _row(name: str, value: float | None, unit: str, baseline: str | None = None, baseline_value: float | None = None) -> Row:
    ratio = None if value is None or not baseline_value else value / baseline_value
    told = {"name": name, "value": value, "unit": unit, "baseline": baseline, "baseline_value": baseline_value, "ratio": ratio}
    return {**told, "goal": None, "met": None}


def main() -> None:
    """Prints the rows."""
    with ExitStack() as stack:
        if len(sys.argv) > 1:
            bootstrap = sys.argv[1]
        else:
            home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bourse-bench-kafka-")))
            bootstrap = stack.enter_context(EmbeddedBroker(home, jar_dir=Settings.load().jars)).bootstrap
        for row in run(bootstrap, *map(int, sys.argv[2:])):
            sys.stdout.write(json.dumps(row, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
