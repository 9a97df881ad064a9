"""Rebalancing by the engine's own functions: two weeks of hours, tenants whose declared bases have little to do with what they use.

The pool's periods are hours. From the second day on a proposal is published each hour, as the planner does: the high quantile of
what each tenant used in the hours looked back at (processors/rebalance.py, `needs`). The SLA loop is off.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from infra.simulate.journal import POOL, JournalledPool
from processors.rebalance import UNKNOWN, RebalanceSettings, needs
from schemas.loop_facts import Rebalanced
from schemas.loops import SlaLoop
from schemas.planning import RebalanceCommand
from schemas.published import Forecaster, PoolCommand, ProfileCommand

PERIOD_S = 3600
HOURS = 336


class Using(NamedTuple):
    """A tenant: its base and what of it was contracted, and what it uses: by night, by day, and from which hour on."""

    name: str
    base: int
    floor: int
    night: int
    day: int
    since: int = 0


TENANTS = (
    Using("grown", 4_000, 0, 5_000, 8_000),
    Using("shrunk", 8_000, 0, 1_500, 3_000),
    Using("under contract", 8_000, 7_000, 500, 1_000),
    Using("moved in", 2_000, 0, 2_000, 4_500, 168),
    Using("as declared", 6_000, 0, 2_500, 5_900),
)


@dataclass
class Rebalances:
    """What became of it: a row for each hour, a column for each of TENANTS; tokens."""

    seed: int
    hours: int
    used: list[list[int]] = field(default_factory=list)
    bases: list[list[int]] = field(default_factory=list)
    needed: list[list[int]] = field(default_factory=list)
    moved: list[int] = field(default_factory=list)


def simulate(seed: int, hours: int = HOURS, *, progress: Callable[[float], None] | None = None) -> Rebalances:
    """Run it. A second or two."""
    random, settings = np.random.default_rng(seed), RebalanceSettings()
    capacity = sum(tenant.base for tenant in TENANTS)
    terms = PoolCommand(
        id="pool", pool=POOL, capacity=capacity, period_s=PERIOD_S, forecaster=Forecaster.LAST_VALUE, sla=SlaLoop(enabled=False)
    )
    profiles = (
        ProfileCommand(id=each.name, pool=POOL, tenant=each.name, base=each.base, elasticity=0, base_floor=each.floor)
        for each in TENANTS
    )
    pool, outcome = JournalledPool(terms, profiles), Rebalances(seed, hours)
    for hour in range(hours):
        used = [_used(each, hour, random) for each in TENANTS]
        outcome.used.append(used)
        outcome.bases.append([pool.bases[each.name] for each in TENANTS])
        found = needs(np.array(outcome.used[-settings.look_back_h :], np.int64), settings)
        outcome.needed.append(found.tolist())
        outcome.moved.append(_propose(pool, hour, found.tolist()))
        pool.end_period({each.name: amount for each, amount in zip(TENANTS, used, strict=True)}, {})
        if progress:
            progress((hour + 1) / hours)
    return outcome


def _used(tenant: Using, hour: int, random: np.random.Generator) -> int:
    day = hour >= tenant.since and 8 <= hour % 24 < 20
    return int((tenant.day if day else tenant.night) * np.exp(0.05 * random.standard_normal()))


def _propose(pool: JournalledPool, hour: int, found: list[int]) -> int:
    known = [(each.name, need) for each, need in zip(TENANTS, found, strict=True) if need != UNKNOWN]
    if not known:
        return 0
    command = RebalanceCommand(
        id=f"rebalance-{hour}",
        pool=POOL,
        as_of=pool.state.now_ms,
        look_back_s=RebalanceSettings().look_back_h * 3600,
        tenant=[name for name, _ in known],
        need=[need for _, need in known],
    )
    return sum(fact.moved for fact in pool.take(command) if isinstance(fact, Rebalanced))
