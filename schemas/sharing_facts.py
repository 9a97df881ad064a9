"""What the engine decided about who may use what of a pool's physical capacity (processors/sharing)."""

from typing import Annotated, ClassVar

from schemas.columns import (
    Blocks,
    BlocksColumn,
    BlocksOrNoneColumn,
    PerTenant,
    Rate,
    RateColumn,
    RateOrNoneColumn,
    Requests,
    RequestsColumn,
    RequestsOrNoneColumn,
    TierColumn,
    TokenColumn,
)
from schemas.entitlements import BlockTokens, DebtBound, HalfLife, ReplicaConcurrency, ReplicaKvBlocks, Replicas, ReplicaTokensPerS
from schemas.fact import Fact, fact_table
from schemas.model import Table
from schemas.units import (
    Decimal6,
    EventId,
    Label,
    Millionths,
    Millis,
    Number,
    Partition,
    Period,
    PerRow,
    Store,
    TenantId,
    Tick,
    Time,
    TokenSum,
    Unit,
)

Debt = Annotated[int, Unit("thousandths of a token"), Store("Int64", "T64, ZSTD(1)")]


class AtTick(Fact):
    """What holds from a tick on: when that was, and in which period."""

    at: Time
    tick: Tick
    period: Period


class Quotas(Fact):
    """Tenants and what each may use. Of several bases a fact has the fields of the last one first."""

    tenant: PerTenant
    tier: TierColumn
    throughput_nominal: RateColumn
    throughput_borrowing: RateOrNoneColumn
    throughput_kept: RateColumn
    kv_nominal: BlocksColumn
    kv_borrowing: BlocksOrNoneColumn
    kv_kept: BlocksColumn
    concurrency_nominal: RequestsColumn
    concurrency_borrowing: RequestsOrNoneColumn
    concurrency_kept: RequestsColumn


class TokenPoolSet(Fact):
    """A pool's physical capacity and how it is shared, from the next tick on. Null replicas: it is no token pool any more."""

    KIND: ClassVar[str] = "token_pool_set"
    TABLE: ClassVar[Table | None] = fact_table("token_pools", "one version of a pool's physical capacity", "pool", "version")

    id: EventId
    version: Number
    """Of the pool."""
    tick: Tick
    """The last tick before it."""
    at: Time
    replicas: Replicas | None
    replica_tokens_per_s: ReplicaTokensPerS | None
    replica_kv_blocks: ReplicaKvBlocks | None
    replica_concurrency: ReplicaConcurrency | None
    kv_block_tokens: BlockTokens
    debt_half_life_s: HalfLife
    debt_gain: Decimal6
    debt_bound_s: DebtBound
    debt_weights: bool
    """Whether the policy max_min shares by weights that debt has changed."""
    burst_fill: list[Millionths]
    """Filled so far, the pool lets tenants use `burst_scale` of what they may borrow; empty: the default of admission."""
    burst_scale: list[Millionths]


class EntitlementSet(Fact):
    """A version of a tenant's entitlement beside its base, and the period from which it holds. Null: as nothing was said."""

    KIND: ClassVar[str] = "entitlement_set"
    TABLE: ClassVar[Table | None] = fact_table(
        "entitlements", "one version of a tenant's entitlement", "pool", "tenant", "from_period", "version"
    )

    id: EventId
    version: Number
    """Of the profile."""
    from_period: Period
    tenant: TenantId
    throughput_borrowing: Rate | None
    throughput_lending: Rate | None
    kv_nominal: Blocks | None
    kv_borrowing: Blocks | None
    kv_lending: Blocks | None
    concurrency_nominal: Requests | None
    concurrency_borrowing: Requests | None
    concurrency_lending: Requests | None


class AdmissionsCounted(Fact):
    """What gateways reported of a pool's admission; what was wanted of it counts as demand from the next tick on."""

    KIND: ClassVar[str] = "admissions_counted"

    meter_topic: Label
    meter_partition: Partition
    tick: Tick
    chunk: Number
    tenant: PerTenant
    refused_tokens: TokenColumn
    wanted_kv: BlocksColumn
    wanted_concurrency: RequestsColumn


class CapacityShared(AtTick):
    """A tick's sharing of a pool as a whole; Debts, Limits and Shortfalls that changed follow it.

    Of each dimension: the capacity, what of it dedicated and guaranteed tenants were promised (as far as it is there), how much of
    that is lent as they don't need it, and what is kept for tenants, used or not.
    """

    KIND: ClassVar[str] = "capacity_shared"
    TABLE: ClassVar[Table | None] = fact_table("capacity", "how a pool's capacity was shared at one tick", "pool", "period", "tick")

    metered_tick: Tick
    """The tick up to which usage is counted in this one."""
    elapsed_ms: Millis
    """How long what is counted took; 0: nothing was reported since the last tick."""
    served: TokenSum
    wanted: TokenSum
    """Tokens served and refused."""
    throughput: Rate
    throughput_promised: Rate
    throughput_lent: Rate
    throughput_kept: Rate
    kv: Blocks
    kv_promised: Blocks
    kv_lent: Blocks
    kv_kept: Blocks
    concurrency: Requests
    concurrency_promised: Requests
    concurrency_lent: Requests
    concurrency_kept: Requests


class Debts(AtTick):
    """Tenants' debts that changed, and why: debt fades, grows by what was due, and falls by what was served."""

    KIND: ClassVar[str] = "debts"
    TABLE: ClassVar[Table | None] = fact_table("debts", "a tenant's debt from one tick on", "pool", "period", "tenant", "tick")

    tenant: PerTenant
    debt: Annotated[list[Debt], PerRow()]
    """What the tenant is owed; below 0: what it owes."""
    rate: RateColumn
    """What it is entitled to in the long run, which debt is measured by."""
    due: TokenColumn
    served: TokenColumn
    wanted: TokenColumn
    factor: Annotated[list[Millionths], PerRow()]
    """What its weight is multiplied by."""


class Limits(Quotas, AtTick):
    """Tenants' limits that changed, from this tick on; a null borrowing limit is none."""

    KIND: ClassVar[str] = "limits"
    TABLE: ClassVar[Table | None] = fact_table(
        "limits", "what a tenant may use from one tick on", "pool", "period", "tenant", "tick"
    )


class Shortfalls(AtTick):
    """Alarm: what capacity lacks for promises of dedicated and guaranteed tenants, where it changed; 0: the promise holds again.

    What a tenant then wants of its promise and does not get is debt.
    """

    KIND: ClassVar[str] = "shortfalls"
    TABLE: ClassVar[Table | None] = fact_table(
        "shortfalls", "what a promise lacks from one tick on", "pool", "period", "tenant", "tick"
    )

    tenant: PerTenant
    tier: TierColumn
    dimension: Annotated[list[Label], PerRow()]
    """throughput, kv or concurrency."""
    promised: Annotated[list[Annotated[Number, Unit("tokens per second, blocks or requests")]], PerRow()]
    shortfall: Annotated[list[Annotated[Number, Unit("tokens per second, blocks or requests")]], PerRow()]


SHARING_FACTS: tuple[type[Fact], ...] = (
    TokenPoolSet,
    EntitlementSet,
    AdmissionsCounted,
    CapacityShared,
    Debts,
    Limits,
    Shortfalls,
)
