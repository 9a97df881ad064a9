"""Recording facts of token pools in the state: no judgement here (processors/recording.py)."""

import numpy as np
import numpy.typing as npt

from processors.entitlement import TIERS, UNLIMITED
from processors.sharing.state import (
    LIMITS,
    NOT_GIVEN,
    QUOTAS,
    SHORTFALLS,
    Promised,
    Sharing,
    SharingTerms,
    all_promised,
    declared_promise,
)
from processors.sharing.ticking import RECENT, recent_demand
from processors.state import PoolState
from processors.tenants import Column, saturating_add
from schemas.published import Tier
from schemas.sharing_facts import AdmissionsCounted, CapacityShared, Debts, EntitlementSet, Limits, Shortfalls, TokenPoolSet

Slots = npt.NDArray[np.intp]

_COUNTED = ("tick_served", "tick_refused", "tick_wanted_kv", "tick_wanted_concurrency")


def record_token_pool(pool: PoolState, fact: TokenPoolSet) -> None:
    """The pool's replicas, or that it is no token pool any more."""
    sharing = _begin(pool)
    if fact.replicas is None:
        sharing.terms, sharing.metered_tick = None, -1
        for name in _COUNTED:
            pool.tenants[name][:] = 0
        return
    sharing.terms = SharingTerms(
        replicas=fact.replicas,
        replica_tokens_per_s=fact.replica_tokens_per_s or 0,
        replica_kv_blocks=fact.replica_kv_blocks or 0,
        replica_concurrency=fact.replica_concurrency or 0,
        kv_block_tokens=fact.kv_block_tokens,
        debt_half_life_s=fact.debt_half_life_s,
        debt_gain=fact.debt_gain,
        debt_bound_s=fact.debt_bound_s,
        debt_weights=fact.debt_weights,
        burst_fill=tuple(fact.burst_fill),
        burst_scale=tuple(fact.burst_scale),
    )


def record_entitlement(pool: PoolState, fact: EntitlementSet) -> None:
    """A tenant's quotas, as declared."""
    _begin(pool)
    slot = pool.tenants.slot(fact.tenant)
    before = declared_promise(pool.tenants, slot)
    for name in QUOTAS:
        said, absent = getattr(fact, name), NOT_GIVEN if name.endswith("_nominal") else UNLIMITED
        pool.tenants[f"declared_{name}"][slot] = absent if said is None else said
    record_promise(pool, slot, before)


def promise_before(pool: PoolState, slot: int) -> Promised:
    """What a tenant is promised, before a fact changes it."""
    return Promised() if pool.sharing is None else declared_promise(pool.tenants, slot)


def record_promise(pool: PoolState, slot: int, before: Promised) -> None:
    """A tenant's declaration has changed: so have the sums."""
    if pool.sharing is not None:
        pool.sharing.promised = pool.sharing.promised.plus(declared_promise(pool.tenants, slot)).plus(before, -1)


def record_opening(pool: PoolState) -> None:
    """Quotas come into force with the period."""
    if pool.sharing is not None:
        for name in QUOTAS:
            pool.tenants[name][:] = pool.tenants[f"declared_{name}"]
        pool.tenants["profile_weight"][:] = pool.tenants["declared_weight"]


def record_served(pool: PoolState, slots: Slots, used: Column) -> None:
    """Usage counts in the tick, too."""
    if pool.sharing is not None and pool.sharing.terms is not None:
        saturating_add(pool.tenants["tick_served"], slots, used)


def record_admissions(pool: PoolState, fact: AdmissionsCounted) -> None:
    """What was refused adds up; of spaces, the most at once counts."""
    tenants, slots = pool.tenants, pool.tenants.slots_of(fact.tenant)
    saturating_add(tenants["tick_refused"], slots, np.array(fact.refused_tokens, np.int64))
    for name, wanted in (("tick_wanted_kv", fact.wanted_kv), ("tick_wanted_concurrency", fact.wanted_concurrency)):
        tenants[name][slots] = np.maximum(tenants[name][slots], np.array(wanted, np.int64))


def record_sharing(pool: PoolState, fact: CapacityShared) -> None:
    """What was counted is demand now, and counting starts anew."""
    if pool.sharing is None:
        raise AssertionError(f"pool {fact.pool!r} is no token pool")
    pool.sharing.metered_tick = max(pool.sharing.metered_tick, fact.metered_tick)
    if fact.elapsed_ms:
        for name, demand in zip(RECENT, recent_demand(pool.tenants, fact.elapsed_ms), strict=True):
            pool.tenants[name][:] = demand
        for name in _COUNTED:
            pool.tenants[name][:] = 0


def record_debts(pool: PoolState, fact: Debts) -> None:
    """Debts as told."""
    pool.tenants["debt"][pool.tenants.slots_of(fact.tenant)] = fact.debt


def record_limits(pool: PoolState, fact: Limits) -> None:
    """Limits as told."""
    tenants, slots = pool.tenants, pool.tenants.slots_of(fact.tenant)
    tenants["told_tier"][slots] = [TIERS.index(Tier(tier)) for tier in fact.tier]
    for name in LIMITS:
        tenants[f"told_{name}"][slots] = [UNLIMITED if value is None else value for value in getattr(fact, name)]


def record_shortfalls(pool: PoolState, fact: Shortfalls) -> None:
    """Alarms as told."""
    tenants, slots = pool.tenants, pool.tenants.slots_of(fact.tenant)
    dimensions = np.array(fact.dimension)
    values = np.array(fact.shortfall, np.int64)
    for column in SHORTFALLS:
        rows = dimensions == column.removesuffix("_shortfall")
        tenants[column][slots[rows]] = values[rows]


def _begin(pool: PoolState) -> Sharing:
    """The pool's state as a token pool. What is declared and in force before it is one counts in it."""
    if pool.sharing is not None:
        return pool.sharing
    sharing = pool.begin_sharing()
    sharing.promised = all_promised(pool.tenants)
    pool.tenants["profile_weight"][:] = pool.tenants["weight"]
    return sharing
