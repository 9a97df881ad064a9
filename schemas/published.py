"""What backends and operators publish (spec/interface.md, "What may be published")."""

import itertools
from enum import StrEnum
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, AliasChoices, Field, WithJsonSchema, model_validator

from schemas.entitlements import (
    BlockTokens,
    BurstKnot,
    ConcurrencyQuota,
    DebtBound,
    HalfLife,
    KvQuota,
    RateQuota,
    ReplicaConcurrency,
    ReplicaKvBlocks,
    Replicas,
    ReplicaTokensPerS,
)
from schemas.forecasting import BidOn, BidOnName
from schemas.gateways import REPORTS
from schemas.loops import Rebalancing, SlaLoop
from schemas.market import OPERATOR_COMMANDS, TENANT_COMMANDS
from schemas.model import Event, Landing, Table
from schemas.planning import PLAN_COMMANDS
from schemas.scaling import ReplicasCommand, Scaling
from schemas.units import (
    MAX_TOKENS,
    MILLION,
    Count,
    Decimal6,
    EventId,
    Label,
    Millis,
    Part6,
    PoolId,
    Price,
    Seconds,
    Source,
    Store,
    TenantId,
    Time,
    Tokens,
    Unit,
)

Model = Annotated[str, Field(max_length=256, strict=True), Unit("model that served"), Store("LowCardinality(String)")]
RequestId = Annotated[str, Field(max_length=256, strict=True), Unit("id of the request"), Store("String")]
Status = Annotated[str, Field(max_length=64, strict=True), Unit("outcome of the request"), Store("LowCardinality(String)")]
Basis = Annotated[str, Field(max_length=64, strict=True), Unit("where the numbers come from"), Store("LowCardinality(String)")]
Requests = Annotated[int, Field(ge=0, le=MAX_TOKENS, strict=True), Unit("requests"), Store("Int64", "T64, ZSTD(1)")]
KvBlocks = Annotated[int, Field(ge=0, le=MAX_TOKENS, strict=True), Unit("KV-cache blocks"), Store("Int64", "T64, ZSTD(1)")]


class UsageEvent(Event):
    """One request's tokens, reported by the backend that served it. Identified by (source, id)."""

    KIND: ClassVar[str] = "usage"
    VERSION: ClassVar[int] = 2
    TABLE: ClassVar[Table | None] = Table(
        name="usage_events",
        comment="one accepted usage event, once",
        order_by=("tenant", "source", "id"),
        landing=Landing.EVENT_ID,
        identity=("tenant", "source", "id"),
    )

    time: Time
    source: Source
    id: EventId
    tenant: TenantId
    pool: PoolId
    input_tokens: Tokens = Field(validation_alias=AliasChoices("input_tokens", "gen_ai.usage.input_tokens"))
    output_tokens: Tokens = Field(validation_alias=AliasChoices("output_tokens", "gen_ai.usage.output_tokens"))
    cached_input_tokens: Tokens = Field(
        default=0, validation_alias=AliasChoices("cached_input_tokens", "gen_ai.usage.cache_read.input_tokens")
    )
    model: Model = Field(default="", validation_alias=AliasChoices("model", "gen_ai.request.model"))
    request_id: RequestId = ""
    basis: Basis = ""
    """Of a gateway: `reported` by the runtime, `counted` on the way, or `reserved`, as nobody knows more."""

    @model_validator(mode="after")
    def _cached_is_part_of_input(self) -> Self:
        if self.cached_input_tokens > self.input_tokens:
            raise ValueError(f"cached_input_tokens: {self.cached_input_tokens} is more than input_tokens {self.input_tokens}")
        return self


class LatencyEvent(Event):
    """One request's latency, reported by the backend that served it. Identified by (source, id)."""

    KIND: ClassVar[str] = "latency"
    TABLE: ClassVar[Table | None] = Table(
        name="latency_events",
        comment="one accepted latency event, once",
        order_by=("tenant", "source", "id"),
        landing=Landing.EVENT_ID,
        identity=("tenant", "source", "id"),
        also_by=("pool", "time"),
    )

    time: Time
    source: Source
    id: EventId
    tenant: TenantId
    pool: PoolId
    latency_ms: Millis
    ttft_ms: Millis | None = None
    tpot_ms: Millis | None = None
    request_id: RequestId = ""
    status: Status = ""


class AdmissionEvent(Event):
    """What a gateway's admission did for one tenant in one interval. Identified by (source, id).

    A refusal says whose limit it met, the tenant's own or the pool's, and in which dimension.
    """

    KIND: ClassVar[str] = "admission"
    VERSION: ClassVar[int] = 2
    TABLE: ClassVar[Table | None] = Table(
        name="admission_events",
        comment="what a gateway admitted and refused of a tenant in one interval, once",
        order_by=("tenant", "source", "id"),
        landing=Landing.EVENT_ID,
        identity=("tenant", "source", "id"),
        also_by=("pool", "time"),
    )

    time: Time
    """The interval's end."""
    source: Source
    id: EventId
    tenant: TenantId
    pool: PoolId
    interval_ms: Millis
    """How long the interval was."""
    admitted: Requests
    refused_own_throughput: Requests = 0
    refused_own_kv: Requests = 0
    refused_own_concurrency: Requests = 0
    refused_pool_throughput: Requests = 0
    refused_pool_kv: Requests = 0
    refused_pool_concurrency: Requests = 0
    refused_unknown: Requests = 0
    """By a gateway without limits to decide by: its lease was over, or had not come. What they wanted is in no other count."""
    stopped: Requests = 0
    """Running requests that were stopped for others."""
    refused_tokens: Tokens = 0
    """What refused requests would have reserved: input and most output."""
    refused_kv_blocks: KvBlocks = 0
    """Likewise, KV-cache blocks."""
    peak_kv_blocks: KvBlocks = 0
    """Most blocks in use at once."""
    peak_concurrency: Requests = 0
    """Most requests in flight at once."""

    @property
    def refused(self) -> int:
        """Requests that a limit refused."""
        own = self.refused_own_throughput + self.refused_own_kv + self.refused_own_concurrency
        return own + self.refused_pool_throughput + self.refused_pool_kv + self.refused_pool_concurrency


GridStep = Annotated[int, Field(ge=1, le=MAX_TOKENS, strict=True), Unit("step of the grid"), Store("Int64")]
BasisPoints = Annotated[int, Field(ge=0, le=10_000, strict=True), Unit("basis points of what is paid"), Store("Int64")]


_MOST_GAIN = 10 * MILLION
_GAIN_JSON = {
    "anyOf": [{"type": "number", "minimum": 0, "maximum": 10}, {"type": "string", "pattern": r"^(\d(\.\d{1,6})?|10(\.0{1,6})?)$"}]
}


def _is_at_most_ten(value: int) -> int:
    if value > _MOST_GAIN:
        raise ValueError("is more than 10")
    return value


class Policy(StrEnum):
    """How a pool's surplus is divided (spec/allocation.md)."""

    SEED = "seed"
    UNIFORM_PRICE = "uniform_price"
    MAX_MIN = "max_min"
    PROPORTIONAL = "proportional"


class Tier(StrEnum):
    """What a tenant is promised under overload (TP-6)."""

    DEDICATED = "dedicated"
    GUARANTEED = "guaranteed"
    ELASTIC = "elastic"
    SPOT = "spot"
    PREEMPTIBLE = "preemptible"


class Forecaster(StrEnum):
    """How a tenant's demand in the next period is predicted (processors/demand.py)."""

    LAST_VALUE = "last_value"
    EXPONENTIAL = "exponential"
    MIXTURE = "mixture"
    """Of simple experts, with quantiles (processors/forecast)."""


ForecasterName = Annotated[Forecaster, Unit("forecaster of demand"), Store("LowCardinality(String)")]
PolicyName = Annotated[Policy, Unit("policy that divides the surplus"), Store("LowCardinality(String)")]
TierName = Annotated[Tier, Unit("tier"), Store("LowCardinality(String)")]


DebtGain = Annotated[Decimal6, AfterValidator(_is_at_most_ten), WithJsonSchema(_GAIN_JSON, mode="validation")]


class Budget(Event):
    """The most a tenant may spend in each window; windows start at multiples of `window_s` since 1970."""

    KIND: ClassVar[str] = "budget"

    amount: Annotated[Count, Unit("nanocredits"), Store("Int64")]
    window_s: Seconds


class PoolCommand(Event):
    """An operator defines or changes a pool; holds from the next period on. Identified by `id`."""

    KIND: ClassVar[str] = "pool"
    VERSION: ClassVar[int] = 5

    type: Annotated[Literal["pool"], Unit("pool"), Store("LowCardinality(String)")] = "pool"
    id: EventId
    pool: PoolId
    capacity: Annotated[Tokens, Unit("tokens per period")]
    period_s: Seconds = 60
    policy: PolicyName = Policy.SEED
    base_price: Price = 0
    reserve_price: Price = 0
    cached_weight: Part6 = 1_000_000
    forecaster: ForecasterName = Forecaster.MIXTURE
    forward_periods: Annotated[int, Field(ge=0, le=10_080, strict=True), Unit("periods"), Store("Int64")] = 60
    """How far ahead of the present period tokens are traded."""
    price_tick: GridStep = 1
    """Prices of orders are multiples of it."""
    lot: GridStep = 1
    """Quantities of orders are multiples of it."""
    max_order_tokens: Tokens | None = None
    price_min: Price | None = None
    price_max: Price | None = None
    max_open_orders: Annotated[int, Field(ge=1, le=100_000, strict=True), Unit("orders"), Store("Int64")] = 1_000
    """Most open orders of one tenant in one instrument."""
    maker_fee_bp: BasisPoints = 0
    taker_fee_bp: BasisPoints = 0
    allow_unsigned: bool = False
    """Whether tenants' commands are taken without a signature."""
    offer_unsold: bool = False
    """Whether the operator offers the period's unsold surplus on the book, at the reserve price."""
    opening_auction_s: Annotated[int, Field(ge=0, le=86_400, strict=True), Unit("seconds"), Store("Int64")] = 0
    """For how long orders of a new instrument are collected before they are uncrossed at one price; 0: they match at once."""
    replicas: Replicas | None = None
    """How many run now. Given, it is a token pool: what its replicas can do is shared by entitlement, from the next tick on."""
    replica_tokens_per_s: ReplicaTokensPerS | None = None
    """What one replica serves, input and output together."""
    replica_kv_blocks: ReplicaKvBlocks | None = None
    """What the KV cache of one replica holds."""
    replica_concurrency: ReplicaConcurrency | None = None
    """How many requests one replica serves at once."""
    kv_block_tokens: BlockTokens = 16
    """Tokens of one block."""
    debt_half_life_s: HalfLife = 600
    """In which debt fades to half."""
    debt_gain: DebtGain = 10_000_000
    """Debt at its bound multiplies a weight by 1 + this, or divides it."""
    debt_bound_s: DebtBound = 120
    """Most that is owed."""
    debt_weights: bool = False
    """Whether the policy max_min shares by weights that debt has changed."""
    burst: Annotated[list[BurstKnot], Field(max_length=16)] = Field(default_factory=list)
    """How much of what they may borrow tenants may use as the pool fills; empty: what admission does by default."""
    sla: SlaLoop | None = None
    """How bases rise and fall with tenants' latency. Null: on, as by default."""
    rebalance: Rebalancing | None = None
    """How bases follow long-term use. Null: on, as by default."""
    scaling: Scaling | None = None
    """How many replicas are asked for. Null: it is not scaled."""

    @model_validator(mode="after")
    def _says_what_a_replica_is(self) -> Self:
        for name in ("replica_tokens_per_s", "replica_kv_blocks", "replica_concurrency"):
            value = getattr(self, name)
            if (value is None) != (self.replicas is None):
                absent, given = ("replicas", name) if self.replicas is None else (name, "replicas")
                raise ValueError(f"{absent}: missing, but {given} is {getattr(self, given)}")
        return self

    @model_validator(mode="after")
    def _scales_what_a_replica_is_known_of(self) -> Self:
        if self.scaling is not None and self.scaling.enabled and self.replicas is None:
            raise ValueError("replicas: missing, but scaling is enabled")
        return self

    @model_validator(mode="after")
    def _lends_less_the_fuller_it_is(self) -> Self:
        for before, after in itertools.pairwise(self.burst):
            if after.fill <= before.fill or after.scale > before.scale:
                raise ValueError(
                    f"burst: a scale of {after.scale} millionths at a fill of {after.fill} behind {before.scale} at {before.fill}: "
                    "fill must rise, and scale must not"
                )
        return self


class ProfileCommand(Event):
    """An operator defines or changes a tenant's profile in a pool; holds from the next period on. Identified by `id`."""

    KIND: ClassVar[str] = "profile"
    VERSION: ClassVar[int] = 3

    type: Annotated[Literal["profile"], Unit("profile"), Store("LowCardinality(String)")] = "profile"
    id: EventId
    pool: PoolId
    tenant: TenantId
    base: Annotated[Tokens, Unit("tokens per period")]
    elasticity: Decimal6
    sla_ms: Millis | None = None
    budget: Budget | None = None
    tier: TierName = Tier.ELASTIC
    weight: Decimal6 = 1_000_000
    throughput: RateQuota | None = None
    """Of a token pool's tokens per second; the nominal quota is what the period allocates. Null: all limits as by default."""
    kv: KvQuota | None = None
    """Of its KV-cache blocks."""
    concurrency: ConcurrencyQuota | None = None
    """Of its requests in flight."""
    base_floor: Tokens | None = None
    """Tokens of the base that were contracted: neither the SLA loop nor rebalancing takes them. Null: of dedicated and guaranteed
    tenants the whole base, of others none."""
    bid_on: BidOnName = BidOn.MEAN
    """The mean where the pool's forecaster gives no quantiles."""

    @model_validator(mode="after")
    def _contracts_no_more_than_the_base(self) -> Self:
        if self.base_floor is not None and self.base_floor > self.base:
            raise ValueError(f"base_floor: {self.base_floor} is more than the base {self.base}")
        return self

    @model_validator(mode="after")
    def _dedicated_is_never_lent(self) -> Self:
        for name in ("throughput", "kv", "concurrency") if self.tier is Tier.DEDICATED else ():
            quota: RateQuota | KvQuota | ConcurrencyQuota | None = getattr(self, name)
            if quota is not None and quota.lending_limit:
                raise ValueError(f"{name}.lending_limit: {quota.lending_limit}, but what is dedicated is never lent")
        return self


PUBLISHED: tuple[type[Event], ...] = (
    UsageEvent,
    LatencyEvent,
    AdmissionEvent,
    PoolCommand,
    ProfileCommand,
    ReplicasCommand,
    *OPERATOR_COMMANDS,
    *PLAN_COMMANDS,
    *REPORTS,
    *TENANT_COMMANDS,
)
"""Every type that a door takes, for registration, documentation and the Avro fingerprints."""

__all__ = [
    "PUBLISHED",
    "AdmissionEvent",
    "BidOn",
    "Budget",
    "Forecaster",
    "Label",
    "LatencyEvent",
    "Policy",
    "PoolCommand",
    "ProfileCommand",
    "Tier",
    "UsageEvent",
]
