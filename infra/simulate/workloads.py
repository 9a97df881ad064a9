"""Requests of simulated tenants: arrivals that are Poisson, in bursts, rising, or a trace's; sizes log-normal or a trace's.

A stream is a function of its arguments and a seed: numpy's PCG64, one generator per tenant and purpose, so that what one tenant
does never depends on another's.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from infra.workloads import trace as read_trace
from streams.errors import BadInput

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Rate = Callable[[Floats], Floats]
"""Requests per second at times in seconds."""

Stream = tuple[Ints, tuple[Ints, Ints], int]
"""A tenant's first tries (microseconds), input and output tokens, and the output that its clients declare."""

MAX_INPUT = 8192
"""Longer prompts of a trace are cut: no request must be a tenth of the cache."""
MAX_TRACED_OUTPUT = 1024
"""What clients of a trace are taken to declare, as traces don't tell; Azure's longest answer has 1,000 tokens."""
SERVEGEN_RATE = 2.0
"""Requests per second that are kept of a ServeGen day, one in K for K: sizes and shape, not numbers, are wanted of it."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request before anybody admitted it.

    Attributes:
        number: its place in the run, from 0.
        tenant: index of the tenant.
        at_us: first try, microseconds from the run's start.
        input: tokens of the prompt.
        output: tokens it will generate; nobody knows them before.
        max_output: what the client declares, and what is reserved.
    """

    number: int
    tenant: int
    at_us: int
    input: int
    output: int
    max_output: int


@dataclass(frozen=True, slots=True)
class Sizes:
    """Sizes of a tenant's requests: log-normal, given by median and sigma, cut to 1 … the limit.

    Attributes:
        input_median: tokens.
        input_sigma: standard deviation of the logarithm.
        output_median: tokens.
        output_sigma: as of the input.
        max_output: what clients declare as `max_tokens`; longer outputs end there.
        max_input: longer prompts are cut.
    """

    input_median: float
    input_sigma: float
    output_median: float
    output_sigma: float
    max_output: int
    max_input: int = MAX_INPUT

    def draw(self, count: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
        """Input and output tokens of so many requests."""
        inputs = np.exp(rng.normal(np.log(self.input_median), self.input_sigma, count))
        outputs = np.exp(rng.normal(np.log(self.output_median), self.output_sigma, count))
        return _within(inputs, self.max_input), _within(outputs, self.max_output)


def generator(seed: int, *purpose: str | int) -> np.random.Generator:
    """The generator of one tenant's one purpose; equal words give equal numbers on every machine."""
    return np.random.default_rng([seed, *(zlib.crc32(str(word).encode()) for word in purpose)])


def steady(rate: float) -> Rate:
    """The same rate always; Poisson arrivals."""
    return lambda times: np.full_like(times, rate)


def rising(to: float, begin_s: float, full_s: float) -> Rate:
    """0 until `begin_s`, then in a straight line to `to` at `full_s`, and so on."""
    return lambda times: to * np.clip((times - begin_s) / (full_s - begin_s), 0.0, 1.0)


def bursts(rate: float, every_s: float, length_s: float, factor: float, phase_s: float = 0.0) -> Rate:
    """Mean `rate`; for `length_s` of every `every_s` it is `factor` times the mean, and between what keeps the mean.

    Raises:
        ValueError: the bursts alone exceed the mean.
    """
    between = (every_s - length_s * factor) / (every_s - length_s)
    if between < 0:
        raise ValueError("bursts of which nothing is left between")
    return lambda times: rate * np.where((times + phase_s) % every_s < length_s, factor, between)


def arrivals(rate: Rate, seconds: float, rng: np.random.Generator) -> Ints:
    """Microseconds of a Poisson process whose rate changes: thinning of one at the highest rate (Lewis and Shedler 1979)."""
    grid = np.linspace(0.0, seconds, 4096)
    peak = float(rate(grid).max()) * 1.001  # a line between two points of the grid stays below
    if peak <= 0:
        return np.empty(0, np.int64)
    count = int(peak * seconds + 6 * (peak * seconds) ** 0.5 + 16)  # six standard deviations above the mean: never too few
    times = np.cumsum(rng.exponential(1 / peak, count))
    times = times[times < seconds]
    kept = times[rng.random(times.size) * peak < rate(times)]
    return np.asarray(kept * 1e6, np.int64)


@dataclass(frozen=True, slots=True)
class Trace:
    """What is taken of a real trace: when requests came, and their sizes.

    Attributes:
        title: where it is from.
        at_s: seconds from its start, ascending.
        input: tokens.
        output: tokens.
    """

    title: str
    at_s: Floats
    input: Ints
    output: Ints

    def arrivals(self, rate: float, seconds: float) -> tuple[Ints, Ints]:
        """(microseconds, rows) of the trace's own arrivals at the speed that gives this mean rate; at its end it begins again."""
        speed = rate * float(self.at_s[-1]) / self.at_s.size
        laps, rows = np.divmod(np.arange(int(2 * rate * seconds) + self.at_s.size), self.at_s.size)
        at_s = (self.at_s[rows] + laps * float(self.at_s[-1])) / speed
        within = at_s < seconds
        return np.asarray(at_s[within] * 1e6, np.int64), np.asarray(rows[within], np.int64)


def read(path: Path) -> Trace:
    """The whole of an Azure LLM inference CSV, or the first day of a ServeGen Parquet, as `bourse demo` reads them.

    Raises:
        BadInput: no such file, not such a trace, or fewer than two moments in it.
    """
    parquet = path.suffix == ".parquet"
    workload = read_trace(path, speed=1.0, seconds=86_400.0, tenants=1, rate=SERVEGEN_RATE if parquet else 1e9)
    requests = list(workload.walk())
    if len(requests) < 2 or requests[-1].at_ms <= 0:
        raise BadInput(f"--trace {path}: too few requests to replay")
    return Trace(
        workload.title,
        np.array([request.at_ms for request in requests]) / 1000,
        _within(np.array([request.input_tokens for request in requests], np.float64), MAX_INPUT),
        _within(np.array([request.output_tokens for request in requests], np.float64), MAX_TRACED_OUTPUT),
    )


def merged(streams: Sequence[Stream]) -> list[Request]:
    """Every tenant's requests in order of time; of equal times the earlier tenant first."""
    at = np.concatenate([times for times, _, _ in streams])
    tenant = np.repeat(np.arange(len(streams)), [times.size for times, _, _ in streams])
    inputs = np.concatenate([sizes[0] for _, sizes, _ in streams])
    outputs = np.concatenate([sizes[1] for _, sizes, _ in streams])
    order = np.lexsort((tenant, at))
    columns = (column[order].tolist() for column in (tenant, at, inputs, outputs))
    return [
        Request(number, one, at_us, asked, answered, streams[one][2])
        for number, (one, at_us, asked, answered) in enumerate(zip(*columns, strict=True))
    ]


def _within(tokens: Floats, most: int) -> Ints:
    return np.clip(np.asarray(tokens, np.float64), 1, most).astype(np.int64)
