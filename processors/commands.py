"""Operators' commands: pools and profiles are versioned, and hold from the next period on."""

from collections.abc import Iterator

from processors.allocation import charge_ceiling
from processors.loops.operators import refuse_settings, set_base_floor, set_loops
from processors.market.tokens import promised_forward
from processors.scaling.operators import refuse_scaling, set_scaling
from processors.sharing.operators import refuse_entitlement, set_entitlement, set_token_pool
from processors.stamping import Stamp
from processors.state import PartitionState, PoolState, command_key
from processors.terms import MARKET_TERMS
from schemas.fact import Fact
from schemas.facts import CommandRefused, PoolSet, ProfileSet, Reason
from schemas.published import PoolCommand, ProfileCommand

MAX_MONEY = 2**63 - 1
"""Largest amount an int64 holds: 9.2 thousand million credits."""


def decide_pool(state: PartitionState, command: PoolCommand, stamp: Stamp) -> Iterator[Fact]:
    """A new version of a pool, or a refusal. A command id that was seen before changes nothing."""
    if command_key(command.pool, command.id) in state.commands:
        return
    pool = state.pools.get(command.pool)
    refusal = _refuse_pool(state, pool, command)
    if refusal is not None:
        yield _refused(stamp, command, "", *refusal)
        return
    version = 1 if pool is None else pool.declared.version + 1
    yield stamp.fact(
        PoolSet,
        command.pool,
        id=command.id,
        version=version,
        from_period=_first_period(state, command) if pool is None or not pool.tick_ms else next_period(pool),
        capacity=command.capacity,
        period_s=command.period_s,
        tick_ms=state.tick_ms,
        policy=command.policy,
        base_price=command.base_price,
        reserve_price=command.reserve_price,
        cached_weight=command.cached_weight,
        forecaster=command.forecaster,
        **{name: getattr(command, name) for name in MARKET_TERMS},
    )
    yield from set_token_pool(state, pool, command, version, stamp)
    yield from set_loops(pool, command, version, stamp)
    yield from set_scaling(pool, command, version, stamp)


def decide_profile(state: PartitionState, command: ProfileCommand, stamp: Stamp) -> Iterator[Fact]:
    """A new version of a tenant's profile, or a refusal: a base may only grow into capacity that nobody was promised."""
    if command_key(command.pool, command.id) in state.commands:
        return
    pool = state.pools.get(command.pool)
    if pool is None:
        yield _refused(stamp, command, command.tenant, Reason.UNKNOWN_POOL, f"pool: {command.pool!r} is not defined")
        return
    slot = pool.tenants.slots.get(command.tenant)
    refusal = _refuse_profile(pool, slot, command)
    if refusal is not None:
        yield _refused(stamp, command, command.tenant, *refusal)
        return
    version = 1 if slot is None else int(pool.tenants["declared_version"][slot]) + 1
    yield stamp.fact(
        ProfileSet,
        command.pool,
        id=command.id,
        version=version,
        from_period=next_period(pool),
        tenant=command.tenant,
        base=command.base,
        elasticity=command.elasticity,
        sla_ms=command.sla_ms,
        budget_amount=None if command.budget is None else command.budget.amount,
        budget_window_s=None if command.budget is None else command.budget.window_s,
        tier=command.tier,
        weight=command.weight,
        bid_on=command.bid_on,
    )
    yield from set_entitlement(pool, command, version, next_period(pool), stamp)
    yield from set_base_floor(pool, command, version, next_period(pool), stamp)


def next_period(pool: PoolState) -> int:
    """The period from which a command that is accepted now holds."""
    return pool.declared.from_period if pool.open is None else pool.open.period + 1


def refuse_misfits(state: PartitionState, stamp: Stamp) -> Iterator[Fact]:
    """At the first tick, which says how long ticks are: pools whose period is no whole number of them never begin."""
    for name in sorted(state.pools):
        pool = state.pools[name]
        misfit = _refuse_period(state, pool.period_s)
        if misfit is not None:
            reason, detail = misfit
            yield stamp.fact(CommandRefused, name, command=PoolCommand.KIND, command_id="", tenant="", reason=reason, detail=detail)


def _first_period(state: PartitionState, command: PoolCommand) -> int:
    """The next period of a new pool. Before the first tick nobody knows the time: whichever comes first."""
    return state.period_now(command.period_s * 1000 // state.tick_ms) + 1 if state.tick_ms else 0


def _refuse_period(state: PartitionState, period_s: int) -> tuple[Reason, str] | None:
    if state.tick_ms and period_s * 1000 % state.tick_ms:
        return Reason.PERIOD_NOT_WHOLE_TICKS, f"period_s: {period_s} is no multiple of the tick, {state.tick_ms} ms"
    return None


def _refuse_pool(state: PartitionState, pool: PoolState | None, command: PoolCommand) -> tuple[Reason, str] | None:
    misfit = _refuse_period(state, command.period_s)
    if misfit is not None:
        return misfit
    if pool is not None and pool.tick_ms and command.period_s != pool.period_s:
        return (
            Reason.PERIOD_FIXED,
            f"period_s: {command.period_s}, but periods of this pool are numbered in steps of {pool.period_s} s",
        )
    elasticity = int(pool.tenants["declared_elasticity"].max(initial=0)) if pool else 0
    return (
        refuse_settings(command)
        or refuse_scaling(pool, command)
        or _exceeds_money(command.capacity, command.base_price, command.reserve_price, elasticity)
    )


def _refuse_profile(pool: PoolState, slot: int | None, command: ProfileCommand) -> tuple[Reason, str] | None:
    own = 0 if slot is None else int(pool.tenants["declared_base"][slot])
    others = pool.promised - own
    terms = pool.declared
    # Where capacity was reduced below what is promised, a base that shrinks or stays takes nothing from anybody.
    if command.base > own and others + command.base > terms.capacity:
        return (
            Reason.OVERSUBSCRIBED,
            f"base: {command.base} and the {others} promised to other tenants exceed the capacity {terms.capacity}",
        )
    promised = promised_forward(pool, command.tenant)
    if command.base < min(own, promised):
        return Reason.SOLD_FORWARD, f"base: {command.base}, but {promised} tokens of a forward period are sold or offered"
    return refuse_entitlement(pool, slot, command) or _exceeds_money(
        terms.capacity, terms.base_price, terms.reserve_price, command.elasticity
    )


def _exceeds_money(capacity: int, base_price: int, reserve_price: int, elasticity: int) -> tuple[Reason, str] | None:
    # At least one token: without capacity nothing is charged, but the clearing price itself has to be an amount.
    ceiling = charge_ceiling(max(capacity, 1), base_price, reserve_price, elasticity)
    if ceiling <= MAX_MONEY:
        return None
    return Reason.EXCEEDS_MONEY, (
        f"capacity: {capacity} tokens at a base price of {base_price}, a reserve price of {reserve_price} and an elasticity of "
        f"{elasticity} millionths can cost {ceiling} nanocredits, above the largest amount {MAX_MONEY}"
    )


def _refused(stamp: Stamp, command: PoolCommand | ProfileCommand, tenant: str, reason: Reason, detail: str) -> Fact:
    return stamp.fact(
        CommandRefused,
        command.pool,
        command=command.KIND,
        command_id=command.id,
        tenant=tenant,
        reason=reason,
        detail=detail,
    )
