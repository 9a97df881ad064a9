"""A day of a real trace on a pool whose replicas come and go: scaled by promises and forecasts, by use, and not at all.

The requests of a trace come as they came, scaled to a mean load of MEAN_REPLICAS replicas: one request of the file stands for
many. A replica is that of `machine.py` with all its sequences running; a request holds one of them for its prompt and its output.
Requests of guaranteed tenants begin first, others when a sequence is free; nobody gives up. So the controls differ only in how many
replicas there are. A replica is paid from the moment it is asked for, and serves START_S later; one that is let go ends at once.

Who is guaranteed: every third tenant by size, from the second on, what it used in its busiest ten minutes.

    promises   the engine itself: a pool with `scaling`, a journal of usage, admissions and reports of replicas
    use 80 %   the HorizontalPodAutoscaler's rule on the share of sequences that run, the kindest reading of "GPU utilisation":
    use 50 %   ceil(ready x use / target), a tolerance of a tenth, the highest of five minutes, at most doubled
    use 35 %   what use has to be held at to cost as much as promises do
    fixed      what the busiest ten minutes need, always
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from infra.simulate.machine import SEQUENCES, Machine
from infra.simulate.scaled_pool import Reported, ScaledPool
from infra.simulate.workloads import Floats
from infra.workloads import trace as read_trace
from streams.errors import BadInput

TICK_S = 20
"""Between two decisions; what comes within it is spread evenly."""
DAY_S = 86_400
SAMPLE_RATE = 6.0
"""Requests per second that are taken of a trace."""
MEAN_REPLICAS = 8.0
MOST_REPLICAS = 64
START_S = 120
"""From asking for a replica to its first request: a node that is there, an image that is there, 15 GiB of weights to load."""
SOON_S = 2.0
"""A request that begins later has missed its SLA."""
PEAK_S = 600
CONTEXT_TOKENS = 512
"""Of a running sequence, in a step's time."""

Progress = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Load:
    """What comes: arrays of ticks x tenants.

    Attributes:
        title: of the trace.
        tenants: names, the largest first.
        requests: that come in a tick.
        work: seconds of a sequence that they take.
        tokens: input and output.
        guaranteed: which tenants are.
        base: tokens per second that those were promised.
    """

    title: str
    tenants: tuple[str, ...]
    requests: Floats
    work: Floats
    tokens: Floats
    guaranteed: np.ndarray[Any, np.dtype[np.bool_]]
    base: Floats

    @property
    def tokens_per_s(self) -> int:
        """Of a replica, at the trace's mix of prompts and outputs."""
        return int(SEQUENCES * self.tokens.sum() / self.work.sum())


@dataclass(slots=True)
class Course:
    """What became of one control: an entry for each tick.

    Attributes:
        ready: replicas that serve.
        paid: those and the ones that start.
        used: share of the sequences that ran.
        served: work by class, guaranteed and others, cumulated.
    """

    ready: list[int] = field(default_factory=list)
    paid: list[int] = field(default_factory=list)
    used: list[float] = field(default_factory=list)
    served: list[tuple[float, float]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Scalings:
    """All controls over one load."""

    load: Load
    promised: int
    """Replicas that the promises need."""
    start_s: int
    courses: dict[str, Course]


class Control(Protocol):
    """Says how many replicas are wanted."""

    def wanted(self, seen: Seen) -> int:
        """After a tick."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a control sees of a tick: by tenant what was served and what waits, in seconds of a sequence."""

    ready: int
    existing: int
    served: Floats
    waiting: Floats

    @property
    def use(self) -> float:
        """Share of the sequences that ran."""
        return float(self.served.sum()) / (TICK_S * SEQUENCES * self.ready) if self.ready else 1.0


class ByUse:
    """The HorizontalPodAutoscaler's rule with its defaults: a tolerance of a tenth, and the most that was asked for in 300 s.

    Use is averaged over a minute, as metrics are. It grows to twice what runs at most, or to four: as autoscaling/v2 does
    from four pods on (below, that allows four more).
    """

    def __init__(self, target: float) -> None:
        self._target = target
        self._use: deque[float] = deque(maxlen=60 // TICK_S)
        self._asked: deque[int] = deque(maxlen=300 // TICK_S)

    def wanted(self, seen: Seen) -> int:
        """As its documentation has it: pods that start are no part of the ratio, nor asked for again."""
        self._use.append(seen.use)
        ratio = sum(self._use) / len(self._use) / self._target
        asked = seen.existing if abs(ratio - 1) <= 0.1 else max(1, ceil(seen.ready * ratio))
        self._asked.append(min(asked, max(2 * seen.ready, 4), MOST_REPLICAS))
        return max(self._asked)


class Fixed:
    """Always the same."""

    def __init__(self, replicas: int) -> None:
        self._replicas = replicas

    def wanted(self, _: Seen) -> int:
        """As many."""
        return self._replicas


class ByPromises:
    """The engine."""

    def __init__(self, load: Load, begin: int) -> None:
        self._load = load
        self._per_work = load.tokens.sum(axis=0) / np.maximum(load.work.sum(axis=0), 1e-9)
        bases = {name: int(load.base[at]) for at, name in enumerate(load.tenants) if load.guaranteed[at]}
        self._pool = ScaledPool(load.tokens_per_s, load.tenants, bases, begin, tick_s=TICK_S, most=MOST_REPLICAS)

    def wanted(self, seen: Seen) -> int:
        """What waits at a tick's end is refused by gateways; it wants the sequences that would have served it in the tick."""
        rows = zip(
            self._load.tenants,
            (seen.served * self._per_work).tolist(),
            (seen.waiting * self._per_work).tolist(),
            (seen.served / TICK_S).tolist(),
            (seen.waiting / TICK_S).tolist(),
            strict=True,
        )
        reports = {
            name: Reported(int(used), int(left), ceil(running), ceil(lacking)) for name, used, left, running, lacking in rows
        }
        return self._pool.tick(seen.ready, reports)


def load_of(path: Path) -> Load:
    """The load of a trace.

    Raises:
        BadInput: no such file, not such a trace, or nothing in it.
    """
    workload = read_trace(path, speed=1.0, seconds=float(DAY_S), tenants=24, rate=SAMPLE_RATE)
    requests = list(workload.walk())
    if not requests or requests[-1].at_ms < PEAK_S * 1000:
        raise BadInput(f"--trace {path}: less than ten minutes of requests")
    names = sorted({request.tenant for request in requests})
    ticks = requests[-1].at_ms // (1000 * TICK_S) + 1
    at = np.array([request.at_ms // (1000 * TICK_S) for request in requests])
    who = np.array([names.index(request.tenant) for request in requests])
    prompt = np.array([request.input_tokens - request.cached_input_tokens for request in requests], np.float64)
    output = np.array([request.output_tokens for request in requests], np.float64)
    machine = Machine()
    step_s = machine.step_us(SEQUENCES, SEQUENCES * CONTEXT_TOKENS, 0, 0) / 1e6
    prompt_s = machine.step_us(0, 0, machine.batched_tokens, 0) / 1e6 / machine.batched_tokens
    counts = [
        _summed(each, at, who, (ticks, len(names)))
        for each in (np.ones(at.size), prompt * prompt_s + output * step_s, prompt + output)
    ]
    order = np.argsort(-counts[2].sum(axis=0), kind="stable")
    factor = MEAN_REPLICAS * SEQUENCES * TICK_S * ticks / counts[1].sum()
    arrived, work, tokens = (each[:, order] * factor for each in counts)
    guaranteed = np.arange(len(names)) % 3 == 1
    base = _busiest(tokens) / PEAK_S
    return Load(
        workload.title, tuple(names[place] for place in order), arrived, work, tokens, guaranteed, np.where(guaranteed, base, 0.0)
    )


def simulate(load: Load, start_s: int = START_S, *, progress: Progress = lambda _: None) -> Scalings:
    """Every control over the same load. A day takes half a minute, nearly all of it the engine's 4,320 ticks."""
    most = ceil(float(_busiest(load.work.sum(axis=1, keepdims=True))[0]) / (PEAK_S * SEQUENCES))
    promised = ceil(float(load.base.sum()) / load.tokens_per_s)
    begin = max(promised, ceil(MEAN_REPLICAS))
    controls: dict[str, Control] = {
        "promises": ByPromises(load, begin),
        "use 80 %": ByUse(0.8),
        "use 50 %": ByUse(0.5),
        "use 35 %": ByUse(0.35),
        "fixed": Fixed(most),
    }
    starts = {name: most if name == "fixed" else begin for name in controls}
    courses = {}
    for done, (name, control) in enumerate(controls.items()):
        # The engine's run is nearly all of the time.
        before, part = (0.0, 0.9) if not done else (0.9 + 0.03 * (done - 1), 0.03)
        courses[name] = _run(load, control, starts[name], start_s, lambda share, b=before, p=part: progress(b + p * share))  # type: ignore[misc]  # bound at once
    return Scalings(load, promised, start_s, courses)


def _run(load: Load, control: Control, ready: int, start_s: int, progress: Progress) -> Course:
    course = Course()
    waiting = np.zeros(len(load.tenants))
    starting: list[int] = []
    done = np.zeros(2)
    for tick in range(load.work.shape[0]):
        now = tick * TICK_S
        ready += sum(at <= now for at in starting)
        starting = [at for at in starting if at > now]
        waiting += load.work[tick]
        served = _served(waiting, load.guaranteed, float(ready * SEQUENCES * TICK_S))
        waiting = waiting - served
        done += served[load.guaranteed].sum(), served[~load.guaranteed].sum()
        seen = Seen(ready, ready + len(starting), served, waiting)
        course.ready.append(ready)
        course.paid.append(seen.existing)
        course.used.append(seen.use)
        course.served.append((float(done[0]), float(done[1])))
        wanted = control.wanted(seen)
        if wanted > seen.existing:
            starting += [now + TICK_S + start_s] * (wanted - seen.existing)
        fewer = max(seen.existing - wanted, 0)
        starting = starting[: max(len(starting) - fewer, 0)]
        ready -= max(fewer - (seen.existing - ready), 0)
        if tick % 60 == 0:
            progress(tick / load.work.shape[0])
    return course


def _served(waiting: Floats, guaranteed: np.ndarray[Any, np.dtype[np.bool_]], room: float) -> Floats:
    """Guaranteed tenants first; within a class all are served the same share of what they have waiting."""
    served = np.zeros(waiting.size)
    for rows in (guaranteed, ~guaranteed):
        asked = float(waiting[rows].sum())
        part = min(1.0, room / asked) if asked else 0.0
        served[rows] = waiting[rows] * part
        room -= asked * part
    return served


def _summed(values: Floats, at: Any, who: Any, shape: tuple[int, int]) -> Floats:
    sums: Floats = np.bincount(at * shape[1] + who, values, shape[0] * shape[1]).reshape(shape).astype(np.float64)
    return sums


def _busiest(ticks: Floats) -> Floats:
    """Of each column, the most of any ten minutes."""
    window = min(PEAK_S // TICK_S, ticks.shape[0])
    sums = np.cumsum(np.vstack([np.zeros(ticks.shape[1]), ticks]), axis=0)
    most: Floats = (sums[window:] - sums[:-window]).max(axis=0)
    return most
