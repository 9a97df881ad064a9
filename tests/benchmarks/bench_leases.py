"""Limits shared by gateways: leases of 10,000 tenants at 16 gateways recomputed in one tick, beside a plain split in Python.

Run alone: `python tests/benchmarks/bench_leases.py`. Seconds are of the processor, so that neighbours on the machine disturb
little. In the busy tick everybody wants something else at each gateway than before, so that every part of every limit moves. The
plain split does the first step of it alone: each limit of each tenant by largest remainder, in Python's integers; what may be
granted, what must fit, and the facts come on top in ours.
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from bench_limits import BEGIN, POOL, opened

from processors.engine import fold
from processors.leases.granting import decide_leases
from processors.leases.state import GRANTED
from processors.recording import evolve
from processors.snapshot import dump_pool
from processors.stamping import Stamp
from processors.state import PartitionState
from schemas.fact import Fact
from schemas.gateways import MOST_REPORTED, GatewayReport
from schemas.journal import ClockTick
from schemas.lease_facts import LeasesGranted
from streams.lease_outputs import LeaseOutputs
from streams.leases import Assembly

TENANTS, GATEWAYS = 10_000, 16
GOAL_S = 1.0
"""A tick."""
REPEATS = 5


def run(tenants: int = TENANTS, repeats: int = REPEATS) -> list[dict[str, object]]:
    """Rows of {name, value, unit, baseline, baseline_value, ratio, goal, met}."""
    state = opened(tenants)
    _tick(state, 1)
    outputs = LeaseOutputs(state, 0, "leases")
    rounds = [_busy(state, outputs, tenants, number) for number in range(2, repeats + 3)][1:]  # the first grants everything
    deciding, recording, telling, reporting, rows = (statistics.median(column) for column in zip(*rounds, strict=True))
    plain = _timed(lambda: plain_split(state))[0]
    quiet = min(_quiet(state, repeats + 3 + number) for number in range(repeats))
    pool = state.pools[POOL]
    many = f"{tenants:,} tenants x {GATEWAYS} gateways"
    reading = _reading(state)
    size = sum(map(len, dump_pool(pool).leases)) / 1e6
    return [
        _row(f"leases of {many} recomputed in one tick", deciding, "s", ("a plain split in Python", plain), GOAL_S),
        _row(f"their facts recorded, {rows:,.0f} rows", recording, "s", ("recomputing them", deciding)),
        _row("told to all gateways on the topic leases", telling, "s", ("recomputing them", deciding)),
        _row("a report of every tenant from every gateway", reporting, "s", ("recomputing them", deciding)),
        _row("a tick in which nobody wants anything", quiet, "s", ("recomputing all", deciding)),
        _row("a gateway reads its lease", reading, "s", ("telling all of them", telling)),
        _row(f"state of {many}", size, "MB", ("the pool's tenants", sum(map(len, dump_pool(pool).chunks)) / 1e6)),
    ]


def plain_split(state: PartitionState) -> dict[str, list[list[int]]]:
    """Each limit of each tenant by what was wanted at each gateway: largest remainder, one after the other."""
    pool = state.pools[POOL]
    assert pool.leases is not None
    gateways = [gateway for _, gateway in sorted(pool.leases.gateways.items())]
    found: dict[str, list[list[int]]] = {}
    for name in GRANTED:
        totals = pool.tenants[f"told_{name}"].tolist()
        wanted = list(zip(*(gateway.rows[f"wanted_{name.split('_')[0]}"].tolist() for gateway in gateways), strict=True))
        found[name] = [_largest_remainder(total, weights) for total, weights in zip(totals, wanted, strict=True)]
    return found


def _largest_remainder(total: int, weights: tuple[int, ...]) -> list[int]:
    whole = sum(weights)
    if not whole:
        weights, whole = (1,) * len(weights), len(weights)
    shares = [total * weight // whole for weight in weights]
    order = sorted(range(len(weights)), key=lambda at: -(total * weights[at] % whole))
    for at in order[: total - sum(shares)]:
        shares[at] += 1
    return shares


def _busy(state: PartitionState, outputs: LeaseOutputs, tenants: int, number: int) -> tuple[float, float, float, float, int]:
    """Seconds to decide, to record, to tell; to take the reports; and rows that were granted."""
    reports = list(_reports(state, tenants, number))
    reporting = _timed(lambda: [_noted(state, outputs, fold(state, each, number)) for each in reports])[0]
    _tick(state, number, leases=False)
    # Apart from the rest of the tick, and twice: recording changes what is decided.
    deciding, facts = _timed(lambda: list(decide_leases(state, Stamp(number))))
    recording, _ = _timed(lambda: [evolve(state, fact) for fact in facts])
    _noted(state, outputs, facts)
    telling, _ = _timed(lambda: list(outputs.round()))
    return deciding, recording, telling, reporting, sum(len(fact.tenant) for fact in facts if isinstance(fact, LeasesGranted))


def _noted(state: PartitionState, outputs: LeaseOutputs, facts: list[Fact]) -> None:
    for fact in facts:
        outputs.note(fact)


def _reports(state: PartitionState, tenants: int, number: int) -> Any:
    """Every gateway goes by its newest lease, and was asked for something else than before by everybody."""
    chosen = random.Random(number)
    leases = state.pools[POOL].leases
    names = [f"tenant-{each:06}" for each in range(tenants)]
    parts = [names[start : start + MOST_REPORTED] for start in range(0, tenants, MOST_REPORTED)]
    for gateway in (f"gateway-{each:02}" for each in range(GATEWAYS)):
        for chunk, part in enumerate(parts):

            def column(most: int, part: list[str] = part) -> list[int]:
                return [chosen.randint(0, most) * (chosen.random() < 0.5) for _ in part]

            yield GatewayReport(
                id=f"{gateway}-{number}-{chunk}",
                time=(BEGIN + number) * 1000,
                pool=POOL,
                gateway=gateway,
                incarnation="1",
                sequence=number,
                chunk=chunk,
                chunks=len(parts),
                applied=leases.gateways[gateway].number if leases else 0,
                interval_ms=1000,
                tenant=part,
                tokens=column(900 << number % 4),
                kv_peak=column(20 << number % 4),
                concurrency_peak=column(3 << number % 4),
                kv_held=[0] * len(part),
                concurrency_held=[0] * len(part),
                refused=column(1),
            )


def _tick(state: PartitionState, number: int, *, leases: bool = True) -> None:
    """A tick; without what it decides of leases, if that is looked at by itself."""
    pool = state.pools[POOL]
    held, pool.leases = pool.leases, pool.leases if leases else None
    fold(state, ClockTick(tick=BEGIN + number, tick_ms=1000, meter_partitions=1, grace_ticks=5), 10**9 + number)
    pool.leases = held


def _quiet(state: PartitionState, number: int) -> float:
    """What was wanted has faded, and nothing moves."""
    leases = state.pools[POOL].leases
    assert leases is not None
    _tick(state, number, leases=False)
    for gateway in leases.gateways.values():
        gateway.ends_ms = (BEGIN + number + 99) * 1000
        for name in ("throughput", "kv", "concurrency"):
            gateway.rows[f"wanted_{name}"][:] = 0
        gateway.rows["refused_tick"][:] = -1
    for _ in range(9):
        for gateway in leases.gateways.values():
            gateway.applied, gateway.held_capacity = gateway.number, gateway.capacity
            for name in GRANTED:
                gateway.rows[f"held_{name}"][:] = gateway.rows[name]
        seconds, facts = _timed(lambda: list(decide_leases(state, Stamp(number))))
        if not facts:
            return seconds
        for fact in facts:
            evolve(state, fact)
    raise AssertionError("shares go on moving though nothing happens")


def _reading(state: PartitionState) -> float:
    """Seconds in which one gateway decodes its lease and puts it together."""
    told = [each for slice_ in LeaseOutputs(state, 0, "leases").round() for each in slice_]

    def read() -> None:
        assembly = Assembly(POOL, "gateway-00", "1")
        for each in told:
            for item in assembly.read(each.key, each.value):
                assembly.take(item)

        assert assembly.now() is not None

    read()  # schemas are read once
    return _timed(read)[0]


def _row(name: str, value: float, unit: str, baseline: tuple[str, float], goal: float | None = None) -> dict[str, object]:
    return {
        "name": name,
        "value": value,
        "unit": unit,
        "baseline": baseline[0],
        "baseline_value": baseline[1],
        "ratio": baseline[1] / max(value, 1e-9),
        "goal": goal,
        "met": None if goal is None else value <= goal,
    }


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def main() -> None:
    for row in run():
        sys.stdout.write(
            f"{row['name']:62} {row['value']:10,.3f} {row['unit']:3} x{row['ratio']:<7,.2f} {row['baseline']} "
            f"{row['baseline_value']:,.3f} {'' if row['met'] is None else 'met' if row['met'] else 'MISSED'}\n"
        )


if __name__ == "__main__":
    main()
