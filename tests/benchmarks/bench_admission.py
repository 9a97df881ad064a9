"""Speed and memory of admission: decisions in three dimensions against one moving window of PyPI `limits`, which is in one.

Run alone: `python tests/benchmarks/bench_admission.py`. Times are processor seconds of one thread. Both are asked the same requests
of the same tenants, chunk by chunk in turn, and the middle chunk of each counts. `limits` counts requests and not tokens (a hit
that costs n tokens makes n entries in its window), so each of its hits costs one: the least that it can be asked for.
"""

import gc
import json
import random
import statistics
import sys
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from limits import RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from processors.admission import Admission, Admitted
from processors.entitlement import Capacity, Quota, TenantLimits
from schemas.published import Tier

GOAL = 3.0
SECONDS_GOAL = 1.0
CHUNK = 2_000
TENANTS = 1_000
START_MS = 1_700_000_000_000
PER_MS = 20  # requests a millisecond
WIDE = Capacity(10**10, 10**9, 10**8)
NARROW = Capacity(2_000_000, 200_000, 20_000)  # about a third of the stream's tokens


class Request(NamedTuple):
    """One of the stream."""

    ms: int
    tenant: str
    id: str
    input_tokens: int
    max_output_tokens: int


class Middle(NamedTuple):
    """Microseconds of one decision or settlement in the middle chunk, and admitted shares."""

    ours: float
    settling: float
    theirs: float
    admitted: float
    hit: float


def run(tenants: int = 100_000, requests: int = 1_000_000, chunks: int = 60) -> list[dict[str, object]]:
    """Rows of {name, value, unit, baseline, baseline_value, ratio, goal, met}."""
    rows = []
    for name, capacity, window, goal in (("all fit", WIDE, 10**6, GOAL), ("overload", NARROW, 50, None)):
        middle = _in_turn(capacity, window, chunks)
        label = f"{name}: {middle.admitted:.0%} admitted"
        baseline = f"PyPI limits, moving window, {middle.hit:.0%} admitted"
        rows.append(_row(f"decisions, {label}", 1e6 / middle.ours, "decisions/s", (baseline, 1e6 / middle.theirs), goal))
        rows.append(_row(f"settlements, {name}", 1e6 / middle.settling, "settlements/s", None, None))
    return [*rows, *_limits_rows(tenants), *_memory_rows(tenants, requests)]


def stream(count: int, tenants: int, seed: int = 1) -> list[Request]:
    """Requests of random tenants, 200 to 1,000 tokens each."""
    rng = random.Random(seed)
    return [
        Request(
            START_MS + number // PER_MS, f"t{rng.randrange(tenants)}", f"r{number}", rng.randint(100, 700), rng.randint(100, 300)
        )
        for number in range(count)
    ]


def limits_of(tenants: int, capacity: Capacity, seed: int = 1) -> dict[str, TenantLimits]:
    """A quarter of each of four tiers; half of the capacity is promised, and about a quarter of it is kept for owners."""
    rng = random.Random(seed)
    fair = [all_of_it // tenants for all_of_it in capacity]
    found = {}
    for number in range(tenants):
        tier = (Tier.GUARANTEED, Tier.ELASTIC, Tier.SPOT, Tier.PREEMPTIBLE)[number % 4]
        kept = rng.randint(0, 100)
        match tier:
            case Tier.GUARANTEED:
                quotas = [Quota(2 * part, 8 * part, part * kept // 100) for part in fair]
            case Tier.ELASTIC:
                quotas = [Quota(part, 16 * part, part * kept // 100) for part in fair]
            case _:
                quotas = [Quota(0, None, 0)] * 3
        throughput, kv, concurrency = quotas
        found[f"t{number}"] = TenantLimits(tier, (throughput, kv, concurrency))
    return found


def _in_turn(capacity: Capacity, window: int, chunks: int) -> Middle:
    """A chunk each in turn. What was admitted of one chunk ends with the next, of half of the output that it reserved."""
    admission = Admission(capacity)
    _set(admission, START_MS, limits_of(TENANTS, capacity), capacity)
    limiter, item = MovingWindowRateLimiter(MemoryStorage()), RateLimitItemPerSecond(window, 1)
    requests = stream(chunks * CHUNK, TENANTS)
    deciding, settling, hitting, admitted, hits, running = [], [], [], 0, 0, list[Request]()
    with _frozen():
        for first in range(0, len(requests), CHUNK):
            part = requests[first : first + CHUNK]
            began = time.process_time()
            answers = [admission.admit(ms, tenant, name, given, most) for ms, tenant, name, given, most in part]
            deciding.append(time.process_time() - began)
            began = time.process_time()
            hit = [limiter.hit(item, tenant) for _, tenant, _, _, _ in part]
            hitting.append(time.process_time() - began)
            now, began = part[-1].ms, time.process_time()
            for _, _, name, given, most in running:
                admission.settle(now, name, given, most // 2)
            if running:
                settling.append((time.process_time() - began) / len(running))
            running = [request for request, answer in zip(part, answers, strict=True) if type(answer) is Admitted]
            admitted += len(running)
            hits += sum(hit)
    ours, theirs = (statistics.median(seconds) / CHUNK * 1e6 for seconds in (deciding, hitting))
    return Middle(ours, statistics.median(settling) * 1e6, theirs, admitted / len(requests), hits / len(requests))


def _limits_rows(tenants: int) -> list[dict[str, object]]:
    """A tick's limits, when they are all new, when all have changed, and when none has."""
    admission = Admission(WIDE)
    first, second = limits_of(tenants, WIDE), limits_of(tenants, WIDE, seed=2)
    rows = []
    for tick, (name, wanted) in enumerate((("new", first), ("changed", second), ("the same", dict(second)))):
        began = time.process_time()
        _set(admission, START_MS + 1_000 * tick, wanted, WIDE)
        seconds = time.process_time() - began
        row = _row(f"limits of a tick, {tenants:,} tenants, {name}", seconds, "s", None, None)
        rows.append({**row, "goal": SECONDS_GOAL, "met": seconds <= SECONDS_GOAL} if name == "changed" else row)
    return rows


def _memory_rows(tenants: int, requests: int) -> list[dict[str, object]]:
    """What tenants and requests in flight hold, with the ids of requests and without the limits, which are the caller's."""
    wanted = limits_of(tenants, WIDE)
    tracemalloc.start()
    admission = Admission(WIDE)
    _set(admission, START_MS, wanted, WIDE)
    of_tenants = tracemalloc.get_traced_memory()[0]
    for number in range(requests):
        answer = admission.admit(
            START_MS + number // PER_MS, f"t{number % tenants}", f"request-{number:032x}", 300 + number % 700, 500
        )
        if type(answer) is not Admitted:
            raise AssertionError(answer)
    of_requests = tracemalloc.get_traced_memory()[0] - of_tenants
    tracemalloc.stop()
    return [
        _row(f"memory of {tenants:,} tenants", of_tenants / 2**20, "MiB", None, None),
        _row(f"memory of {requests:,} requests in flight", of_requests / 2**20, "MiB", None, None),
    ]


def _set(admission: Admission, now_ms: int, wanted: dict[str, TenantLimits], capacity: Capacity) -> None:
    if refused := admission.set_limits(now_ms, wanted, capacity):
        raise AssertionError(refused)


@contextmanager
def _frozen() -> Iterator[None]:
    """What the benchmark itself holds is not to be visited by the garbage collector."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _row(name: str, value: float, unit: str, baseline: tuple[str, float] | None, goal: float | None) -> dict[str, object]:
    baseline_name, baseline_value = baseline or (None, None)
    ratio = None if baseline_value is None else value / baseline_value
    return {
        "name": name,
        "value": value,
        "unit": unit,
        "baseline": baseline_name,
        "baseline_value": baseline_value,
        "ratio": ratio,
        "goal": goal,
        "met": None if goal is None or ratio is None else ratio >= goal,
    }


if __name__ == "__main__":
    sizes = [int(argument) for argument in sys.argv[1:]]
    for figure in run(*sizes):
        print(json.dumps(figure, ensure_ascii=False))
