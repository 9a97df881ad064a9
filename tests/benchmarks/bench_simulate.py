"""Simulated requests per second of a processor, with the rules of token pools at work.

Run alone: `python tests/benchmarks/bench_simulate.py`. Seconds are of the processor, so that neighbours on the machine disturb
little. The baseline is the same run without control: what admission, debts and limits cost beside the model that they drive.
"""

from __future__ import annotations

import sys
import time

from infra.simulate.controls import Control, Uncontrolled
from infra.simulate.machine import Machine
from infra.simulate.overload import CHAT, GUARANTEED, TENANTS
from infra.simulate.pools import Profile, TokenPools
from infra.simulate.replica import Replica
from infra.simulate.saturated import Saturated, saturated
from infra.simulate.workloads import Request, arrivals, generator, merged, steady
from infra.simulate.world import Run, Scenario, World
from processors.entitlement import Capacity
from schemas.published import Tier

SECONDS = 300
REPEATS = 3
LOADS = (0.3, 0.6)
"""Of the capacity, of each tenant: together below it, so that nobody is refused and both runs do the same work."""


def run(seconds: int = SECONDS, repeats: int = REPEATS) -> list[dict[str, object]]:
    """Rows of {name, value, unit, baseline, baseline_value, ratio, goal, met}."""
    seconds *= 10  # of simulated time
    capacity, requests = _requests(seconds)
    alone = min(_timed(requests, seconds, Uncontrolled)[0] for _ in range(repeats))
    pools = [_timed(requests, seconds, lambda replicas: _pools(replicas, capacity)) for _ in range(repeats)]
    taken, outcome = min(pools, key=lambda one: one[0])
    name = f"{len(requests):,} requests of two tenants in {seconds:,} s"
    return [
        _row(f"{name}: simulated requests", len(requests) / taken, "1/s", ("without control", len(requests) / alone)),
        _row(f"{name}: steps of the replica", outcome.steps / taken, "1/s", ("without control", outcome.steps / alone)),
        _row(f"{name}: simulated time", seconds / taken, "s/s", ("without control", seconds / alone)),
    ]


def _requests(seconds: int) -> tuple[Saturated, list[Request]]:
    some = CHAT.draw(1000, generator(1, "capacity"))
    capacity = saturated(Machine(), list(zip(*(column.tolist() for column in some), strict=True)))
    streams = []
    for tenant, load in zip(TENANTS, LOADS, strict=True):
        at_us = arrivals(steady(load * capacity.requests), seconds, generator(1, tenant))
        streams.append((at_us, CHAT.draw(at_us.size, generator(1, tenant, "sizes")), CHAT.max_output))
    return capacity, merged(streams)


def _pools(replicas: list[Replica], capacity: Saturated) -> Control:
    machine = Machine()
    per_replica = Capacity(round(capacity.tokens), machine.kv_blocks, machine.sequences)
    throughput, blocks, sequences = (of_all // 2 for of_all in per_replica)
    return TokenPools(
        replicas, [Profile(Tier.GUARANTEED, nominal=(throughput, blocks, sequences)), Profile(Tier.SPOT)], per_replica
    )


def _timed(requests: list[Request], seconds: int, make: object) -> tuple[float, Run]:
    scenario = Scenario(requests, TENANTS, (None, None), seconds, watched=frozenset({GUARANTEED}))
    world = World(scenario, make)  # type: ignore[arg-type]  either control
    began = time.process_time()
    outcome = world.run()
    return time.process_time() - began, outcome


def _row(name: str, value: float, unit: str, baseline: tuple[str, float]) -> dict[str, object]:
    return {
        "name": name,
        "value": value,
        "unit": unit,
        "baseline": baseline[0],
        "baseline_value": baseline[1],
        "ratio": value / baseline[1],
        "goal": None,
        "met": None,
    }


if __name__ == "__main__":
    for row in run(*(int(argument) for argument in sys.argv[1:])):
        print(f"{row['name']}: {row['value']:,.0f} {row['unit']}; {row['baseline']}: {row['baseline_value']:,.0f}")
