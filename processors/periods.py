"""Periods: the end of one is a barrier that all meters must reach; then outcomes are recorded and the next is allocated.

Closing a period of 100,000 tenants takes about a second with its facts encoded: 50 chunks of 20 columns twice (outcome of the old
period, allocation of the new), each built from columns by fancy indexing, plus one allocation; with forecasts, SLAs and rebalanced
bases 1.8 s. Recording and encoding take the arrays that deciding has (processors/told.py): as lists they took a fifth more.
What the state's hash takes at the end, a fifth, grows with all that the state holds (tests/benchmarks/bench_engine.py).
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from processors import budgets, debt, demand
from processors.accounts import OPERATOR, billed_account
from processors.allocation import AuctionInput, Outcome, allocate
from processors.allocation.exact import exact_sum
from processors.demand import QUANTILES, Expected
from processors.entitlement import TIERS, precedence
from processors.loops.bases import effective
from processors.loops.closing import decide_sla
from processors.market.delivery import Means, close_market, deliver_forward, offer_unsold, return_undelivered
from processors.market.ticking import withdraw_uncovered
from processors.market.tokens import offering
from processors.sharing.rights import declared_rates
from processors.snapshot import state_hash
from processors.stamping import Stamp
from processors.state import OpenPeriod, PartitionState, PoolState
from processors.tenants import NO_CAP, Column
from processors.told import Longs, OptionalLongs
from schemas.fact import CHUNK_ROWS, Fact
from schemas.facts import (
    AllocationsClosed,
    AllocationsOpened,
    Forecasts,
    PeriodClosed,
    PeriodOpened,
    Postings,
)
from schemas.ledgering import MONEY, Code, Entry
from schemas.published import Policy

METERED_TOPICS = ("latency", "usage")
"""Each partition of these is a meter that marks every tick."""

LARGEST = 2**63 - 1
"""What a sum is reported as that leaves int64 (processors/tenants.py, saturating_add)."""

Slots = npt.NDArray[np.intp]
Auction = tuple[AuctionInput, Outcome]


def decide_due_periods(state: PartitionState, stamp: Stamp) -> Iterator[Fact]:
    """Close each pool's period whose barrier is met or whose grace is over, and open the next; pools in byte order.

    The facts must be recorded one by one as they come: a period opens on the state that closing the last one left.
    """
    reported = reported_through(state)
    for name in sorted(state.pools):
        pool = state.pools[name]
        if not pool.tick_ms:
            continue
        if pool.open is None:
            if state.tick >= pool.last_tick(pool.declared.from_period - 1):
                yield from _open_period(state, pool, stamp)
        elif is_due(state, pool, pool.open, reported):
            yield from _close_period(state, pool, pool.open, stamp)
            yield from _open_period(state, pool, stamp)


def is_due(state: PartitionState, pool: PoolState, running: OpenPeriod, reported: int) -> bool:
    """Whether every meter has reported the period's last tick, or the grace after it is over."""
    last = pool.last_tick(running.period)
    return reported >= last or state.tick >= last + state.grace_ticks


def reported_through(state: PartitionState) -> int:
    """The tick that every meter has reached."""
    return min((state.marks.get(meter, -1) for meter in meters(state)), default=-1)


def meters(state: PartitionState) -> list[tuple[str, int]]:
    """All meters that the clock says there are."""
    return [(topic, partition) for topic in METERED_TOPICS for partition in range(state.meter_partitions)]


def _close_period(state: PartitionState, pool: PoolState, running: OpenPeriod, stamp: Stamp) -> Iterator[Fact]:
    tenants = pool.tenants
    yield from close_market(state, pool, running.period, stamp)
    # Trades among tenants change nothing about the sum; what the operator sold of the surplus does.
    sold = int((tenants["bought"] - tenants["sold"]).sum())
    order = tenants.order()
    takes_part = np.logical_or.reduce([tenants[each] > 0 for each in ("version", "used", "requests", "bought", "sold")])
    rows = order[takes_part[order]]
    last = pool.last_tick(running.period)
    for chunk in _chunks(rows):
        yield stamp.fact(
            AllocationsClosed,
            pool.name,
            period=running.period,
            period_start=pool.start_ms(running.period),
            policy=running.terms.policy,
            price=running.price,
            **outcomes(pool, chunk),
        )
    yield from decide_sla(pool, running.period, stamp)
    yield stamp.fact(
        PeriodClosed,
        pool.name,
        period=running.period,
        period_start=pool.start_ms(running.period),
        period_s=pool.period_s,
        policy=running.terms.policy,
        capacity=running.terms.capacity,
        price=running.price,
        allocated=running.allocated + sold,
        unallocated=running.unallocated - sold,
        used=min(exact_sum(tenants["used"]), LARGEST),
        tenants=len(rows),
        closed_tick=state.tick,
        late_meters=[f"{topic}/{part}" for topic, part in meters(state) if state.marks.get((topic, part), -1) < last],
        state_hash=state_hash(pool),
    )


def _open_period(state: PartitionState, pool: PoolState, stamp: Stamp) -> Iterator[Fact]:
    """Open the period that the clock stands in, or usage was counted for; periods before it that did not open are skipped."""
    earliest = pool.declared.from_period if pool.closed_period < 0 else pool.closed_period + 1
    period = max(earliest, state.period_now(pool.ticks_per_period), pool.ahead)
    start_ms = pool.start_ms(period)
    terms = pool.declared
    tenants = pool.tenants
    order = tenants.order()
    rows = order[tenants["declared_version"][order] > 0]

    expected = demand.forecast(pool, period)
    for chunk in _chunks(rows):
        yield stamp.fact(
            Forecasts,
            pool.name,
            period=period,
            period_start=start_ms,
            forecaster=terms.forecaster,
            tenant=tenants.named(chunk),
            mean=Longs(expected.mean[chunk]),
            **_quantiles(expected, chunk),
        )
    asked = _auction_input(pool, rows, demand.bids_on(tenants, expected), start_ms)
    outcome = allocate(terms.policy, asked)
    yield stamp.fact(
        PeriodOpened,
        pool.name,
        period=period,
        period_start=start_ms,
        period_s=pool.period_s,
        policy=terms.policy,
        capacity=asked.capacity,
        base_price=terms.base_price,
        reserve_price=terms.reserve_price,
        price=outcome.price,
        allocated=asked.capacity - outcome.unallocated,
        unallocated=outcome.unallocated,
        tenants=len(rows),
    )
    yield from deliver_forward(state, pool, period, _means(pool, rows, (asked, outcome)), stamp)
    yield from _publish_allocation(pool, period, rows, (asked, outcome), stamp)
    yield from withdraw_uncovered(state, pool, offering(pool, period), stamp)
    yield from return_undelivered(pool, period, stamp)
    if pool.open is not None:
        yield from offer_unsold(state, pool, pool.open, stamp)


def _quantiles(expected: Expected, chunk: Slots) -> dict[str, list[int | None]]:
    if expected.quantiles is None:
        return {name: [None] * len(chunk) for name in QUANTILES}
    return {name: OptionalLongs(row[chunk]) for name, row in zip(QUANTILES, expected.quantiles, strict=True)}


def _means(pool: PoolState, rows: Slots, auction: Auction) -> Means:
    """What the period has to deliver from; asked for only where anything was traded."""
    asked, outcome = auction
    if not pool.market.instruments:
        return Means({}, 0, 0)
    names = [pool.tenants.names[slot] for slot in rows.tolist()]
    given = dict(zip(names, (outcome.base + outcome.surplus).tolist(), strict=True))
    return Means(given, asked.capacity, exact_sum(asked.base))


def _auction_input(pool: PoolState, rows: Slots, bids_on: Column, start_ms: int) -> AuctionInput:
    """What the policy is given: the declared profiles, which come into force with the period, with boosts and loans of bases.

    `bids_on` is the demand of each tenant, by slot.
    """
    tenants = pool.tenants
    terms = pool.declared
    left = budgets.budget_left(tenants, start_ms)[rows]
    return AuctionInput(
        capacity=_servable(pool),
        base_price=terms.base_price,
        reserve_price=terms.reserve_price,
        base=effective(pool)[rows],
        elasticity=tenants["declared_elasticity"][rows],
        demand=bids_on[rows],
        budget_left=left,
        capped=left != NO_CAP,
        weight=_weights(pool, rows),
        precedence=_precedence(pool, rows),
    )


def _servable(pool: PoolState) -> int:
    """The declared capacity; of a token pool no more than its replicas serve in a period: what is allocated can be used."""
    sharing = None if pool.sharing is None else pool.sharing.terms
    declared = pool.declared.capacity
    return declared if sharing is None else min(declared, sharing.capacity.throughput * pool.period_s)


def _weights(pool: PoolState, rows: Slots) -> Column:
    """As declared; where a token pool's max_min policy says so, as debt changes them."""
    weight: Column = pool.tenants["declared_weight"][rows]
    sharing = None if pool.sharing is None else pool.sharing.terms
    if sharing is None or not sharing.debt_weights or pool.declared.policy is not Policy.MAX_MIN:
        return weight
    return debt.weights(weight, pool.tenants["debt"][rows], declared_rates(pool, sharing, rows), sharing.debt)


def _precedence(pool: PoolState, rows: Slots) -> Column | None:
    """Of a token pool; in others all bases are as good."""
    if pool.sharing is None or pool.sharing.terms is None:
        return None
    return precedence(TIERS[tier] for tier in pool.tenants["declared_tier"][rows].tolist())


def _publish_allocation(pool: PoolState, period: int, rows: Slots, auction: Auction, stamp: Stamp) -> Iterator[Fact]:
    tenants = pool.tenants
    asked, outcome = auction
    charge = outcome.charge
    rank = np.full(len(rows), NO_CAP, np.int64) if outcome.why.rank is None else outcome.why.rank
    for start in range(0, len(rows), CHUNK_ROWS):
        part = slice(start, start + CHUNK_ROWS)
        chunk = rows[part]
        names = tenants.named(chunk)
        yield stamp.fact(
            AllocationsOpened,
            pool.name,
            period=period,
            tenant=names,
            base=Longs(outcome.base[part]),
            elasticity=Longs(asked.elasticity[part]),
            weight=Longs(asked.weight[part]),
            demand=Longs(asked.demand[part]),
            budget_left=OptionalLongs(asked.budget_left[part]),
            bid=Longs(outcome.why.bid[part]),
            rank=OptionalLongs(rank[part]),
            surplus=Longs(outcome.surplus[part]),
            bought=Longs(tenants["bought"][chunk]),
            sold=Longs(tenants["sold"][chunk]),
            allocated=Longs(outcome.base[part] + outcome.surplus[part] + tenants["bought"][chunk] - tenants["sold"][chunk]),
            charge=Longs(charge[part]),
            shortfall=Longs(outcome.shortfall[part]),
        )
        paying = [(name, paid) for name, paid in zip(names, charge[part].tolist(), strict=True) if paid > 0]
        if paying:
            yield stamp.fact(
                Postings,
                pool.name,
                period=period,
                entry=[Entry.POST] * len(paying),
                code=[Code.ALLOCATION] * len(paying),
                asset=[MONEY] * len(paying),
                hold=[""] * len(paying),
                debit_account=[billed_account(name) for name, _ in paying],
                credit_account=[OPERATOR] * len(paying),
                amount=[paid for _, paid in paying],
            )


def outcomes(pool: PoolState, chunk: Slots) -> dict[str, list[Any]]:
    """What the open period has come to for some tenants by now: the columns of AllocationsClosed that differ among them."""
    tenants = pool.tenants
    given = tenants["base_given"][chunk]
    surplus = tenants["surplus"][chunk]
    bought, sold = tenants["bought"][chunk], tenants["sold"][chunk]
    return {
        "tenant": tenants.named(chunk),
        "base": Longs(given),
        "elasticity": Longs(tenants["elasticity"][chunk]),
        "weight": Longs(tenants["weight"][chunk]),
        "demand": Longs(tenants["demand"][chunk]),
        "budget_left": OptionalLongs(tenants["budget_left"][chunk]),
        "bid": Longs(tenants["bid"][chunk]),
        "rank": OptionalLongs(tenants["rank"][chunk]),
        "surplus": Longs(surplus),
        "bought": Longs(bought),
        "sold": Longs(sold),
        "allocated": Longs(given + surplus + bought - sold),
        "charge": Longs(tenants["charge"][chunk]),
        "shortfall": Longs(tenants["shortfall"][chunk]),
        "used": Longs(tenants["used"][chunk]),
        "requests": Longs(tenants["requests"][chunk]),
    }


def _chunks(rows: Slots) -> Iterator[Slots]:
    for start in range(0, len(rows), CHUNK_ROWS):
        yield rows[start : start + CHUNK_ROWS]
