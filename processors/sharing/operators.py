"""What operators say of a token pool: its replicas and its tenants' quotas. Promises never exceed what replicas can do.

Quotas of a tenant hold from the next period on, as its profile; replicas from the next tick, as they are physics: a replica that is
lost is lost now. A capacity cut below what is promised is therefore accepted (processors/limits.py says who then has how much).
A pool that is scaled may promise what its most replicas can do (processors/scaling/operators.py).
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from processors.entitlement import GUARANTEED, TIERS
from processors.sharing.state import NOT_GIVEN, QUOTAS, SHARING_COLUMNS, Promised, SharingTerms, declared_promise, promised_to
from processors.stamping import Stamp
from processors.state import PartitionState, PoolState
from schemas.fact import Fact
from schemas.facts import Reason
from schemas.published import PoolCommand, ProfileCommand
from schemas.sharing_facts import EntitlementSet, TokenPoolSet

_TERMS = ("replicas", "replica_tokens_per_s", "replica_kv_blocks", "replica_concurrency")

Refusal = tuple[Reason, str]


def set_token_pool(
    state: PartitionState, pool: PoolState | None, command: PoolCommand, version: int, stamp: Stamp
) -> Iterator[Fact]:
    """What a version of a pool says of its replicas; nothing where it is no token pool and was none.

    Args:
        state: of the partition.
        pool: as it was before the command.
        command: accepted.
        version: of the pool.
        stamp: of the record.
    """
    was_shared = pool is not None and pool.sharing is not None and pool.sharing.terms is not None
    if command.replicas is None and not was_shared:
        return
    yield stamp.fact(
        TokenPoolSet,
        command.pool,
        id=command.id,
        version=version,
        tick=max(state.tick, 0),
        at=state.now_ms,
        **{name: getattr(command, name) for name in _TERMS},
        kv_block_tokens=command.kv_block_tokens,
        debt_half_life_s=command.debt_half_life_s,
        debt_gain=command.debt_gain,
        debt_bound_s=command.debt_bound_s,
        debt_weights=command.debt_weights,
        burst_fill=[knot.fill for knot in command.burst],
        burst_scale=[knot.scale for knot in command.burst],
    )


def set_entitlement(pool: PoolState, command: ProfileCommand, version: int, from_period: int, stamp: Stamp) -> Iterator[Fact]:
    """What a version of a profile says of quotas; nothing where it says none and none was said before.

    Args:
        pool: with the profile recorded.
        command: accepted.
        version: of the profile.
        from_period: from which it holds.
        stamp: of the record.
    """
    said = _said(command)
    if all(value is None for value in said.values()) and not _has_quotas(pool, command.tenant):
        return
    yield stamp.fact(
        EntitlementSet,
        command.pool,
        id=command.id,
        version=version,
        from_period=from_period,
        tenant=command.tenant,
        **said,
    )


def refuse_entitlement(pool: PoolState, slot: int | None, command: ProfileCommand) -> Refusal | None:
    """Why a profile's entitlement is not taken: it lends more than it has, or replicas can't keep what it promises.

    Where replicas were lost, a promise that shrinks or stays takes nothing from anybody.
    """
    return _lends_too_much(pool, command) or _promises_too_much(pool, slot, command)


def _said(command: ProfileCommand) -> dict[str, int | None]:
    rate, kv, concurrency = command.throughput, command.kv, command.concurrency
    return {
        "throughput_borrowing": None if rate is None else rate.borrowing_limit,
        "throughput_lending": None if rate is None else rate.lending_limit,
        "kv_nominal": None if kv is None else kv.nominal_quota,
        "kv_borrowing": None if kv is None else kv.borrowing_limit,
        "kv_lending": None if kv is None else kv.lending_limit,
        "concurrency_nominal": None if concurrency is None else concurrency.nominal_quota,
        "concurrency_borrowing": None if concurrency is None else concurrency.borrowing_limit,
        "concurrency_lending": None if concurrency is None else concurrency.lending_limit,
    }


def _has_quotas(pool: PoolState, tenant: str) -> bool:
    """Whether anything was said of a tenant: an entitlement that is taken back has to be told, too."""
    if pool.sharing is None:
        return False
    slot = pool.tenants.slots[tenant]
    declared = (f"declared_{name}" for name in QUOTAS)
    return any(int(pool.tenants[name][slot]) != SHARING_COLUMNS[name] for name in declared)


def _lends_too_much(pool: PoolState, command: ProfileCommand) -> Refusal | None:
    lending = None if command.throughput is None else command.throughput.lending_limit
    if lending is None or lending * pool.period_s <= command.base:
        return None
    return Reason.LENDING_ABOVE_NOMINAL, (
        f"throughput.lending_limit: {lending} tokens per second, but a base of {command.base} per period of {pool.period_s} s is "
        f"a nominal quota of {command.base // pool.period_s}"
    )


class _Promise(NamedTuple):
    """One dimension: what the command states, in its own unit, and the sums that have to fit."""

    field: str
    value: int
    own: int
    others: int
    capacity: int
    capacity_words: str


def _promises_too_much(pool: PoolState, slot: int | None, command: ProfileCommand) -> Refusal | None:
    terms = None if pool.sharing is None else pool.sharing.terms
    if pool.sharing is None or terms is None or TIERS.index(command.tier) > GUARANTEED:
        return None
    own = Promised() if slot is None else declared_promise(pool.tenants, slot)
    kv, concurrency = (
        NOT_GIVEN if quota is None or quota.nominal_quota is None else quota.nominal_quota
        for quota in (command.kv, command.concurrency)
    )
    wanted = promised_to(tier=TIERS.index(command.tier), base=command.base, kv=kv, concurrency=concurrency)
    others = pool.sharing.promised.plus(own, -1)
    for promise in _promises(pool.period_s, _most(pool, terms), own, others, wanted):
        if promise.value > promise.own and promise.others + promise.value > promise.capacity:
            return Reason.OVERSUBSCRIBED, (
                f"{promise.field}: {promise.value} and the {promise.others} promised to other dedicated and guaranteed tenants "
                f"exceed {promise.capacity}, {promise.capacity_words}"
            )
    return None


def _most(pool: PoolState, terms: SharingTerms) -> SharingTerms:
    """Of a scaled pool with as many replicas as it may have: they are asked for as soon as they are promised."""
    settings = None if pool.scaling is None else pool.scaling.settings
    return terms if settings is None else replace(terms, replicas=settings.max_replicas)


def _promises(period_s: int, terms: SharingTerms, own: Promised, others: Promised, wanted: Promised) -> Iterator[_Promise]:
    per_period = terms.replica_tokens_per_s * period_s
    replicas = f"{terms.replicas} replicas"
    yield _Promise(
        "base",
        wanted.base,
        own.base,
        others.base,
        terms.replicas * per_period,
        f"what {replicas} of {terms.replica_tokens_per_s} tokens per second serve in a period of {period_s} s",
    )
    for name, replica, unit in (
        ("kv", terms.replica_kv_blocks, "KV-cache blocks"),
        ("concurrency", terms.replica_concurrency, "requests"),
    ):

        def amount(promise: Promised, name: str = name, replica: int = replica) -> int:
            """With the part of those who have the same part as of throughput: rounded once, so at least what they get."""
            return int(getattr(promise, name)) + replica * int(getattr(promise, f"{name}_base")) // per_period

        derived = getattr(wanted, f"{name}_base") > 0
        yield _Promise(
            f"{name}.nominal_quota (not given: in proportion to base)" if derived else f"{name}.nominal_quota",
            amount(wanted),
            amount(own),
            amount(others),
            terms.replicas * replica,
            f"what {replicas} of {replica} {unit} hold",
        )
