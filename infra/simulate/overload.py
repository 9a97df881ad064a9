"""TP-9: a guaranteed tenant at a steady rate, spot traffic that rises to several times what the replica can do.

The same requests meet four controls. `unloaded` is the guaranteed tenant alone: its P99 is what a promise is measured by.
Spot traffic begins after a tenth of the run and is at its full rate after half of it. Its requests are short ones for half a
minute and long ones for the next, as jobs of different kinds take turns: what a limit of requests per second doesn't see.

A promise can only be held if a full batch holds it, so the goal (P99 at most 1.2 times the unloaded one, at least 0.95 of the
uncontrolled tokens/s) depends on sizes and on how many sequences the replica runs at once. 600 s, seed 1:

    sizes    sequences   P99, × unloaded   tokens/s, of none
    chat            32              1.11                1.00     seeds 2 and 3: 1.10 and 1.09
    chat           256              1.68                0.99     vLLM's default: a full batch's step takes 2.4 times as long
    Azure           32              1.84                0.95     prompts of 1,155 tokens on average hold up everybody's next token
    Azure           16              1.53                0.91
    Azure            8              3.13                0.89     a right of five sequences is sometimes not enough
    Azure          256              2.34                0.98     without control 2,493 preemptions: 3.5 million tokens twice

Admission bounds the wait. What a step takes it can't: for prompts like Azure's a promise of latency needs fewer tokens of a prompt
per step, or prefill on other machines.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from infra.simulate.controls import Control, Dedicated, RateLimit, Uncontrolled
from infra.simulate.machine import Machine
from infra.simulate.pools import Profile, TokenPools
from infra.simulate.replica import Replica
from infra.simulate.saturated import Saturated, saturated
from infra.simulate.workloads import MAX_TRACED_OUTPUT, Request, Sizes, Stream, Trace, arrivals, generator, merged, rising, steady
from infra.simulate.world import Progress, Run, Scenario, World, tell
from processors.entitlement import Capacity
from schemas.published import Tier

GUARANTEED, SPOT = 0, 1
TENANTS = ("guaranteed", "spot")

CHAT = Sizes(150, 0.6, 200, 0.6, max_output=512, max_input=1024)
"""Short questions, answers of a paragraph or two: mean 178 in, 232 out."""
LONG = Sizes(150, 0.6, 500, 0.4, max_output=1024, max_input=1024)
"""The same questions with answers of a page."""

GUARANTEED_LOAD = 0.3
"""Of what the replica can do."""
RIGHT = 2.0
"""What the guaranteed tenant is promised, in multiples of what it needs on average: its requests come by chance, not in a row."""
SPOT_LOAD = 4.0
"""At its highest, in multiples of what the replica can do."""
SPOT_PATIENCE_S = 60.0
TURN_S = 30
"""For how long spot requests are of one kind."""
MEASURED = 1000
"""Requests of a kind with which the replica is measured."""
MACHINE = Machine()

Plan = tuple[str, list[Request], int, Callable[[list[Replica]], Control]]
"""A run's name, requests, number of replicas, and control."""
CONTROLS = ("token_pools", "none", "rate_limit", "dedicated")


@dataclass(frozen=True, slots=True)
class Loads:
    """What the replica does, saturated with each tenant's requests alone."""

    guaranteed: Saturated
    spot: Saturated


@dataclass(frozen=True, slots=True)
class Overload:
    """The experiment's outcome: a run for each control, and the guaranteed tenant alone."""

    loads: Loads
    unloaded: Run
    runs: dict[str, Run]


def simulate(
    seed: int, seconds: int, *, trace: Trace | None = None, machine: Machine = MACHINE, progress: Progress = lambda _: None
) -> Overload:
    """Run the guaranteed tenant alone, then everybody under each control.

    Args:
        seed: the same seed gives the same runs.
        seconds: how long requests arrive.
        trace: sizes of all requests, and when those of the guaranteed tenant arrive, are the trace's.
        machine: the replica.
        progress: told the share that is done.
    """
    loads = _loads(seed, machine, trace)
    requests = merged([_guaranteed(seed, seconds, loads, trace), _spot(seed, seconds, loads, trace)])
    alone = [replace(request, number=at) for at, request in enumerate(one for one in requests if one.tenant == GUARANTEED)]
    everybody = [(name, requests, 2 if name == "dedicated" else 1, make) for name, make in _controls(loads, machine)]
    plans: list[Plan] = [("unloaded", alone, 1, Uncontrolled), *everybody]
    runs = {}
    for done, (name, some, replicas, make) in enumerate(plans):
        scenario = Scenario(
            some, TENANTS, (None, SPOT_PATIENCE_S), seconds, machine, replicas, watched=frozenset({GUARANTEED}), seed=seed
        )
        runs[name] = World(scenario, make, partial(tell, progress, done, len(plans))).run()
    return Overload(loads, runs.pop("unloaded"), runs)


def _loads(seed: int, machine: Machine, trace: Trace | None) -> Loads:
    rng = generator(seed, "capacity")
    if trace is not None:
        rows = rng.integers(0, trace.at_s.size, MEASURED)
        same = saturated(machine, list(zip(trace.input[rows].tolist(), trace.output[rows].tolist(), strict=True)))
        return Loads(same, same)
    short, long = (list(zip(*(column.tolist() for column in sizes.draw(MEASURED, rng)), strict=True)) for sizes in (CHAT, LONG))
    return Loads(saturated(machine, short), saturated(machine, [pair for pairs in zip(short, long, strict=True) for pair in pairs]))


def _guaranteed(seed: int, seconds: int, loads: Loads, trace: Trace | None) -> Stream:
    rate = GUARANTEED_LOAD * loads.guaranteed.requests
    if trace is not None:
        at_us, rows = trace.arrivals(rate, seconds)
        return at_us, (trace.input[rows], trace.output[rows]), MAX_TRACED_OUTPUT
    at_us = arrivals(steady(rate), seconds, generator(seed, "guaranteed"))
    return at_us, CHAT.draw(at_us.size, generator(seed, "guaranteed sizes")), CHAT.max_output


def _spot(seed: int, seconds: int, loads: Loads, trace: Trace | None) -> Stream:
    rise = rising(SPOT_LOAD * loads.spot.requests, 0.1 * seconds, 0.5 * seconds)
    at_us = arrivals(rise, seconds, generator(seed, "spot"))
    rng = generator(seed, "spot sizes")
    if trace is not None:
        rows = rng.integers(0, trace.at_s.size, at_us.size)
        return at_us, (trace.input[rows], trace.output[rows]), MAX_TRACED_OUTPUT
    chat, long = CHAT.draw(at_us.size, rng), LONG.draw(at_us.size, rng)
    is_long = at_us // (TURN_S * 1_000_000) % 2 == 1
    return at_us, (np.where(is_long, long[0], chat[0]), np.where(is_long, long[1], chat[1])), LONG.max_output


def _controls(loads: Loads, machine: Machine) -> list[tuple[str, Callable[[list[Replica]], Control]]]:
    """What an operator sets who knows both tenants' requests: for the guaranteed tenant twice what it needs on average.

    Token pools promise it that of every dimension. The rate limit allows it twice its mean rate, and spot as many requests as the
    rest of the capacity serves.
    """
    per_replica = Capacity(round(loads.guaranteed.tokens), machine.kv_blocks, machine.sequences)
    throughput, blocks, sequences = (round(RIGHT * GUARANTEED_LOAD * of_all) for of_all in per_replica)
    profiles = [Profile(Tier.GUARANTEED, nominal=(throughput, blocks, sequences)), Profile(Tier.SPOT)]
    rates = [RIGHT * GUARANTEED_LOAD * loads.guaranteed.requests, (1 - GUARANTEED_LOAD) * loads.spot.requests]
    return [
        ("token_pools", lambda replicas: TokenPools(replicas, profiles, per_replica)),
        ("none", Uncontrolled),
        ("rate_limit", lambda replicas: RateLimit(replicas, rates)),
        ("dedicated", Dedicated),
    ]
