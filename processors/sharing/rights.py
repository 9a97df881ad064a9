"""What tenants of a token pool are entitled to in the open period, as columns for the rules of processors/limits.py."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from processors.allocation.exact import Ints
from processors.entitlement import GUARANTEED
from processors.limits import Rights, rates_of
from processors.loops.bases import effective
from processors.market.data import limits as allocated_tokens
from processors.sharing.state import NOT_GIVEN, SharingTerms
from processors.state import PoolState
from processors.tenants import Column

Slots = npt.NDArray[np.intp]


class Standing(NamedTuple):
    """Tenants with a profile in force, in the byte order of their ids.

    Attributes:
        slots: theirs.
        tier: codes.
        weight: of the profile, millionths.
        throughput: as the period allocated it, what is offered for sale not counted.
        promised: the same with what the period owes of bases of reserved tiers.
        kv: blocks.
        concurrency: requests.
    """

    slots: Slots
    tier: Ints
    weight: Ints
    throughput: Rights
    promised: Rights
    kv: Rights
    concurrency: Rights


def standing(pool: PoolState, terms: SharingTerms) -> Standing:
    """Of the open period. 100,000 tenants: 12 ms."""
    tenants = pool.tenants
    order = tenants.order()
    slots = order[tenants["version"][order] > 0]
    tier = tenants["tier"][slots]
    reserved = tier <= GUARANTEED
    tokens = allocated_tokens(pool)[slots]
    limited = tenants["throughput_borrowing"][slots], tenants["throughput_lending"][slots]
    owed = np.where(reserved, tenants["shortfall"][slots], 0)
    return Standing(
        slots,
        tier,
        tenants["profile_weight"][slots],
        Rights(tokens // pool.period_s, *limited),
        Rights((tokens + owed) // pool.period_s, *limited),
        _space(pool, "kv", slots, reserved, _Ratio(terms.replica_kv_blocks, terms.replica_tokens_per_s)),
        _space(pool, "concurrency", slots, reserved, _Ratio(terms.replica_concurrency, terms.replica_tokens_per_s)),
    )


def declared_rates(pool: PoolState, terms: SharingTerms, slots: Slots) -> Ints:
    """What debts of tenants are measured by when a period opens: as they are declared, with their base alone."""
    tenants = pool.tenants
    rights = Rights(
        effective(pool)[slots] // pool.period_s,
        tenants["declared_throughput_borrowing"][slots],
        tenants["declared_throughput_lending"][slots],
    )
    return rates_of(terms.capacity.throughput, tenants["declared_tier"][slots], rights, tenants["declared_weight"][slots])


class _Ratio(NamedTuple):
    """What a replica has of a dimension, and its tokens per second."""

    amount: int
    tokens_per_s: int


def _space(pool: PoolState, name: str, slots: Slots, reserved: npt.NDArray[np.bool_], ratio: _Ratio) -> Rights:
    """A reserved tenant of which no nominal quota was said has the part of this dimension that its base is of throughput.

    In Python's integers, as the product leaves int64; 100,000 such tenants take 15 ms.
    """
    tenants = pool.tenants
    nominal: Column = np.maximum(tenants[f"{name}_nominal"][slots], 0)
    derived = np.flatnonzero((tenants[f"{name}_nominal"][slots] == NOT_GIVEN) & reserved)
    per_period = ratio.tokens_per_s * pool.period_s
    bases = tenants["base"][slots[derived]].tolist()
    nominal[derived] = [ratio.amount * base // per_period for base in bases]
    return Rights(nominal, tenants[f"{name}_borrowing"][slots], tenants[f"{name}_lending"][slots])
