"""What a tenant may use of a pool: three dimensions, each with a quota (Kueue's words; the pool is the cohort).

The dimensions are those of token pools (arXiv 2603.00356): a request costs tokens of throughput, blocks of the KV cache for as
long as it runs, and one of the slots in which requests run.
"""

from collections.abc import Iterable
from enum import IntEnum
from typing import NamedTuple

import numpy as np

from processors.allocation.exact import Ints
from schemas.published import Tier

TIERS: tuple[Tier, ...] = tuple(Tier)
"""A tier's number in columns is its place here: the order in which tiers have their promises kept."""

DEDICATED, GUARANTEED, ELASTIC, SPOT, PREEMPTIBLE = range(len(TIERS))

RESERVED = (DEDICATED, GUARANTEED)
"""Tiers whose nominal quotas are promised: together they never exceed the capacity."""

SHARING = (ELASTIC, SPOT, PREEMPTIBLE)
"""Tiers that share what is left, in this order."""

UNLIMITED = 2**63 - 1
"""In columns of borrowing and lending limits: none."""


def precedence(tiers: Iterable[Tier]) -> Ints:
    """Whose base comes first where a token pool is short of capacity: dedicated, then guaranteed, then everybody else at once."""
    return np.minimum(np.array([TIERS.index(tier) for tier in tiers], np.int64), ELASTIC)


class Dimension(IntEnum):
    """What of a pool is used up, in the order in which columns, quotas and capacities are written everywhere."""

    THROUGHPUT = 0
    """Tokens per second, of input and output. Used up by being spent; refilled by time."""
    KV = 1
    """Blocks of the KV cache. Space: free again when a request ends."""
    CONCURRENCY = 2
    """Requests in flight. Space, as well."""


class Quota(NamedTuple):
    """What one tenant may use of one dimension during one tick; throughput in tokens per second.

    Attributes:
        nominal: the tenant's right.
        borrowing: how far above it the tenant may go; None: as far as the pool has idle capacity.
        kept: how much of the capacity is kept free for the tenant even while it does not use it.
    """

    nominal: int
    borrowing: int | None
    kept: int


class TenantLimits(NamedTuple):
    """A tenant's tier and its quota in every dimension, in the order of `Dimension`, for one tick."""

    tier: Tier
    quotas: tuple[Quota, Quota, Quota]


class Capacity(NamedTuple):
    """What a pool has of every dimension, in the order of `Dimension`: replicas times what one replica has."""

    throughput: int
    kv: int
    concurrency: int
