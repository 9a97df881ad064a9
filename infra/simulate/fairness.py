"""TP-10: elastic tenants of different weights, sizes and patience, and a pool that loses half of its replicas in mid-run.

While both replicas live everybody gets what it asks for. Then each tenant asks for half as much again as its share of what is left.
Its entitlement is its weight's part of the tokens. Slots and blocks shared by weight alone do not give that: a tenant with long
prompts gets more tokens out of a slot than one with long answers, one that declares much more than it uses has its reservations
count against it, large requests find room less often than small ones, and the impatient give up where the patient wait.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from infra.simulate.controls import Control
from infra.simulate.machine import Machine
from infra.simulate.pools import Profile, TokenPools
from infra.simulate.replica import Replica
from infra.simulate.saturated import Saturated, saturated
from infra.simulate.workloads import (
    MAX_TRACED_OUTPUT,
    Floats,
    Ints,
    Rate,
    Request,
    Sizes,
    Trace,
    arrivals,
    bursts,
    generator,
    merged,
    steady,
)
from infra.simulate.world import Progress, Run, Scenario, World, tell
from processors.debt import DebtSettings
from processors.entitlement import Capacity
from schemas.published import Tier


@dataclass(frozen=True, slots=True)
class Elastic:
    """An elastic tenant.

    Attributes:
        name: of the tenant.
        weight: its part of what there is.
        sizes: of its requests.
        patience_s: how long it tries: its SLO; what has not begun by then is of no use to it.
        burst: (seconds, of every so many seconds, times the mean) in which its requests come; None: evenly.
    """

    name: str
    weight: int
    sizes: Sizes
    patience_s: float
    burst: tuple[float, float, float] | None = None


TENANTS = (
    Elastic("assistant", 3, Sizes(150, 0.6, 200, 0.6, max_output=512, max_input=1024), 10.0),
    Elastic("search", 2, Sizes(900, 0.5, 80, 0.5, max_output=256, max_input=4096), 5.0),
    Elastic("reports", 2, Sizes(300, 0.5, 600, 0.5, max_output=2048, max_input=2048), 120.0),
    Elastic("agents", 1, Sizes(1000, 1.0, 250, 0.8, max_output=1024, max_input=8192), 60.0, (5.0, 20.0, 3.0)),
)

LOAD = 1.5
"""What each asks for, in multiples of its entitlement after the cut."""
REPLICAS, LOST = 2, 1
CUT_AT = 0.4
"""Of the run."""
DRAWN = 20_000
"""Sizes of a tenant's requests: so many are drawn once, and its requests take of them."""
SETTINGS = DebtSettings()
"""Those that a pool has by default: processors/debt.py says why."""
WITHIN = 0.05
"""A share is right if it is within this part of the entitled one."""


@dataclass(frozen=True, slots=True)
class Fairness:
    """The experiment's outcome.

    Attributes:
        capacity: of one replica, for the mix of which everybody has its share.
        entitled: shares by weight.
        cut_s: when half of the pool was lost.
        runs: `debt` and `no_debt`.
        debts_s: of each run and tick, each tenant's debt in seconds of its entitlement.
    """

    capacity: Saturated
    entitled: tuple[float, ...]
    cut_s: int
    runs: dict[str, Run]
    debts_s: dict[str, Floats]

    def shares(self, name: str) -> Floats:
        """Each tenant's share of the tokens from the cut to the end."""
        return np.asarray(self.shares_so_far(name)[-1])

    def shares_so_far(self, name: str) -> Floats:
        """For every second after the cut, each tenant's share of the tokens since the cut."""
        tokens = np.array([moment.tokens for moment in self.runs[name].moments[self.cut_s :]], np.float64)
        since = tokens[1:] - tokens[0]
        return np.asarray(since / np.maximum(since.sum(axis=1, keepdims=True), 1))

    def errors_so_far(self, name: str) -> Floats:
        """For every second after the cut, the largest relative distance of a share since the cut from the entitled one."""
        return np.asarray(np.abs(self.shares_so_far(name) / np.array(self.entitled) - 1).max(axis=1))

    def converged_s(self, name: str) -> int | None:
        """Seconds from the cut after which no share since then was more than 5 % off the entitled one; None: one is at the end."""
        outside = np.flatnonzero(self.errors_so_far(name) > WITHIN)
        last = int(outside[-1]) + 1 if outside.size else 0
        return None if last >= self.errors_so_far(name).size else last + 1


def simulate(
    seed: int,
    seconds: int,
    *,
    trace: Trace | None = None,
    machine: Machine | None = None,
    settings: DebtSettings = SETTINGS,
    progress: Progress = lambda _: None,
) -> Fairness:
    """The same requests with debts that weigh, and with debts that are kept but weigh nothing.

    Args:
        seed: the same seed gives the same runs.
        seconds: how long requests arrive; the pool is cut after two fifths.
        trace: sizes of all requests are the trace's: then tenants differ in weight, patience and bursts only.
        machine: of each replica.
        settings: of debts.
        progress: told the share that is done.
    """
    machine = machine or Machine()
    weights = np.array([tenant.weight for tenant in TENANTS], np.float64)
    entitled = weights / weights.sum()
    sizes = [_sizes(seed, index, trace) for index in range(len(TENANTS))]
    capacity = _capacity(seed, machine, entitled, sizes)
    requests = _requests(seed, seconds, capacity.tokens * LOAD * entitled, sizes, trace)
    cut_s = int(CUT_AT * seconds)
    scenario = Scenario(
        requests,
        tuple(tenant.name for tenant in TENANTS),
        tuple(tenant.patience_s for tenant in TENANTS),
        seconds,
        machine,
        REPLICAS,
        cut=(cut_s, LOST),
        seed=seed,
    )
    per_replica = Capacity(round(capacity.tokens), machine.kv_blocks, machine.sequences)
    runs, debts = {}, {}
    for done, (name, debt) in enumerate((("debt", settings), ("no_debt", settings._replace(gain=0)))):
        control: list[TokenPools] = []
        runs[name] = World(scenario, _maker(control, per_replica, debt), partial(tell, progress, done, 2)).run()
        debts[name] = np.array([figures.debt_s for figures in control[0].history])
    return Fairness(capacity, tuple(entitled.tolist()), cut_s, runs, debts)


def _maker(made: list[TokenPools], per_replica: Capacity, debt: DebtSettings) -> Callable[[list[Replica]], Control]:
    profiles = [Profile(Tier.ELASTIC, weight=tenant.weight * 1_000_000) for tenant in TENANTS]

    def make(replicas: list[Replica]) -> Control:
        made.append(TokenPools(replicas, profiles, per_replica, settings=debt))
        return made[0]

    return make


def _sizes(seed: int, tenant: int, trace: Trace | None) -> tuple[Ints, Ints]:
    """Sizes from which the tenant's requests are drawn: the same before and after the cut."""
    rng = generator(seed, "sizes", tenant)
    if trace is None:
        return TENANTS[tenant].sizes.draw(DRAWN, rng)
    rows = rng.integers(0, trace.at_s.size, DRAWN)
    return trace.input[rows], trace.output[rows]


def _capacity(seed: int, machine: Machine, entitled: Floats, sizes: list[tuple[Ints, Ints]]) -> Saturated:
    """Of one replica when everybody has its share of the tokens: requests are mixed by share over mean size."""
    means = np.array([float(asked.mean() + answered.mean()) for asked, answered in sizes])
    parts = entitled / means
    chosen = generator(seed, "capacity").choice(len(sizes), 2000, p=parts / parts.sum())
    mix = [(int(sizes[tenant][0][row]), int(sizes[tenant][1][row])) for row, tenant in enumerate(chosen.tolist())]
    return saturated(machine, mix)


def _requests(seed: int, seconds: int, tokens_s: Floats, sizes: list[tuple[Ints, Ints]], trace: Trace | None) -> list[Request]:
    streams = []
    for index, (tenant, (asked, answered)) in enumerate(zip(TENANTS, sizes, strict=True)):
        rate = float(tokens_s[index]) / float(asked.mean() + answered.mean())
        at_us = arrivals(_rate(tenant, rate), seconds, generator(seed, "arrivals", tenant.name))
        rows = generator(seed, "rows", tenant.name).integers(0, asked.size, at_us.size)
        declared = tenant.sizes.max_output if trace is None else MAX_TRACED_OUTPUT
        streams.append((at_us, (asked[rows], answered[rows]), declared))
    return merged(streams)


def _rate(tenant: Elastic, rate: float) -> Rate:
    if tenant.burst is None:
        return steady(rate)
    length_s, every_s, factor = tenant.burst
    return bursts(rate, every_s, length_s, factor)
