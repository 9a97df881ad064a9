"""What a token pool's state means to those who admit requests: tenants' limits in every dimension, and the pool's capacity."""

from collections.abc import Mapping, Sequence

from processors.entitlement import TIERS, UNLIMITED
from processors.sharing.state import LIMITS
from processors.state import PoolState
from schemas.fact import Fact
from schemas.outputs import PoolCapacity
from schemas.sharing_facts import Limits, TokenPoolSet

NO_SHARES: Mapping[str, object] = {"tier": "", **dict.fromkeys(LIMITS)}
"""Of a pool that is no token pool, or a tenant that has no limits yet."""


def limits_told(pool: PoolState, slots: Sequence[int]) -> list[Mapping[str, object]]:
    """Fields of tenants' limits beside the tokens, as they were decided last."""
    if not is_shared(pool):
        return [NO_SHARES] * len(slots)
    tenants = pool.tenants
    columns = {name: tenants[f"told_{name}"][list(slots)].tolist() for name in LIMITS}
    tiers = tenants["told_tier"][list(slots)].tolist()
    return [
        {"tier": TIERS[tier].value, **{name: _or_none(name, column[at]) for name, column in columns.items()}}
        if tier >= 0
        else NO_SHARES
        for at, tier in enumerate(tiers)
    ]


def capacity_of(pool: PoolState, journal_offset: int) -> PoolCapacity | None:
    """The pool's capacity as it is published; None: it is no token pool."""
    terms = None if pool.sharing is None else pool.sharing.terms
    if terms is None:
        return None
    throughput, kv, concurrency = terms.capacity
    return PoolCapacity.model_construct(
        pool=pool.name,
        throughput=throughput,
        kv=kv,
        concurrency=concurrency,
        kv_block_tokens=terms.kv_block_tokens,
        burst_fill=list(terms.burst_fill),
        burst_scale=list(terms.burst_scale),
        journal_offset=journal_offset,
    )


def is_shared(pool: PoolState) -> bool:
    """Whether it is a token pool now."""
    return pool.sharing is not None and pool.sharing.terms is not None


def capacity_touched(fact: Fact) -> bool:
    """Whether a fact may change a pool's capacity, and whether its tenants have limits in other dimensions than tokens at all."""
    return isinstance(fact, TokenPoolSet)


def shares_touched(fact: Fact) -> list[str]:
    """Tenants whose limits in the dimensions of a token pool a fact changes."""
    return fact.tenant if isinstance(fact, Limits) else []


def _or_none(name: str, value: int) -> int | None:
    return None if value == UNLIMITED and name.endswith("_borrowing") else value
