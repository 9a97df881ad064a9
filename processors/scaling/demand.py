"""What a pool has promised, and what is expected of its tenants without reservation, as sums of each dimension.

Promised is the larger of what is declared and what the open period gave: a quota that was taken back holds until its period ends.
A reserved tenant's nominal quota of throughput is what its period allocates, surplus included, as everywhere (processors/sharing).
Nobody is expected to use more than its own limit. 100,000 tenants: 3 ms a tick.
"""

import numpy as np

from processors.allocation.exact import INT64_MAX, Flags, Ints, exact_sum
from processors.entitlement import GUARANTEED, Capacity
from processors.scaling.state import THOUSAND, Rates, Scaling
from processors.sharing.state import DIMENSIONS, Promised, SharingTerms
from processors.state import PoolState
from schemas.units import MAX_TOKENS


def replica_of(terms: SharingTerms) -> Capacity:
    """What one replica has."""
    return Capacity(terms.replica_tokens_per_s, terms.replica_kv_blocks, terms.replica_concurrency)


def declared_amounts(promised: Promised, replica: Capacity, period_s: int) -> Capacity:
    """What sums of declarations come to: tokens per second, blocks, requests.

    Tenants with the same part of a space as of throughput are rounded once: at least what they get. Tokens per second are rounded
    up, which is exact for replicas: ceil(ceil(base / period) / rate) is ceil(base / (period x rate)).
    """
    per_period = replica.throughput * period_s
    return Capacity(
        -(-promised.base // period_s),
        promised.kv + replica.kv * promised.kv_base // per_period,
        promised.concurrency + replica.concurrency * promised.concurrency_base // per_period,
    )


def promised_amounts(pool: PoolState, promised: Promised, terms: SharingTerms) -> Capacity:
    """Of a token pool: what is declared, or what the open period gave where that is more."""
    declared = declared_amounts(promised, replica_of(terms), pool.period_s)
    if pool.open is None:
        return declared
    tenants = pool.tenants
    reserved = (tenants["told_tier"] >= 0) & (tenants["told_tier"] <= GUARANTEED)
    given = (exact_sum((tenants[f"told_{name}_nominal"] + tenants[f"{name}_shortfall"])[reserved]) for name in DIMENSIONS)
    return Capacity(*(max(pair) for pair in zip(declared, given, strict=True)))


def expected_amounts(pool: PoolState, scaling: Scaling) -> Capacity:
    """Tokens per second that are forecast, or are served now where that is more, and what is refused; spaces wanted of late."""
    forecast = -(-scaling.forecast // pool.period_s)
    served, unserved = (-(-rate // THOUSAND) for rate in (scaling.rates.elastic, scaling.rates.unserved))
    tenants, elastic = pool.tenants, _elastic(pool)
    spaces = (
        exact_sum(np.minimum(tenants[f"recent_{name}"], _most(pool, name))[elastic]) if elastic.any() else 0
        for name in DIMENSIONS[1:]
    )
    return Capacity(max(forecast, served) + unserved, *spaces)


def used_amounts(pool: PoolState, scaling: Scaling) -> Capacity:
    """Of all tenants: tokens per second served, on average; blocks and requests wanted of late."""
    spaces = (exact_sum(pool.tenants[f"recent_{name}"]) for name in DIMENSIONS[1:])
    return Capacity(-(-scaling.rates.served // THOUSAND), *spaces)


def rates_now(pool: PoolState, elapsed_ms: int) -> Rates:
    """Of what meters have reported since the last tick. Not above MAX_TOKENS per tenant, as everywhere."""
    tenants, elastic = pool.tenants, _elastic(pool)
    served, refused = (
        np.minimum(np.minimum(tenants[name], MAX_TOKENS // THOUSAND) * THOUSAND // elapsed_ms, MAX_TOKENS)
        for name in ("tick_served", "tick_refused")
    )
    room = np.maximum(_most(pool, "throughput") - served, 0)
    sums = (exact_sum(served), exact_sum(served[elastic]), exact_sum(np.minimum(refused, room)[elastic]))
    return Rates(*(THOUSAND * each for each in sums))


def forecast_of(pool: PoolState, names: list[str], tokens: list[int]) -> int:
    """Of a list of tenants, the tokens of those without reservation."""
    slots = pool.tenants.slots_of(names)
    return exact_sum(np.array(tokens, np.int64)[pool.tenants["declared_tier"][slots] > GUARANTEED])


def _elastic(pool: PoolState) -> Flags:
    """Tenants in force that have no reservation."""
    tenants = pool.tenants
    flags: Flags = (tenants["tier"] > GUARANTEED) & (tenants["version"] > 0)
    return flags


def _most(pool: PoolState, name: str) -> Ints:
    """Tenants' own limits of a dimension, as told last."""
    nominal, borrowing = (pool.tenants[f"told_{name}_{part}"] for part in ("nominal", "borrowing"))
    most: Ints = nominal + np.minimum(borrowing, INT64_MAX - nominal)
    return most
