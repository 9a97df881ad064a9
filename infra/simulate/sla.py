"""The SLA loop closed over queues, by the engine's own functions: a step, a ramp, and a latency that tokens don't change.

A guaranteed tenant of 10,000 tokens a period has an SLA of 8 s; an elastic tenant and a spot one can pay. The pool has no more than
their bases, so that no auction helps. Each case runs again with the loop switched off.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from infra.simulate.journal import POOL, JournalledPool
from infra.simulate.queues import QueueTenant
from processors.entitlement import TIERS
from schemas.loop_facts import BaseChanges
from schemas.loops import BaseChange, SlaLoop
from schemas.published import Forecaster, PoolCommand, ProfileCommand

SLA_MS = 8_000
PERIODS = 420
REQUESTS = 100
"""Mean of a tenant in a period."""

Load = Callable[[int], float]


def _step(period: int) -> float:
    return 0.5 if period < 20 else 1.2


def _ramp(period: int) -> float:
    return 0.5 + 0.7 * float(np.clip(min(period - 20, 220 - period) / 80, 0, 1))


def _steady(_: int) -> float:
    return 2.0


@dataclass(frozen=True, slots=True)
class Case:
    """What the tenant with the SLA offers, and what its backend does to it."""

    title: str
    load: Load
    vip: Mapping[str, Any] = field(default_factory=dict)


CASES: dict[str, Case] = {
    "step": Case("a step of load", _step),
    "ramp": Case("a ramp of load, up and down", _ramp),
    "unbound": Case("latency that tokens don't change", _steady, {"backend_ms": 9_000, "noise": 0.1, "queues": False}),
}


@dataclass
class Course:
    """What became of one case: a row for each period.

    Attributes:
        latency_ms: of the tenant with the SLA, its quantile; −1: no request.
        offered: tokens, of the same.
        bases: of each tenant, with boosts and loans.
        said: (period, reason) of what the loop told of it, moves once each.
    """

    latency_ms: list[int] = field(default_factory=list)
    offered: list[float] = field(default_factory=list)
    bases: list[dict[str, int]] = field(default_factory=list)
    said: list[tuple[int, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class SlaLoops:
    """All cases, with the loop and without."""

    seed: int
    periods: int
    looped: dict[str, Course]
    alone: dict[str, Course]


def simulate(seed: int, periods: int = PERIODS, *, progress: Callable[[float], None] | None = None) -> SlaLoops:
    """Run every case twice. A few seconds."""
    courses: dict[bool, dict[str, Course]] = {True: {}, False: {}}
    runs = [(enabled, name) for enabled in courses for name in CASES]
    for done, (enabled, name) in enumerate(runs):
        courses[enabled][name] = _run(CASES[name], seed, periods, enabled=enabled)
        if progress:
            progress((done + 1) / len(runs))
    return SlaLoops(seed, periods, courses[True], courses[False])


def _run(case: Case, seed: int, periods: int, *, enabled: bool) -> Course:
    random = np.random.default_rng(seed)
    tenants = {
        "vip": QueueTenant(10_000, 10_000, sla_ms=SLA_MS, tier=1, **case.vip),
        "elastic": QueueTenant(20_000, 15_000),
        "spot": QueueTenant(8_000, 6_000, tier=3, load=0.2),
    }
    pool, course = JournalledPool(_terms(tenants, enabled=enabled), map(_profile, tenants, tenants.values())), Course()
    for period in range(periods):
        vip = tenants["vip"]
        vip.load = case.load(period)
        course.offered.append(vip.load * vip.base)
        course.bases.append(pool.bases)
        served = {name: tenant.serve(pool.bases[name], REQUESTS, random) for name, tenant in tenants.items()}
        latencies = {name: latency for name, (latency, _) in served.items()}
        course.latency_ms.append(int(np.quantile(latencies["vip"], 0.99)) if latencies["vip"].size else -1)
        pool.end_period({name: used for name, (_, used) in served.items()}, latencies)
        course.said += [(period, reason) for reason in _said(pool)]
    return course


def _terms(tenants: Mapping[str, QueueTenant], *, enabled: bool) -> PoolCommand:
    capacity = sum(tenant.base for tenant in tenants.values())
    loop = SlaLoop(enabled=enabled)
    return PoolCommand(id="pool", pool=POOL, capacity=capacity, period_s=60, forecaster=Forecaster.LAST_VALUE, sla=loop)


def _profile(name: str, tenant: QueueTenant) -> ProfileCommand:
    return ProfileCommand(
        id=name,
        pool=POOL,
        tenant=name,
        base=tenant.base,
        elasticity=0,
        sla_ms=None if tenant.sla_ms < 0 else tenant.sla_ms,
        tier=TIERS[tenant.tier],
        base_floor=tenant.floor,
    )


def _said(pool: JournalledPool) -> list[str]:
    """Reasons of changes of the boost at a period's end, each once, in their order."""
    rows = [row for fact in pool.told(BaseChanges) for row in zip(fact.kind, fact.reason, strict=True)]
    return list(dict.fromkeys(str(reason) for kind, reason in rows if kind != BaseChange.LOAN))
