"""Recording facts in the state: no judgement here, so that folding recorded facts gives the state that decided them."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from processors import budgets, demand
from processors.accounts import billed_tenants_of
from processors.bots.recording import record_actions, record_bot, record_bot_orders, record_bot_trades
from processors.bots.waking import notice
from processors.entitlement import TIERS
from processors.leases.recording import record_capacity, record_end, record_grants, record_use
from processors.loops.recording import (
    record_base,
    record_base_changes,
    record_base_floor,
    record_latencies,
    record_latencies_begin,
    record_latencies_end,
    record_loops,
    record_measured,
    record_needs,
    record_rebalanced,
)
from processors.market.recording import (
    record_deliveries,
    record_key,
    record_orders,
    record_phase,
    record_postings,
    record_sequence,
    record_trades,
    record_transfers,
)
from processors.scaling.recording import record_forecasts, record_rates, record_scaling_decided, record_scaling_set
from processors.sharing.recording import (
    promise_before,
    record_admissions,
    record_debts,
    record_entitlement,
    record_limits,
    record_opening,
    record_promise,
    record_served,
    record_sharing,
    record_shortfalls,
    record_token_pool,
)
from processors.state import SEEN_COMMANDS, OpenPeriod, PartitionState, PoolState, command_key
from processors.tenants import DECLARED, NO_CAP, saturating_add
from processors.terms import MARKET_TERMS, MarketTerms, Terms
from processors.told import whole
from processors.warming import record_primed
from schemas.bot_facts import BotActed, BotSet
from schemas.fact import Fact
from schemas.facts import (
    AllocationsClosed,
    AllocationsOpened,
    CommandRefused,
    Forecasts,
    MeterMarked,
    PeriodClosed,
    PeriodOpened,
    PoolSet,
    Postings,
    ProfileSet,
    Ticked,
    UsageCounted,
    UsageUnrouted,
)
from schemas.lease_facts import CapacityLeased, GatewayRefused, LeaseExpired, LeasesGranted, UseReported
from schemas.ledgering import Code
from schemas.loop_facts import BaseChanges, BaseFloorSet, LatenciesCounted, LoopsSet, NeedsTaken, Rebalanced, SlaMeasured
from schemas.market_facts import (
    BookPhase,
    CommandTaken,
    Deliveries,
    KeySet,
    OrderEvents,
    Settlements,
    Trades,
    TransferEvents,
)
from schemas.planning_facts import PriorsSet, ProfilesPrimed
from schemas.published import BidOn, Tier
from schemas.scaling_facts import ScalingDecided, ScalingSet
from schemas.sharing_facts import AdmissionsCounted, CapacityShared, Debts, EntitlementSet, Limits, Shortfalls, TokenPoolSet

_USAGE = "usage/"
"""How the names of meters of usage begin: "topic/partition"."""


def evolve(state: PartitionState, fact: Fact) -> None:
    """Record one fact."""
    _RECORD[type(fact)](state, fact)
    pool = state.pools.get(fact.pool)
    if pool is None:
        return
    demand.admit(pool)
    if pool.market.bots.held:
        notice(pool.market.bots.changes, fact)


def _ticked(state: PartitionState, fact: Ticked) -> None:
    state.tick = fact.tick
    state.tick_ms = fact.tick_ms
    state.meter_partitions = fact.meter_partitions
    state.grace_ticks = fact.grace_ticks
    for pool in state.pools.values():
        if not pool.tick_ms and pool.period_s * 1000 % fact.tick_ms == 0:
            pool.tick_ms = fact.tick_ms


def _meter_marked(state: PartitionState, fact: MeterMarked) -> None:
    meter = (fact.meter_topic, fact.meter_partition)
    state.marks[meter] = fact.tick
    # What the meter reported up to its mark is refused by the mark from now on.
    state.reported = {report for report in state.reported if report[:2] != meter or report[2] > fact.tick}


def _command_seen(state: PartitionState, pool: str, command_id: str) -> None:
    _remember(state.commands, command_key(pool, command_id))


def _remember(seen: OrderedDict[bytes, None], mark: bytes) -> None:
    seen[mark] = None
    if len(seen) > SEEN_COMMANDS:
        seen.popitem(last=False)


def _command_refused(state: PartitionState, fact: CommandRefused) -> None:
    _command_seen(state, fact.pool, fact.command_id)


def _pool_set(state: PartitionState, fact: PoolSet) -> None:
    _command_seen(state, fact.pool, fact.id)
    terms = Terms(
        version=fact.version,
        from_period=fact.from_period,
        capacity=fact.capacity,
        policy=fact.policy,
        base_price=fact.base_price,
        reserve_price=fact.reserve_price,
        cached_weight=fact.cached_weight,
        forecaster=fact.forecaster,
        market=MarketTerms(**{name: getattr(fact, name) for name in MARKET_TERMS}),
    )
    pool = state.pools.get(fact.pool)
    if pool is None:
        pool = state.pools[fact.pool] = PoolState(fact.pool, fact.period_s, fact.tick_ms, terms)
    else:
        pool.declared, pool.period_s, pool.tick_ms = terms, fact.period_s, fact.tick_ms
    demand.keep(pool)


def _profile_set(state: PartitionState, fact: ProfileSet) -> None:
    _command_seen(state, fact.pool, fact.id)
    pool = state.pools[fact.pool]
    tenants = pool.tenants
    slot = tenants.slot(fact.tenant)
    before = promise_before(pool, slot)
    pool.promised += fact.base - int(tenants["declared_base"][slot])
    tenants["declared_version"][slot] = fact.version
    tenants["declared_base"][slot] = fact.base
    tenants["declared_elasticity"][slot] = fact.elasticity
    tenants["declared_weight"][slot] = fact.weight
    tenants["declared_sla_ms"][slot] = NO_CAP if fact.sla_ms is None else fact.sla_ms
    tenants["declared_budget"][slot] = NO_CAP if fact.budget_amount is None else fact.budget_amount
    tenants["declared_window_s"][slot] = fact.budget_window_s or 0
    tenants["declared_tier"][slot] = TIERS.index(Tier(fact.tier))
    record_base(pool, slot, fact.base)
    demand.choose(pool, slot, BidOn(fact.bid_on))
    record_promise(pool, slot, before)


def _usage_counted(state: PartitionState, fact: UsageCounted) -> None:
    state.reported.add((fact.meter_topic, fact.meter_partition, fact.tick, fact.pool, fact.chunk))
    pool = state.pools[fact.pool]
    slots = pool.tenants.slots_of(fact.tenant)
    runs = pool.open is not None and fact.period <= pool.open.period
    if not runs:
        pool.ahead = max(pool.ahead, fact.period)
    used = np.asarray(fact.used, np.int64)
    saturating_add(pool.tenants["used" if runs else "next_used"], slots, used)
    record_served(pool, slots, used)
    saturating_add(pool.tenants["requests" if runs else "next_requests"], slots, np.asarray(fact.requests, np.int64))


def _usage_unrouted(state: PartitionState, fact: UsageUnrouted) -> None:
    state.reported.add((fact.meter_topic, fact.meter_partition, fact.tick, fact.pool, fact.chunk))


def _told_elsewhere(state: PartitionState, fact: Fact) -> None:
    """A settlement is seen in trade and postings; an outcome is learned when its whole period is closed."""


def _period_opened(state: PartitionState, fact: PeriodOpened) -> None:
    """Profiles and terms that were declared come into force; what meters reported ahead of time is in the period now."""
    pool = state.pools[fact.pool]
    terms = replace(pool.declared, capacity=fact.capacity)  # replicas may serve less than what is declared
    pool.open = OpenPeriod(fact.period, terms, fact.price, fact.allocated, fact.unallocated)
    demand.forget(pool)
    tenants = pool.tenants
    budgets.begin_windows(tenants, pool.start_ms(fact.period))
    for column in DECLARED:
        tenants[column][:] = tenants[f"declared_{column}"]
    record_opening(pool)
    record_latencies_begin(pool)
    for ahead, current in (("next_used", "used"), ("next_requests", "requests")):
        tenants[current][:] = tenants[ahead]
        tenants[ahead][:] = 0
    for column in ("base_given", "demand", "bid", "surplus", "charge", "shortfall", "bought", "sold"):
        tenants[column][:] = 0
    for column in ("budget_left", "rank"):
        tenants[column][:] = NO_CAP


def _allocations_opened(state: PartitionState, fact: AllocationsOpened) -> None:
    tenants = state.pools[fact.pool].tenants
    slots = tenants.slots_of(fact.tenant)
    tenants["base_given"][slots] = fact.base
    tenants["weight"][slots] = fact.weight  # as it was allocated by: debt may have changed it
    tenants["demand"][slots] = fact.demand
    tenants["budget_left"][slots] = whole(fact.budget_left)
    tenants["bid"][slots] = fact.bid
    tenants["rank"][slots] = whole(fact.rank)
    tenants["surplus"][slots] = fact.surplus
    tenants["charge"][slots] = fact.charge
    tenants["shortfall"][slots] = fact.shortfall


def _postings(state: PartitionState, fact: Postings) -> None:
    record_postings(state.pools[fact.pool], fact)
    tenants = state.pools[fact.pool].tenants
    if fact.code[0] == Code.ALLOCATION:
        slots = tenants.slots_of(billed_tenants_of(fact.debit_account))
        budgets.spend(tenants, slots, np.array(fact.amount, np.int64))


def _command_taken(state: PartitionState, fact: CommandTaken) -> None:
    mark = bytes.fromhex(fact.digest)
    # Not by `command`, which, of what was turned away, is whatever its sender wrote.
    _remember(state.commands if mark == command_key(fact.pool, fact.command_id) else state.taken, mark)
    if fact.key is not None and fact.seq is not None:
        record_sequence(state.pools[fact.pool], fact.tenant, fact.key, fact.seq)


def _key_set(state: PartitionState, fact: KeySet) -> None:
    _command_seen(state, fact.pool, fact.id)
    record_key(state.pools[fact.pool], fact)


def _book_phase(state: PartitionState, fact: BookPhase) -> None:
    if fact.id:
        _command_seen(state, fact.pool, fact.id)
    record_phase(state.pools[fact.pool], fact)


def _order_events(state: PartitionState, fact: OrderEvents) -> None:
    if fact.pool in state.pools:  # a refused order may name a pool that nobody has defined
        record_orders(state.pools[fact.pool], fact)
        record_bot_orders(state.pools[fact.pool], fact)


def _trades(state: PartitionState, fact: Trades) -> None:
    record_trades(state.pools[fact.pool], fact)
    record_bot_trades(state.pools[fact.pool], fact)


def _transfer_events(state: PartitionState, fact: TransferEvents) -> None:
    if fact.pool in state.pools:
        record_transfers(state.pools[fact.pool], fact)


def _bot_acted(state: PartitionState, fact: BotActed) -> None:
    if fact.pool in state.pools:  # refused settings may name a pool that nobody has defined
        record_actions(state.pools[fact.pool], fact)


def _token_pool_set(state: PartitionState, fact: TokenPoolSet) -> None:
    _command_seen(state, fact.pool, fact.id)  # of a version of the pool PoolSet has said so before
    record_token_pool(state.pools[fact.pool], fact)


def _capacity_shared(state: PartitionState, fact: CapacityShared) -> None:
    pool = state.pools[fact.pool]
    record_rates(pool, fact)
    record_sharing(pool, fact)


def _admissions_counted(state: PartitionState, fact: AdmissionsCounted) -> None:
    state.reported.add((fact.meter_topic, fact.meter_partition, fact.tick, fact.pool, fact.chunk))
    record_admissions(state.pools[fact.pool], fact)


def _latencies_counted(state: PartitionState, fact: LatenciesCounted) -> None:
    state.reported.add((fact.meter_topic, fact.meter_partition, fact.tick, fact.pool, fact.chunk))
    record_latencies(state.pools[fact.pool], fact)


def _needs_taken(state: PartitionState, fact: NeedsTaken) -> None:
    _command_seen(state, fact.pool, fact.id)
    record_needs(state.pools[fact.pool], fact)


def _priors_set(state: PartitionState, fact: PriorsSet) -> None:
    _command_seen(state, fact.pool, fact.id)


def _period_closed(state: PartitionState, fact: PeriodClosed) -> None:
    pool = state.pools[fact.pool]
    demand.learn(pool, fact.period, all_reported=not any(meter.startswith(_USAGE) for meter in fact.late_meters))
    record_latencies_end(pool)
    pool.tenants["used"][:] = 0
    pool.tenants["requests"][:] = 0
    pool.closed_period = fact.period
    pool.closed_tick = fact.closed_tick
    pool.open = None


def _of_pool(record: Callable[[PoolState, Any], None]) -> Callable[[PartitionState, Any], None]:
    """Of facts that concern nothing but the pool that they name."""
    return lambda state, fact: record(state.pools[fact.pool], fact)


_RECORD: dict[type[Fact], Callable[[PartitionState, Any], None]] = {
    Ticked: _ticked,
    MeterMarked: _meter_marked,
    CommandRefused: _command_refused,
    PoolSet: _pool_set,
    ProfileSet: _profile_set,
    UsageCounted: _usage_counted,
    UsageUnrouted: _usage_unrouted,
    Forecasts: _of_pool(record_forecasts),
    PeriodOpened: _period_opened,
    AllocationsOpened: _allocations_opened,
    Postings: _postings,
    AllocationsClosed: _told_elsewhere,
    PeriodClosed: _period_closed,
    CommandTaken: _command_taken,
    KeySet: _key_set,
    OrderEvents: _order_events,
    BookPhase: _book_phase,
    Trades: _trades,
    Settlements: _told_elsewhere,
    Deliveries: _of_pool(record_deliveries),
    TransferEvents: _transfer_events,
    BotSet: _of_pool(record_bot),
    BotActed: _bot_acted,
    TokenPoolSet: _token_pool_set,
    EntitlementSet: _of_pool(record_entitlement),
    AdmissionsCounted: _admissions_counted,
    CapacityShared: _capacity_shared,
    Debts: _of_pool(record_debts),
    Limits: _of_pool(record_limits),
    Shortfalls: _of_pool(record_shortfalls),
    LoopsSet: _of_pool(record_loops),
    BaseFloorSet: _of_pool(record_base_floor),
    LatenciesCounted: _latencies_counted,
    SlaMeasured: _of_pool(record_measured),
    NeedsTaken: _needs_taken,
    Rebalanced: _of_pool(record_rebalanced),
    BaseChanges: _of_pool(record_base_changes),
    PriorsSet: _priors_set,
    ProfilesPrimed: _of_pool(record_primed),
    UseReported: _of_pool(record_use),
    GatewayRefused: _told_elsewhere,
    CapacityLeased: _of_pool(record_capacity),
    LeasesGranted: _of_pool(record_grants),
    LeaseExpired: _of_pool(record_end),
    ScalingSet: _of_pool(record_scaling_set),
    ScalingDecided: _of_pool(record_scaling_decided),
}
