"""TP-9 in real time: a guaranteed tenant's latency while two others ask for four times what there is.

Run alone: `python tests/benchmarks/bench_overload.py [HOST:PORT of Kafka] [--plot FILE]`. The experiment of `bourse simulate
overload`, with processes and clocks: `bourse backend` (the same replica) behind one `bourse gateway`, with a broker and the engine.
The same requests of the guaranteed tenant come in three phases: nobody else is there; an elastic and a spot tenant are, too; and
these without a gateway, where the backend's queue is everybody's. The first seconds of a phase fill batch and queues and are not
measured. The backend runs at SPEED times its GPU's speed, so that a phase has some hundred requests; what the gateway takes weighs
so many times more beside what the model takes. Where the backend fell behind its model's clock it had too little processor, and
latencies are the machine's: a row says by how much.

Without the gateway nobody is refused, and most are not answered by the end: they count with how long they have waited by then.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psutil
from overload_load import ELASTIC, GUARANTEED, SPOT, TENANTS, Phase, Seen

from infra.embedded import EmbeddedBroker
from infra.processes import free_port
from infra.simulate.machine import Machine
from infra.simulate.overload import CHAT, GUARANTEED_LOAD, LONG, MEASURED, RIGHT
from infra.simulate.plot import BLUE, GREY, ORANGE, canvas, write
from infra.simulate.saturated import Saturated, saturated
from infra.simulate.workloads import Request, Sizes, Stream, arrivals, generator, merged, steady
from schemas.entitlements import ConcurrencyQuota, KvQuota
from schemas.published import PoolCommand, ProfileCommand, Tier
from streams.api_keys import issue
from streams.client import CommandPublisher
from streams.settings import Settings

Row = dict[str, Any]

SEED = 1
SECONDS = 45
"""Of a phase, in which requests are measured."""
WARM_S = 8.0
SPEED = 3.0
"""Some 8,500 tokens/s: backend, gateway, engine and client together have half of two cores to do."""
ELASTIC_LOAD, SPOT_LOAD = 1.5, 2.5
"""Of what the replica can do with their requests: four times, together."""
GOAL = 1.3
PERIOD_S = 10
POOL = "llm"
PHASES = ("unloaded", "overloaded", "without the gateway")
_ROOT = Path(__file__).parents[2]
_BEHIND = "bourse_backend_behind_ms "
_PROCESSOR = ("backend", "gateway", "everybody")


@dataclass(frozen=True)
class Measured:
    """A phase.

    Attributes:
        seen: by its clients.
        cores: that backend, gateway and everybody on the machine used.
        behind: how late the backend was at each second, by its model's clock (ms).
    """

    seen: Seen
    cores: dict[str, float]
    behind: list[int]


def run(
    bootstrap: str, seconds: int = SECONDS, plot: Path | None = None, progress: Callable[[str], None] = lambda _: None
) -> list[Row]:
    """Rows of {name, value, unit, baseline, baseline_value, ratio, goal, met}.

    Args:
        bootstrap: of Kafka.
        seconds: of each phase.
        plot: a PNG file for a picture.
        progress: told what goes on.
    """
    machine = Machine()
    full = _full(machine)
    requests = _requests(full, seconds)
    alone = [one for one in requests if one.tenant == GUARANTEED]
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bourse-bench-overload-")))
        progress("starting the engine, a backend and a gateway")
        system = stack.enter_context(_system(home, bootstrap))
        backend = stack.enter_context(_served(home, ["backend", "--speed", str(SPEED)], system.settings, "/health"))
        _define(system.settings, full, machine)
        asked = ["gateway", "--upstream", backend.url, "--pool", POOL]
        gateway = stack.enter_context(_served(home, asked, system.settings, "/healthz"))
        keys = [asyncio.run(issue(system.settings, name, [POOL])).secret for name in TENANTS]
        time.sleep(3)  # the gateway reads keys; the pool's first period opens
        found = {}
        for name, url, some in zip(PHASES, (gateway.url, gateway.url, backend.url), (alone, requests, requests), strict=True):
            phase = Phase(url, keys, some, seconds=WARM_S + seconds, warm_s=WARM_S, drains=url == gateway.url)
            found[name] = _measured(phase, backend, gateway, partial(_told, progress, name))
            time.sleep(3)  # what was cancelled is gone
    if plot is not None:
        _picture(found, seconds, plot)
    return list(_rows(found, full.tokens * SPEED))


def _told(progress: Callable[[str], None], phase: str, seconds: float) -> None:
    progress(f"{phase}, {seconds:.0f} s")


# What is asked


def _full(machine: Machine) -> Saturated:
    """What the replica does with short questions and answers, at its GPU's own speed."""
    return saturated(machine, _pairs(CHAT, "capacity"))


def _pairs(sizes: Sizes, *purpose: str) -> list[tuple[int, int]]:
    return list(zip(*(column.tolist() for column in sizes.draw(MEASURED, generator(SEED, *purpose))), strict=True))


def _requests(full: Saturated, seconds: int) -> list[Request]:
    """Everybody's, by time."""
    long = saturated(Machine(), _pairs(LONG, "long"))
    rates = (GUARANTEED_LOAD * full.requests, ELASTIC_LOAD * full.requests, SPOT_LOAD * long.requests)
    return merged(
        [
            _stream(name, SPEED * rate, sizes, WARM_S + seconds)
            for name, rate, sizes in zip(TENANTS, rates, (CHAT, CHAT, LONG), strict=True)
        ]
    )


def _stream(name: str, rate: float, sizes: Sizes, seconds: float) -> Stream:
    at_us = arrivals(steady(rate), seconds, generator(SEED, name))
    return at_us, sizes.draw(at_us.size, generator(SEED, name, "sizes")), sizes.max_output


# Who answers


def _system(home: Path, bootstrap: str) -> Any:
    """Clock, meter, intake and engine as in production: ticks of a second. What lands in ClickHouse decides nothing."""
    folder = str(_ROOT / "tests" / "e2e")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    from system import System

    return System(
        home / "bourse",
        kafka=bootstrap,
        clickhouse="http://127.0.0.1:9",
        workers={"sink": 0},
        tick_ms=1000,
        dedupe_window_ticks=120,
    )


def _define(settings: Settings, full: Saturated, machine: Machine) -> None:
    """The guaranteed tenant is promised twice what it needs on average of every dimension, as in the simulation."""
    throughput = round(full.tokens * SPEED)
    right = RIGHT * GUARANTEED_LOAD
    kv, slots = round(right * machine.kv_blocks), round(right * machine.sequences)
    pool = PoolCommand(
        id="pool",
        pool=POOL,
        capacity=throughput * PERIOD_S,
        period_s=PERIOD_S,
        replicas=1,
        replica_tokens_per_s=throughput,
        replica_kv_blocks=machine.kv_blocks,
        replica_concurrency=machine.sequences,
    )
    promised = ProfileCommand(
        id="guaranteed",
        pool=POOL,
        tenant=TENANTS[GUARANTEED],
        base=round(right * throughput) * PERIOD_S,
        elasticity="1",
        tier=Tier.GUARANTEED,
        kv=KvQuota(nominal_quota=kv),
        concurrency=ConcurrencyQuota(nominal_quota=slots),
    )
    others = [
        ProfileCommand(id=TENANTS[who], pool=POOL, tenant=TENANTS[who], base=0, elasticity="1", tier=tier)
        for who, tier in ((ELASTIC, Tier.ELASTIC), (SPOT, Tier.SPOT))
    ]
    with CommandPublisher(settings) as operator:
        operator.publish(pool)
        for profile in (promised, *others):
            operator.publish(profile)


@dataclass(frozen=True)
class _Server:
    process: psutil.Process
    url: str

    def processor(self) -> float:
        return float(sum(self.process.cpu_times()[:2]))


@contextmanager
def _served(home: Path, asked: list[str], settings: Settings, healthy: str) -> Iterator[_Server]:
    """A process of `bourse`, which answers."""
    port = free_port()
    environment = {**os.environ, **settings.as_environment(), "PYTHONPATH": str(_ROOT)}
    log = home / f"{asked[0]}.log"
    with log.open("wb") as written:
        command = [sys.executable, "-m", "infra.cli", *asked, "--port", str(port)]
        process = subprocess.Popen(command, env=environment, stdout=written, stderr=written)
    try:
        deadline = time.monotonic() + 120
        while not _is_healthy(f"http://127.0.0.1:{port}{healthy}"):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{asked[0]} does not serve: {log.read_text()[-1500:]}")
            time.sleep(0.2)
        yield _Server(psutil.Process(process.pid), f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _is_healthy(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def _measured(phase: Phase, backend: _Server, gateway: _Server, progress: Callable[[float], None]) -> Measured:
    def used() -> tuple[float, ...]:
        times = psutil.cpu_times()
        return backend.processor(), gateway.processor(), sum(times) - times.idle - getattr(times, "iowait", 0.0)

    behind: list[int] = []

    async def watched() -> Seen:
        watching = asyncio.create_task(_watch(backend.url, behind))
        try:
            return await phase.run(progress)
        finally:
            watching.cancel()

    before, began = used(), time.monotonic()
    seen = asyncio.run(watched())
    passed = time.monotonic() - began
    if seen.failed:
        raise RuntimeError(f"{len(seen.failed)} answers are none: {seen.failed[0]}")
    return Measured(seen, {who: (now - then) / passed for who, now, then in zip(_PROCESSOR, used(), before, strict=True)}, behind)


async def _watch(url: str, behind: list[int]) -> None:
    async with httpx.AsyncClient() as client:
        while True:
            told = (await client.get(f"{url}/metrics", timeout=30)).text
            behind.append(int(next(line for line in told.splitlines() if line.startswith(_BEHIND)).split()[1]))
            await asyncio.sleep(1)


# What it came to


def _rows(found: dict[str, Measured], capacity: float) -> Iterator[Row]:
    unloaded, overloaded, without = (found[name].seen for name in PHASES)
    for percent in (99, 50):
        for what, first in (("latency", False), ("time to first token", True)):
            base = unloaded.percentile(percent, first=first)
            goal = GOAL if (percent, first) == (99, False) else None
            name = f"guaranteed tenant's {what}, P{percent}"
            yield _row(f"{name}, overloaded", overloaded.percentile(percent, first=first), "s", ("unloaded", base), goal)
            yield _row(f"{name}, without the gateway", without.percentile(percent, first=first), "s", ("unloaded", base))
    unanswered = sum(not each.answered for each in without.guaranteed)
    yield _row(
        "its requests without an answer at the end, without the gateway",
        unanswered,
        "requests",
        ("asked", without.asked[GUARANTEED]),
    )
    for who, name in enumerate(TENANTS):
        refused, asked = overloaded.refused[who], overloaded.asked[who]
        yield _row(f"refused of {name}", refused.total(), "requests", ("asked", asked))
        for reason, count in sorted(refused.items()):
            yield _row(f"  {reason}", count, "requests", ("asked", asked))
    seconds = {name: each.seen.tokens for name, each in found.items()}
    measured = _span(found)
    yield _row(
        "answered, overloaded", seconds[PHASES[1]] / measured, "tokens/s", ("without the gateway", seconds[PHASES[2]] / measured)
    )
    yield _row("the same", seconds[PHASES[1]] / measured, "tokens/s", ("what the replica can do with short answers", capacity))
    late = [max(found[name].behind) / 1000 for name in PHASES[:2]]
    yield _row("the backend's model was late by at most, overloaded", late[1], "s", ("unloaded", late[0]))
    for part in _PROCESSOR:
        with_all, alone = (found[name].cores[part] for name in (PHASES[1], PHASES[0]))
        yield _row(f"cores used by {part}, overloaded", with_all, "cores", ("unloaded", alone))


def _span(found: dict[str, Measured]) -> float:
    """Seconds in which answers were counted, to the last request."""
    return max(each.at for each in found[PHASES[0]].seen.guaranteed) - WARM_S


def _row(name: str, value: float, unit: str, baseline: tuple[str, float], goal: float | None = None) -> Row:
    """A ratio is of the value by its baseline; a goal is the most that it may be."""
    ratio = value / baseline[1] if baseline[1] else None
    met = None if goal is None or ratio is None else ratio <= goal
    told: Row = {"name": name, "value": value, "unit": unit, "baseline": baseline[0], "baseline_value": baseline[1]}
    return {**told, "ratio": ratio, "goal": goal, "met": met}


def _picture(found: dict[str, Measured], seconds: int, path: Path) -> None:
    """The guaranteed tenant's requests, each at its time: how long until its answer, and until its first token."""
    figure, axes = canvas(2, len(PHASES), (13.0, 6.4), {"seconds": WARM_S + seconds})
    base = found[PHASES[0]].seen
    for column, (name, colour) in enumerate(zip(PHASES, (GREY, BLUE, ORANGE), strict=True)):
        seen = found[name].seen
        axes[0, column].set_title(
            f"{name}\nP99 {seen.percentile(99):.2f} s, × {seen.percentile(99) / base.percentile(99):.2f}", fontsize=10
        )
        for place, first in enumerate((False, True)):
            axis = axes[place, column]
            for answered, marker in ((True, "o"), (False, "x")):
                some = [each for each in seen.guaranteed if each.answered is answered]
                axis.scatter(
                    [e.at for e in some], [e.first if first else e.latency for e in some], s=9, marker=marker, color=colour
                )
            axis.axhline(base.percentile(99, first=first), color="black", lw=0.9, ls=":")
            axis.set_yscale("log")
            axis.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes[1, column].set_xlabel("seconds")
    for place, label in enumerate(("latency, s", "time to first token, s")):
        axes[place, 0].set_ylabel(label)
        low, high = min(axis.get_ylim()[0] for axis in axes[place]), max(axis.get_ylim()[1] for axis in axes[place])
        for axis in axes[place]:
            axis.set_ylim(low, high)
    figure.suptitle("A guaranteed tenant's requests in real time; dotted: P99 unloaded; ×: not answered by the end", fontsize=10)
    write(figure, path)


def main() -> None:
    """Prints the rows."""
    options = argparse.ArgumentParser()
    options.add_argument("kafka", nargs="?")
    options.add_argument("--seconds", type=int, default=SECONDS)
    options.add_argument("--plot", type=Path)
    asked = options.parse_args()
    with ExitStack() as stack:
        bootstrap = asked.kafka
        if bootstrap is None:
            home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bourse-bench-kafka-")))
            bootstrap = stack.enter_context(EmbeddedBroker(home, jar_dir=Settings.load().jars)).bootstrap
        for row in run(bootstrap, asked.seconds, asked.plot, lambda text: print(text, file=sys.stderr)):
            value, base = row["value"], row["baseline_value"]
            ratio = "" if row["ratio"] is None else f"x{row['ratio']:.2f}"
            sys.stdout.write(
                f"{row['name']:66} {value:12,.3f} {row['unit']:9} {row['baseline']} {base:,.3f} {ratio} {row['met'] or ''}\n"
            )


if __name__ == "__main__":
    main()
