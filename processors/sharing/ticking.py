"""Each tick, for every token pool: demand and debts of what was reported since the last one, and everybody's limits.

1. What meters have reported since is demand; it raises and lowers debts (processors/limits.py, processors/debt.py).
2. Capacity is kept for tenants by tier, weight, debt and demand, dimension by dimension.
3. What changed is told: debts, limits, and promises that the capacity does not carry.
A time that meters have not reported yet is not counted, so that usage and the time in which it fell belong together; a dead meter
is waited for as long as a period waits (the grace). Reports of gateways are not waited for: one that comes late counts later.

100,000 tenants, of which nearly all change: 0.36 s; 0.08 s of it decide, the rest makes and records the facts, a chunk at a time.
Encoding them takes 0.22 s more (tests/benchmarks/bench_limits.py). 30 columns of the tick stand beside the state: 24 MB.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from processors import debt
from processors.allocation.exact import INT64_MAX, Ints, exact_sum
from processors.entitlement import GUARANTEED, TIERS, UNLIMITED
from processors.limits import Kept, due_of, limits_of, may_owe, rates_of, remembered
from processors.sharing.rights import Standing, standing
from processors.sharing.state import DIMENSIONS, LIMITS, SHORTFALLS, SharingTerms
from processors.stamping import Stamp
from processors.state import PartitionState, PoolState
from processors.tenants import Tenants
from schemas.fact import CHUNK_ROWS, Fact
from schemas.sharing_facts import CapacityShared, Debts, Limits, Shortfalls
from schemas.units import MAX_TOKENS

USAGE = "usage"
"""The topic whose meters say up to when usage is known."""

RECENT = tuple(f"recent_{dimension}" for dimension in DIMENSIONS)


def decide_sharing(state: PartitionState, stamp: Stamp) -> Iterator[Fact]:
    """Share every token pool that has an open period; pools in byte order."""
    for name in sorted(state.pools):
        pool = state.pools[name]
        if pool.open is not None and pool.sharing is not None and pool.sharing.terms is not None:
            yield from _share(state, pool, pool.sharing.terms, stamp)


class Counted(NamedTuple):
    """What debts did in a tick, a value a tenant."""

    debt: Ints
    rate: Ints
    due: Ints
    served: Ints
    wanted: Ints


@dataclass(frozen=True, slots=True)
class Tick:
    """One pool in one tick: what was found of it before anything of it was recorded.

    Attributes:
        pool: as it was.
        terms: of its sharing.
        moment: fields that all facts of the tick bear.
        metered_tick: up to which usage is counted.
        elapsed_ms: how long what is counted took; 0: nothing came since.
        there: who takes part.
        debts: before the tick.
        counted: after it.
        kept: of each dimension.
    """

    pool: PoolState
    terms: SharingTerms
    moment: dict[str, int]
    metered_tick: int
    elapsed_ms: int
    there: Standing
    debts: Ints
    counted: Counted
    kept: tuple[Kept, ...]


def _share(state: PartitionState, pool: PoolState, terms: SharingTerms, stamp: Stamp) -> Iterator[Fact]:
    """Everything is computed before the first fact, as recording it changes what it was computed from."""
    there = standing(pool, terms)
    metered = _metered(state)
    elapsed_ms = _elapsed_ms(state, pool, metered)
    counted = _counted(pool, terms, there, elapsed_ms)
    tick = Tick(
        pool=pool,
        terms=terms,
        moment={"at": state.now_ms, "tick": state.tick, "period": pool.present},
        metered_tick=metered,
        elapsed_ms=elapsed_ms,
        there=there,
        debts=pool.tenants["debt"][there.slots],
        counted=counted,
        kept=_kept(pool, terms, there, counted, elapsed_ms),
    )
    yield _whole(tick, stamp)
    yield from _tell_debts(tick, stamp)
    yield from _tell_shortfalls(tick, stamp)
    yield from _tell_limits(tick, stamp)


def _metered(state: PartitionState) -> int:
    """The tick up to which all usage is known, or the grace is over."""
    marks = (state.marks.get((USAGE, partition), -1) for partition in range(state.meter_partitions))
    return max(min(marks, default=-1), state.tick - state.grace_ticks, 0)


def _elapsed_ms(state: PartitionState, pool: PoolState, metered: int) -> int:
    before = -1 if pool.sharing is None else pool.sharing.metered_tick
    return 0 if before < 0 else max(metered - before, 0) * state.tick_ms


def _counted(pool: PoolState, terms: SharingTerms, there: Standing, elapsed_ms: int) -> Counted:
    """Debts after what was reported; as they were where nothing was."""
    tenants, slots, capacity = pool.tenants, there.slots, terms.capacity.throughput
    debts = tenants["debt"][slots]
    rate = rates_of(capacity, there.tier, there.promised, there.weight)
    if not elapsed_ms:
        nothing = np.zeros(slots.size, np.int64)
        return Counted(debts, rate, nothing, nothing, nothing)
    served = tenants["tick_served"][slots]
    wanted = served + np.minimum(tenants["tick_refused"][slots], INT64_MAX - served)
    due = due_of(there.tier, there.promised, there.weight, wanted=wanted, served=served, elapsed_ms=elapsed_ms)
    owing = may_owe(there.tier)
    stepped = debt.step(debts, due, served, rate=rate, owing=owing, settings=terms.debt, elapsed_ms=elapsed_ms)
    return Counted(stepped, rate, due, served, wanted)


def _kept(pool: PoolState, terms: SharingTerms, there: Standing, counted: Counted, elapsed_ms: int) -> tuple[Kept, ...]:
    """Of each dimension. What is short of a throughput promise is told against what the period owes, too."""
    weight = debt.weights(there.weight, counted.debt, counted.rate, terms.debt)
    demands = recent_demand(pool.tenants, elapsed_ms)
    rights = (there.throughput, there.kv, there.concurrency)
    found = [
        limits_of(capacity, there.tier, right, weight, demand[there.slots])
        for capacity, right, demand in zip(terms.capacity, rights, demands, strict=True)
    ]
    missing = np.where(there.tier <= GUARANTEED, there.promised.nominal - found[0].nominal, 0)
    return found[0]._replace(shortfall=missing), *found[1:]


def recent_demand(tenants: Tenants, elapsed_ms: int) -> tuple[Ints, Ints, Ints]:
    """Demand of the last ticks, this one's included, by dimension and slot: tokens per second, blocks, requests.

    Tokens above 2^53 count as that many: times a thousand they still fit int64.
    """
    if not elapsed_ms:
        throughput, kv, concurrency = (tenants[name] for name in RECENT)
        return throughput, kv, concurrency
    served, refused = (np.minimum(tenants[name], MAX_TOKENS) for name in ("tick_served", "tick_refused"))
    tokens = np.minimum(served + refused, MAX_TOKENS)
    rate = -(-tokens * 1000 // elapsed_ms)
    return (
        remembered(tenants["recent_throughput"], rate),
        remembered(tenants["recent_kv"], tenants["tick_wanted_kv"]),
        remembered(tenants["recent_concurrency"], tenants["tick_wanted_concurrency"]),
    )


def _whole(tick: Tick, stamp: Stamp) -> Fact:
    reserved = tick.there.tier <= GUARANTEED
    sums: dict[str, int] = {}
    for name, capacity, each in zip(DIMENSIONS, tick.terms.capacity, tick.kept, strict=True):
        promised = exact_sum(each.nominal[reserved])
        sums[name] = capacity
        sums[f"{name}_promised"] = promised
        sums[f"{name}_lent"] = promised - exact_sum(each.kept[reserved])
        sums[f"{name}_kept"] = exact_sum(each.kept)
    return stamp.fact(
        CapacityShared,
        tick.pool.name,
        **tick.moment,
        metered_tick=tick.metered_tick,
        elapsed_ms=tick.elapsed_ms,
        served=min(exact_sum(tick.counted.served), INT64_MAX),
        wanted=min(exact_sum(tick.counted.wanted), INT64_MAX),
        **sums,
    )


def _tell_debts(tick: Tick, stamp: Stamp) -> Iterator[Fact]:
    counted = tick.counted
    factor = debt.factors(counted.debt, counted.rate, tick.terms.debt)
    for rows in _chunks(np.flatnonzero(counted.debt != tick.debts)):
        yield stamp.fact(
            Debts,
            tick.pool.name,
            **tick.moment,
            tenant=_names(tick, rows),
            **{name: column[rows].tolist() for name, column in counted._asdict().items()},
            factor=factor[rows].tolist(),
        )


def _tell_shortfalls(tick: Tick, stamp: Stamp) -> Iterator[Fact]:
    for name, column, each in zip(DIMENSIONS, SHORTFALLS, tick.kept, strict=True):
        changed = np.flatnonzero(each.shortfall != tick.pool.tenants[column][tick.there.slots])
        for rows in _chunks(changed):
            yield stamp.fact(
                Shortfalls,
                tick.pool.name,
                **tick.moment,
                tenant=_names(tick, rows),
                tier=_tiers(tick, rows),
                dimension=[name] * rows.size,
                promised=(each.nominal + each.shortfall)[rows].tolist(),
                shortfall=each.shortfall[rows].tolist(),
            )


def _tell_limits(tick: Tick, stamp: Stamp) -> Iterator[Fact]:
    tenants, there = tick.pool.tenants, tick.there
    rights = (there.throughput, there.kv, there.concurrency)
    now = [column for right, each in zip(rights, tick.kept, strict=True) for column in (each.nominal, right.borrowing, each.kept)]
    differs = there.tier != tenants["told_tier"][there.slots]
    for name, column in zip(LIMITS, now, strict=True):
        differs |= column != tenants[f"told_{name}"][there.slots]
    for rows in _chunks(np.flatnonzero(differs)):
        yield stamp.fact(
            Limits,
            tick.pool.name,
            **tick.moment,
            tenant=_names(tick, rows),
            tier=_tiers(tick, rows),
            **{name: limits_told(name, column[rows]) for name, column in zip(LIMITS, now, strict=True)},
        )


def limits_told(name: str, column: Ints) -> list[int | None]:
    """Values of one of LIMITS as they are told: no borrowing limit is None."""
    values: list[int | None] = column.tolist()
    return [None if value == UNLIMITED else value for value in values] if name.endswith("_borrowing") else values


def _names(tick: Tick, rows: Ints) -> list[str]:
    names = tick.pool.tenants.names
    return [names[slot] for slot in tick.there.slots[rows].tolist()]


def _tiers(tick: Tick, rows: Ints) -> list[str]:
    return [TIERS[tier] for tier in tick.there.tier[rows].tolist()]


def _chunks(rows: Ints) -> Iterator[Ints]:
    for start in range(0, rows.size, CHUNK_ROWS):
        yield rows[start : start + CHUNK_ROWS]
