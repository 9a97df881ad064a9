"""State of a token pool: its physical capacity, and what is kept for each tenant beside the columns that every pool has.

Only pools of which an operator has stated replicas or quotas have it: 38 columns more, 304 bytes a tenant, 30 MB at 100,000.
"""

from dataclasses import dataclass, field

import numpy as np

from processors.debt import DebtSettings
from processors.entitlement import GUARANTEED, UNLIMITED, Capacity
from processors.tenants import Tenants

NOT_GIVEN = -1
"""In columns of nominal quotas: the operator said none."""

DIMENSIONS: tuple[str, str, str] = ("throughput", "kv", "concurrency")
"""Names of `Dimension`, in columns and facts."""

_QUOTAS: dict[str, int] = {
    "throughput_borrowing": UNLIMITED,
    "throughput_lending": UNLIMITED,
    "kv_nominal": NOT_GIVEN,
    "kv_borrowing": UNLIMITED,
    "kv_lending": UNLIMITED,
    "concurrency_nominal": NOT_GIVEN,
    "concurrency_borrowing": UNLIMITED,
    "concurrency_lending": UNLIMITED,
}

QUOTAS: tuple[str, ...] = tuple(_QUOTAS)
"""What an operator says of a tenant; in force from the next period on, as the profile."""

LIMITS: tuple[str, ...] = tuple(f"{dimension}_{part}" for dimension in DIMENSIONS for part in ("nominal", "borrowing", "kept"))
"""What is published of a tenant each tick, as fields of facts; their columns have `told_` before it."""

SHORTFALLS: tuple[str, ...] = tuple(f"{dimension}_shortfall" for dimension in DIMENSIONS)

SHARING_COLUMNS: dict[str, int] = {
    **{f"declared_{name}": initial for name, initial in _QUOTAS.items()},
    **_QUOTAS,
    # The weight of the profile in force; `weight` is what the period was allocated by, which debt may have changed.
    "profile_weight": 0,
    # Counted since the last tick that was shared.
    "tick_served": 0,
    "tick_refused": 0,
    "tick_wanted_kv": 0,
    "tick_wanted_concurrency": 0,
    # Demand of the last ticks (processors/limits.py, `remembered`).
    "recent_throughput": 0,
    "recent_kv": 0,
    "recent_concurrency": 0,
    # Thousandths of a token (processors/debt.py).
    "debt": 0,
    # As last published. No tier is -1: what is new is published.
    "told_tier": -1,
    **{f"told_{name}": 0 for name in LIMITS},
    **dict.fromkeys(SHORTFALLS, 0),
}


@dataclass(frozen=True, slots=True)
class SharingTerms:
    """One version of a pool's physical capacity, per replica, and how it is shared. Holds from the tick after it was stated."""

    replicas: int
    replica_tokens_per_s: int
    replica_kv_blocks: int
    replica_concurrency: int
    kv_block_tokens: int
    debt_half_life_s: int
    debt_gain: int
    debt_bound_s: int
    debt_weights: bool
    burst_fill: tuple[int, ...]
    burst_scale: tuple[int, ...]

    @property
    def capacity(self) -> Capacity:
        """Of the pool."""
        return Capacity(
            self.replicas * self.replica_tokens_per_s,
            self.replicas * self.replica_kv_blocks,
            self.replicas * self.replica_concurrency,
        )

    @property
    def debt(self) -> DebtSettings:
        """How debts fade and weigh."""
        return DebtSettings(self.debt_half_life_s, self.debt_gain, self.debt_bound_s)


@dataclass(slots=True)
class Promised:
    """Sums of what is declared for dedicated and guaranteed tenants, or what one of them adds.

    `kv_base` and `concurrency_base` are the bases of those who are promised the same part of that dimension as of throughput.
    """

    base: int = 0
    kv: int = 0
    kv_base: int = 0
    concurrency: int = 0
    concurrency_base: int = 0

    def plus(self, other: "Promised", sign: int = 1) -> "Promised":
        """Both together; with a sign of -1 this without the other."""
        return Promised(*(mine + sign * its for mine, its in zip(self.numbers, other.numbers, strict=True)))

    @property
    def numbers(self) -> tuple[int, int, int, int, int]:
        """All sums, in their order."""
        return self.base, self.kv, self.kv_base, self.concurrency, self.concurrency_base


@dataclass(slots=True)
class Sharing:
    """What a token pool has besides its tenants' columns.

    Attributes:
        terms: None while no replicas are stated: quotas are known, but nothing is shared.
        metered_tick: up to which demand and debts have counted usage; -1: not begun.
        promised: of all tenants.
    """

    terms: SharingTerms | None = None
    metered_tick: int = -1
    promised: Promised = field(default_factory=Promised)


def promised_to(*, tier: int, base: int, kv: int, concurrency: int) -> Promised:
    """What a tenant's declaration adds: nothing but in the reserved tiers. Quotas may be NOT_GIVEN."""
    if tier > GUARANTEED:
        return Promised()
    return Promised(
        base,
        max(kv, 0),
        base if kv == NOT_GIVEN else 0,
        max(concurrency, 0),
        base if concurrency == NOT_GIVEN else 0,
    )


def declared_promise(tenants: Tenants, slot: int) -> Promised:
    """What a tenant adds as it is declared."""
    tier, base, kv, concurrency = (
        int(tenants[f"declared_{name}"][slot]) for name in ("tier", "base", "kv_nominal", "concurrency_nominal")
    )
    return promised_to(tier=tier, base=base, kv=kv, concurrency=concurrency)


def all_promised(tenants: Tenants) -> Promised:
    """The sums over all tenants. In Python's integers: before replicas are stated each quota is only bounded by MAX_QUOTA.

    Of a pool that is no token pool, and never was one, no quota is given.
    """
    reserved = np.flatnonzero((tenants["declared_tier"] <= GUARANTEED) & (tenants["declared_version"] > 0))
    base = tenants["declared_base"][reserved].tolist()
    kv, concurrency = (
        tenants[name][reserved].tolist() if name in tenants.columns else [NOT_GIVEN] * reserved.size
        for name in ("declared_kv_nominal", "declared_concurrency_nominal")
    )
    return Promised(
        sum(base),
        sum(quota for quota in kv if quota > 0),
        sum(own for own, quota in zip(base, kv, strict=True) if quota == NOT_GIVEN),
        sum(quota for quota in concurrency if quota > 0),
        sum(own for own, quota in zip(base, concurrency, strict=True) if quota == NOT_GIVEN),
    )
