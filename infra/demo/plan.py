"""The pool of a demo: sized by its workload, so that guarantees fit and bursts have to bid."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from infra.demo.traders import Trader, traders
from infra.workloads import Temper, Workload
from schemas.loops import SlaLoop
from schemas.published import Budget, Policy, PoolCommand, ProfileCommand

HEADROOM = 1.1
"""Capacity relative to mean demand: bursts exceed it, so that the auction decides."""
IDLE_SHARE = 0.12
"""What tenants that make no requests have together as bases, of the capacity: with it others can't be given what they need, unless
they buy it."""
BASE_PRICE, RESERVE_PRICE = 1_000, 1_500
"""Nanocredits per token: a thousandth and one and a half thousandths of a credit for 1,000 tokens."""
BUDGET_WINDOW_S = 3_600
SLA_LOOP = SlaLoop(quantile="0.9", window=3, breaches=2, step="0.4", bound="0.8", patience=2, hold=1, decay="0.5")
"""Quick and in large steps, so that a minute shows it all: after two periods above its SLA a tenant gets two fifths of its base,
and as much after two others; in each calm period half of that goes back, and at least half a step."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What the demo asks an operator's topic for."""

    pool: PoolCommand
    profiles: tuple[ProfileCommand, ...]
    tempers: dict[str, Temper]
    traders: tuple[Trader, ...]


def plan(workload: Workload, *, pool: str, run: str, period_s: int, policy: Policy) -> Plan:
    """Sizes pool and profiles by what the workload will use on average.

    Args:
        workload: walked once.
        pool: its name.
        run: makes the commands' ids unique.
        period_s: length of a period.
        policy: how the surplus is divided.
    """
    means = {tenant: mean * period_s for tenant, mean in workload.mean_tokens().items()}
    capacity = max(1000, _round(HEADROOM * sum(means.values())))
    idle_base = int(IDLE_SHARE * capacity / max(1, sum(not mean for mean in means.values())))
    profiles = tuple(
        ProfileCommand(
            id=f"{run}-{tenant}",
            pool=pool,
            tenant=tenant,
            base=_round(temper.base_share * means[tenant]) if means[tenant] else idle_base,
            elasticity=temper.elasticity,
            sla_ms=temper.sla_ms,
            weight=temper.weight,
            budget=_budget(temper, means[tenant]),
        )
        for tenant, temper in workload.tempers.items()
    )
    terms = PoolCommand(
        id=f"{run}-pool",
        pool=pool,
        capacity=max(capacity, sum(profile.base for profile in profiles)),
        period_s=period_s,
        policy=policy,
        base_price=BASE_PRICE,
        reserve_price=RESERVE_PRICE,
        offer_unsold=True,
        sla=SLA_LOOP,
    )
    return Plan(terms, profiles, workload.tempers, traders(workload.tempers, means, pool=pool, run=run, capacity=terms.capacity))


def free_name(taken: Iterable[str]) -> str:
    """`demo`, or `demo-2`, … where a system that was kept has one already: a pool's period can't be changed."""
    names = set(taken)
    number = 1
    while (name := "demo" if number == 1 else f"demo-{number}") in names:
        number += 1
    return name


def _budget(temper: Temper, mean: float) -> Budget | None:
    if temper.budget_periods is None:
        return None
    return Budget(amount=int(temper.budget_periods * mean * RESERVE_PRICE), window_s=BUDGET_WINDOW_S)


def _round(tokens: float) -> int:
    """Two significant digits, for the eye."""
    return int(float(f"{tokens:.2g}"))
