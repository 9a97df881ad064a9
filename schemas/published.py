"""What backends and operators publish (spec/interface.md, "What may be published")."""

from enum import StrEnum
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AliasChoices, Field, model_validator

from schemas.market import OPERATOR_COMMANDS, TENANT_COMMANDS
from schemas.model import Event, Landing, Table
from schemas.units import (
    MAX_TOKENS,
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


class UsageEvent(Event):
    """One request's tokens, reported by the backend that served it. Identified by (source, id)."""

    KIND: ClassVar[str] = "usage"
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


GridStep = Annotated[int, Field(ge=1, le=MAX_TOKENS, strict=True), Unit("step of the grid"), Store("Int64")]
BasisPoints = Annotated[int, Field(ge=0, le=10_000, strict=True), Unit("basis points of what is paid"), Store("Int64")]


class Policy(StrEnum):
    """How a pool's surplus is divided (spec/allocation.md)."""

    SEED = "seed"
    UNIFORM_PRICE = "uniform_price"
    MAX_MIN = "max_min"


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


ForecasterName = Annotated[Forecaster, Unit("forecaster of demand"), Store("LowCardinality(String)")]
PolicyName = Annotated[Policy, Unit("policy that divides the surplus"), Store("LowCardinality(String)")]
TierName = Annotated[Tier, Unit("tier"), Store("LowCardinality(String)")]


class Budget(Event):
    """The most a tenant may spend in each window; windows start at multiples of `window_s` since 1970."""

    KIND: ClassVar[str] = "budget"

    amount: Annotated[Count, Unit("nanocredits"), Store("Int64")]
    window_s: Seconds


class PoolCommand(Event):
    """An operator defines or changes a pool; holds from the next period on. Identified by `id`."""

    KIND: ClassVar[str] = "pool"
    VERSION: ClassVar[int] = 2

    type: Annotated[Literal["pool"], Unit("pool"), Store("LowCardinality(String)")] = "pool"
    id: EventId
    pool: PoolId
    capacity: Annotated[Tokens, Unit("tokens per period")]
    period_s: Seconds = 60
    policy: PolicyName = Policy.SEED
    base_price: Price = 0
    reserve_price: Price = 0
    cached_weight: Part6 = 1_000_000
    forecaster: ForecasterName = Forecaster.LAST_VALUE
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


class ProfileCommand(Event):
    """An operator defines or changes a tenant's profile in a pool; holds from the next period on. Identified by `id`."""

    KIND: ClassVar[str] = "profile"

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


PUBLISHED: tuple[type[Event], ...] = (UsageEvent, LatencyEvent, PoolCommand, ProfileCommand, *OPERATOR_COMMANDS, *TENANT_COMMANDS)
"""Every type that a door takes, for registration, documentation and the Avro fingerprints."""

__all__ = [
    "PUBLISHED",
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
