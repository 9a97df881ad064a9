"""Workloads: a seeded synthetic one, and real traces replayed faster than they happened.

A workload is a function of its arguments alone, so it can be walked twice: once to size the pool, once to publish.
"""

from __future__ import annotations

import csv
import heapq
import math
import random
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby, takewhile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.units import MAX_TOKENS
from streams.errors import BadInput

TTFT_FLOOR_MS, PREFILL_TOKENS_PER_MS, TPOT_MS = 60, 8, 12
"""A served request's latency, where a workload has none: 60 ms, 1 ms for 8 input tokens, 12 ms for each output token."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request as a backend would report it; `at_ms` counts from the workload's start."""

    at_ms: int
    tenant: str
    input_tokens: int
    cached_input_tokens: int
    output_tokens: int

    @property
    def tokens(self) -> int:
        """Input and output tokens."""
        return self.input_tokens + self.output_tokens

    @property
    def ttft_ms(self) -> int:
        """Time to the first token, milliseconds."""
        return TTFT_FLOOR_MS + (self.input_tokens - self.cached_input_tokens) // PREFILL_TOKENS_PER_MS

    @property
    def latency_ms(self) -> int:
        """Time to the last token, milliseconds."""
        return self.ttft_ms + TPOT_MS * self.output_tokens


@dataclass(frozen=True, slots=True)
class Temper:
    """What distinguishes tenants.

    Attributes:
        habit: how it makes requests, for people.
        base_share: how much of its mean demand its base covers.
        elasticity: as an operator writes it.
        budget_periods: its budget, in periods of its mean demand at the surplus price; None: no cap.
        sells: whether a bot of its sells what it will not use.
        buys: whether a bot of its buys what it will lack.
        sla_ms: the largest latency that it accepts; None: it has no SLA.
        weight: as an operator writes it; tenants of less of it pay for its boosts.
    """

    habit: str
    base_share: float
    elasticity: str
    budget_periods: float | None
    sells: bool = False
    buys: bool = False
    sla_ms: int | None = None
    weight: str = "1"


@dataclass(frozen=True, slots=True)
class Workload:
    """Requests in order of time, and who makes them.

    Attributes:
        title: what it is, for people.
        notes: what was left out or derived.
        tempers: every tenant, also those that make no request.
        walk: makes the requests anew; the same ones each time.
    """

    title: str
    notes: tuple[str, ...]
    tempers: dict[str, Temper]
    walk: Callable[[], Iterator[Request]]

    def mean_tokens(self) -> dict[str, float]:
        """Tokens per second of each tenant, up to the last request. One pass, constant memory."""
        totals = dict.fromkeys(self.tempers, 0)
        last_ms = 1000
        for request in self.walk():
            totals[request.tenant] += request.tokens
            last_ms = max(last_ms, request.at_ms)
        return {tenant: 1000 * total / last_ms for tenant, total in totals.items()}


_HABITS = (
    Temper("steady", 0.7, "1", 400, sells=True),
    Temper("bursty", 0.4, "2.5", 300, sells=True, buys=True),
    Temper("steady", 0.6, "0.5", None),
    Temper("over budget", 0.2, "3", 4),
    Temper("bursty", 0.3, "1.5", None, sells=True, buys=True),
    Temper("steady", 0.8, "0.75", 400, sells=True),
    Temper("idle", 0.0, "1", None, sells=True),
    Temper("bursty", 0.5, "2", 300, sells=True, buys=True),
    Temper("surging", 1.0, "0", None, sla_ms=8_000, weight="2"),
    Temper("bursty", 0.4, "1.8", 300, sells=True, buys=True),
)
_NAMES = ("acme", "borealis", "cobalt", "dynamo", "ember", "fjord", "glacier", "harbor", "indigo", "juniper")
_PULL = {"steady": 1.0, "bursty": 1.2, "idle": 0.0, "over budget": 2.0, "surging": 1.0}
"""A tenant's requests relative to a steady one's."""

BURST_EVERY_S, BURST_S, QUIET_RATE, BURST_RATE = 20.0, 6.0, 0.4, 2.4
"""A bursty tenant's rate is 0.4 of its mean and for 6 s in every 20 s 2.4 of it: 0.7·0.4 + 0.3·2.4 = 1."""

SURGE_FROM, SURGE_TO, CALM_RATE, SURGE_RATE = 0.1, 0.4, 0.7, 1.7
"""A surging tenant's rate is 1.7 of its mean for three tenths of the time, once, and 0.7 of it else: 0.3·1.7 + 0.7·0.7 = 1. It does
not bid for surplus. It has a base of its mean demand, and an SLA above the 5 s of which nine in ten of its requests stay below when
they are served at once."""


def synthetic(seed: int, seconds: float, tenants: int, rate: float) -> Workload:
    """Steady, bursty, surging, idle and overspending tenants with Poisson arrivals and log-normal sizes.

    Args:
        seed: the same seed gives the same requests.
        seconds: how long.
        tenants: how many; the kinds above repeat.
        rate: mean requests per second of all tenants together.
    """
    tempers = {_NAMES[i] if i < len(_NAMES) else f"tenant-{i + 1:04d}": _HABITS[i % len(_HABITS)] for i in range(tenants)}
    pull = sum(_PULL[temper.habit] for temper in tempers.values())

    def walk() -> Iterator[Request]:
        arrivals = [
            _arrivals(random.Random(f"{seed}/{tenant}"), tenant, temper, rate * _PULL[temper.habit] / pull, seconds)  # noqa: S311  a workload, no secret
            for tenant, temper in tempers.items()
            if _PULL[temper.habit]
        ]
        return heapq.merge(*arrivals, key=lambda request: request.at_ms)

    return Workload(f"synthetic workload, seed {seed}", (), tempers, walk)


def _arrivals(rng: random.Random, tenant: str, temper: Temper, mean_rate: float, seconds: float) -> Iterator[Request]:
    """Thinning: candidates at the highest rate, kept with the chance that the rate at their time has of it."""
    peak = {"bursty": BURST_RATE, "surging": SURGE_RATE}.get(temper.habit, 1.0)
    phase = rng.uniform(0, BURST_EVERY_S)
    at = rng.expovariate(mean_rate * peak)
    while at < seconds:
        chance = _rate(temper.habit, at, phase, seconds) / peak
        if chance == 1 or rng.random() < chance:
            asked = min(32_000, 1 + int(rng.lognormvariate(6.2, 0.9)))
            cached = int(asked * rng.choice((0.0, 0.0, 0.5, 0.8)))
            answered = min(4_000, 1 + int(rng.lognormvariate(5.0, 0.8)))
            yield Request(int(at * 1000), tenant, asked, cached, answered)
        at += rng.expovariate(mean_rate * peak)


def _rate(habit: str, at: float, phase: float, seconds: float) -> float:
    """Of a tenant at a time, relative to its mean."""
    match habit:
        case "bursty":
            return BURST_RATE if (at + phase) % BURST_EVERY_S < BURST_S else QUIET_RATE
        case "surging":
            return SURGE_RATE if SURGE_FROM <= at / seconds < SURGE_TO else CALM_RATE
        case _:
            return 1.0


def trace(path: Path, *, speed: float | None, seconds: float, tenants: int, rate: float) -> Workload:
    """A real trace: an Azure LLM inference CSV or a ServeGen Parquet.

    Args:
        path: the file, told apart by its suffix.
        speed: how many times faster than it happened; None: an hour of the CSV or a day of the Parquet in a minute.
        seconds: how much of the replay, from the trace's start.
        tenants: over how many tenants the CSV's requests are spread.
        rate: the most requests per second on average; above it one request in K stands for K.

    Raises:
        BadInput: the file is missing or not such a trace.
    """
    if not path.is_file():
        raise BadInput(f"--trace {path}: no such file")
    try:
        if path.suffix == ".parquet":
            return _servegen(path, speed or 1440.0, seconds, rate)
        return _azure(path, speed or 60.0, seconds, tenants, rate)
    except (pa.ArrowException, UnicodeDecodeError, csv.Error) as unreadable:
        raise BadInput(f"--trace {path}: {unreadable}") from unreadable


def _trace_tempers(tenants: Iterable[str]) -> dict[str, Temper]:
    """Tenants of a trace have no profiles: bases of half their mean demand, elasticities of 0.5 to 3, no caps. All trade."""
    return {
        tenant: Temper("as traced", 0.5, f"{0.5 + 0.25 * (index % 11):g}", None, sells=True, buys=True)
        for index, tenant in enumerate(sorted(tenants))
    }


AZURE_COLUMNS = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")


def _azure(path: Path, speed: float, seconds: float, tenants: int, rate: float) -> Workload:
    """Requests of a service without tenants: row n belongs to tenant crc32(n) % tenants."""
    names = [f"azure-{i:02d}" for i in range(tenants)]

    def within() -> Iterator[tuple[int, float, int, int]]:
        return takewhile(lambda row: row[1] < seconds, _azure_rows(path, speed))

    count = sum(1 for _ in within())
    if not count:
        raise BadInput(f"--trace {path}: no request in it")
    every = max(1, math.ceil(count / (rate * seconds)))

    def walk() -> Iterator[Request]:
        for row, at, asked, answered in within():
            if row % every == 0:
                tenant = names[zlib.crc32(str(row).encode()) % tenants]
                yield Request(int(at * 1000), tenant, asked, 0, answered)

    notes = (
        f"requests spread over {tenants} tenants by a hash of their row; latencies derived from token counts",
        *_sampled(every),
    )
    return Workload(f"Azure LLM inference trace at {speed:g}×", notes, _trace_tempers(names), walk)


def _azure_rows(path: Path, speed: float) -> Iterator[tuple[int, float, int, int]]:
    """(row, seconds of replay, input tokens, output tokens), one line in memory at a time."""
    with path.open(newline="", encoding="utf-8") as lines:
        reader = csv.DictReader(lines)
        missing = [name for name in AZURE_COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            raise BadInput(f"--trace {path}: no column {', '.join(missing)} (an Azure trace has {', '.join(AZURE_COLUMNS)})")
        start: datetime | None = None
        at = 0.0
        for row, line in enumerate(reader):
            try:
                # Seven digits of a second's fraction, of which datetime takes six.
                moment = datetime.fromisoformat(line["TIMESTAMP"][:26])
                start = start or moment
                at = max(at, (moment - start).total_seconds() / speed)
                asked, answered = int(line["ContextTokens"]), int(line["GeneratedTokens"])
            except (TypeError, ValueError) as wrong:
                raise BadInput(f"--trace {path}: line {row + 2}: {wrong}") from wrong
            if not (0 <= asked <= MAX_TOKENS and 0 <= answered <= MAX_TOKENS):
                raise BadInput(f"--trace {path}: line {row + 2}: tokens out of range: {asked}, {answered}")
            yield row, at, asked, answered


SERVEGEN_COLUMNS = ("client", "w", "ts", "mean_in", "mean_out", "requests")
SERVEGEN_WINDOW_S = 600


def _servegen(path: Path, speed: float, seconds: float, rate: float) -> Workload:
    """Clients with their requests per 10-minute window, spread evenly over the window; fractions are carried to the next one."""
    available = pq.read_schema(path).names
    missing = [name for name in SERVEGEN_COLUMNS if name not in available]
    if missing:
        raise BadInput(f"--trace {path}: no column {', '.join(missing)} (a ServeGen table has {', '.join(SERVEGEN_COLUMNS)})")
    table = pq.read_table(path, columns=list(SERVEGEN_COLUMNS))
    clients = len(set(table["client"].to_pylist()))
    windows = sorted(
        (
            (w, client, ts / speed, mean_in, mean_out, requests)
            for client, w, ts, mean_in, mean_out, requests in zip(
                *(table[name].to_pylist() for name in SERVEGEN_COLUMNS), strict=True
            )
            if _present(mean_in) and _present(mean_out) and _present(requests) and ts / speed < seconds
        ),
        key=lambda window: window[:2],
    )
    if not windows:
        raise BadInput(f"--trace {path}: no window with tokens within {seconds:g} s at {speed:g}×")
    names = {window[1]: f"client-{window[1]:02d}" for window in windows}
    every = max(1, math.ceil(sum(window[5] for window in windows) / (rate * seconds)))

    def walk() -> Iterator[Request]:
        carried: dict[int, float] = dict.fromkeys(names, 0.0)
        for _w, together in groupby(windows, key=lambda window: window[0]):
            spread = []
            for _, client, start, mean_in, mean_out, requests in together:
                carried[client] += requests / every
                count = int(carried[client])
                carried[client] -= count
                spread.append(_spread(names[client], (start, SERVEGEN_WINDOW_S / speed), count, (mean_in, mean_out)))
            yield from takewhile(lambda request: request.at_ms < seconds * 1000, heapq.merge(*spread, key=lambda one: one.at_ms))

    notes = (
        f"{len(names)} of {clients} clients (the others have no token counts); latencies derived from token counts",
        *_sampled(every),
    )
    return Workload(f"ServeGen trace at {speed:g}×", notes, _trace_tempers(names.values()), walk)


def _spread(tenant: str, span: tuple[float, float], count: int, means: tuple[float, float]) -> Iterator[Request]:
    """`count` requests at even distances whose tokens add up to the means, to less than one token."""
    (start_s, length_s), (mean_in, mean_out) = span, means
    for i in range(count):
        at_ms = int((start_s + length_s * (i + 0.5) / count) * 1000)
        asked = math.floor(mean_in * (i + 1)) - math.floor(mean_in * i)
        answered = math.floor(mean_out * (i + 1)) - math.floor(mean_out * i)
        yield Request(at_ms, tenant, asked, 0, answered)


def _present(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _sampled(every: int) -> tuple[str, ...]:
    return (f"one request in {every:,} is published",) if every > 1 else ()
