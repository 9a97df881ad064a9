"""What the engine decided about capacity. What the market decided: schemas/market_facts.py.

Facts about many tenants are columns, split into chunks of at most CHUNK_ROWS tenants in the byte order of their ids.
"""

from enum import StrEnum
from typing import Annotated, ClassVar

from schemas.columns import (
    MillionthsColumn,
    MoneyColumn,
    MoneyOrNoneColumn,
    NumberColumn,
    NumberOrNoneColumn,
    PerTenant,
    TokenColumn,
)
from schemas.fact import Fact, fact_table
from schemas.forecasting import BidOn, BidOnName
from schemas.lease_facts import LEASE_FACTS
from schemas.ledgering import Asset, CodeName, EntryName
from schemas.loop_facts import LOOP_FACTS
from schemas.market_facts import MARKET_FACTS
from schemas.model import Table
from schemas.planning_facts import PLANNING_FACTS
from schemas.published import BasisPoints, ForecasterName, PolicyName, TierName
from schemas.scaling_facts import SCALING_FACTS
from schemas.sharing_facts import SHARING_FACTS
from schemas.units import (
    Count,
    Decimal6,
    EventId,
    Label,
    Millis,
    Money,
    Name,
    Number,
    Partition,
    Period,
    PerRow,
    Price,
    Seconds,
    Store,
    TenantId,
    Text,
    Tick,
    Time,
    Tokens,
    TokenSum,
    Unit,
)


class Reason(StrEnum):
    """Why a command was refused."""

    UNKNOWN_POOL = "unknown_pool"
    OVERSUBSCRIBED = "oversubscribed"
    PERIOD_NOT_WHOLE_TICKS = "period_not_whole_ticks"
    PERIOD_FIXED = "period_fixed"
    EXCEEDS_MONEY = "exceeds_money"
    SOLD_FORWARD = "sold_forward"
    """The base would fall below what the tenant has sold of forward periods."""
    UNKNOWN_TENANT = "unknown_tenant"
    INSUFFICIENT_MONEY = "insufficient_money"
    KEY_OF_ANOTHER = "key_of_another"
    """The key is registered to another tenant."""
    UNKNOWN_INSTRUMENT = "unknown_instrument"
    WRONG_PHASE = "wrong_phase"
    INVALID_AMOUNT = "invalid_amount"
    LENDING_ABOVE_NOMINAL = "lending_above_nominal"
    INVALID_SETTING = "invalid_setting"
    """Of the SLA loop or of rebalancing: out of its range, or against another one."""
    REBALANCING_OFF = "rebalancing_off"
    REBALANCED_ALREADY = "rebalanced_already"
    """In this period."""
    STALE = "stale"
    """A proposal that is not newer than the last one, or too old."""
    CHUNK_MISSING = "chunk_missing"
    KEEPS_NO_PROFILES = "keeps_no_profiles"
    """Priors for a pool whose forecaster is not the mixture."""
    NO_TOKEN_POOL = "no_token_pool"  # noqa: S105  no secret: tokens of work
    """Replicas of a pool of which nobody has said what a replica does."""
    ABOVE_MAX_REPLICAS = "above_max_replicas"
    """What is promised would need more replicas than the pool may be scaled to."""


ReasonName = Annotated[Reason, Unit("why"), Store("LowCardinality(String)")]


class Ticked(Fact):
    """Time went on in this journal partition."""

    KIND: ClassVar[str] = "ticked"

    tick: Tick
    tick_ms: Millis
    meter_partitions: Number
    grace_ticks: Number


class MeterMarked(Fact):
    """A meter reported everything up to this tick."""

    KIND: ClassVar[str] = "meter_marked"

    meter_topic: Label
    meter_partition: Partition
    tick: Tick


class CommandRefused(Fact):
    """A command that could be read was refused; nothing changed."""

    KIND: ClassVar[str] = "command_refused"
    TABLE: ClassVar[Table | None] = fact_table("refusals", "one refused command", "pool", "journal_offset", "fact_index")

    command: Label
    command_id: EventId
    tenant: Annotated[str, Unit("id of the tenant, empty where the command names none"), Store("String")]
    reason: ReasonName
    detail: Text


class PoolSet(Fact):
    """A version of a pool and the period from which it holds: 0 in a journal in which no tick stands yet, and then tick_ms is 0."""

    KIND: ClassVar[str] = "pool_set"
    VERSION: ClassVar[int] = 2
    TABLE: ClassVar[Table | None] = fact_table("pools", "one version of a pool", "pool", "from_period", "version")

    id: EventId
    version: Number
    from_period: Period
    capacity: Annotated[Tokens, Unit("tokens per period")]
    period_s: Seconds
    tick_ms: Millis
    policy: PolicyName
    base_price: Price
    reserve_price: Price
    cached_weight: Decimal6
    forecaster: ForecasterName
    forward_periods: Annotated[Number, Unit("periods")] = 60
    price_tick: Price = 1
    lot: Tokens = 1
    max_order_tokens: Tokens | None = None
    price_min: Price | None = None
    price_max: Price | None = None
    max_open_orders: Annotated[Number, Unit("orders")] = 1_000
    maker_fee_bp: BasisPoints = 0
    taker_fee_bp: BasisPoints = 0
    allow_unsigned: bool = False
    """Whether tenants' commands are taken without a signature."""
    offer_unsold: bool = False
    """Whether the operator offers the period's unsold surplus on the book, at the reserve price."""
    opening_auction_s: Annotated[Number, Unit("seconds")] = 0


class ProfileSet(Fact):
    """A version of a tenant's profile and the period from which it holds."""

    KIND: ClassVar[str] = "profile_set"
    VERSION: ClassVar[int] = 2
    TABLE: ClassVar[Table | None] = fact_table(
        "profiles", "one version of a tenant's profile", "pool", "tenant", "from_period", "version"
    )

    id: EventId
    version: Number
    from_period: Period
    tenant: TenantId
    base: Annotated[Tokens, Unit("tokens per period")]
    elasticity: Decimal6
    sla_ms: Millis | None
    budget_amount: Money | None
    budget_window_s: Seconds | None
    tier: TierName
    weight: Decimal6
    bid_on: BidOnName = BidOn.MEAN


class UsageCounted(Fact):
    """Metered usage counted towards a period. `used` is input + output, cached input weighted and floored (spec/interface.md).

    `period` is the one in which it was metered, or the open one if that is later. If it never opens, as no clock ticked
    meanwhile, the usage counts in the next one that does.
    """

    KIND: ClassVar[str] = "usage_counted"

    period: Period
    meter_topic: Label
    meter_partition: Partition
    tick: Tick
    chunk: Number
    tenant: PerTenant
    requests: NumberColumn
    used: TokenColumn


class UsageUnrouted(Fact):
    """Metered usage of a pool that nobody has defined: it had nowhere to count."""

    KIND: ClassVar[str] = "usage_unrouted"
    TABLE: ClassVar[Table | None] = fact_table(
        "unrouted_usage", "what a tenant used of a pool that does not exist", "pool", "tick", "tenant"
    )

    meter_topic: Label
    meter_partition: Partition
    tick: Tick
    chunk: Number
    tenant: PerTenant
    requests: NumberColumn
    input_tokens: TokenColumn
    cached_input_tokens: TokenColumn
    output_tokens: TokenColumn


class Forecasts(Fact):
    """What tenants are expected to demand in a period; quantiles are null where the forecaster gives only a mean."""

    KIND: ClassVar[str] = "forecasts"
    TABLE: ClassVar[Table | None] = fact_table("forecasts", "one forecast of a tenant's demand", "pool", "period", "tenant")

    period: Period
    period_start: Time
    forecaster: ForecasterName
    tenant: PerTenant
    mean: TokenColumn
    p50: NumberOrNoneColumn
    p90: NumberOrNoneColumn
    p99: NumberOrNoneColumn


class PeriodOpened(Fact):
    """A period began: the pool version in force and the auction's outcome as a whole. Its AllocationsOpened follow."""

    KIND: ClassVar[str] = "period_opened"

    period: Period
    period_start: Time
    period_s: Seconds
    policy: PolicyName
    capacity: TokenSum
    base_price: Price
    reserve_price: Price
    price: Price
    allocated: TokenSum
    unallocated: TokenSum
    tenants: Number


class _OfPeriod(Fact):
    period: Period


class _OfClosedPeriod(_OfPeriod):
    period_start: Time
    policy: PolicyName
    price: Price


class _Outcomes(Fact):
    """What tenants got, and from what. Of several bases a fact has the fields of the last one first."""

    tenant: PerTenant
    base: TokenColumn
    elasticity: MillionthsColumn
    weight: MillionthsColumn
    demand: TokenColumn
    budget_left: MoneyOrNoneColumn
    bid: TokenColumn
    rank: NumberOrNoneColumn
    surplus: TokenColumn
    bought: TokenColumn
    """In the market."""
    sold: TokenColumn
    allocated: TokenColumn
    """base + surplus + bought - sold."""
    charge: MoneyColumn
    shortfall: TokenColumn


class AllocationsOpened(_Outcomes, _OfPeriod):
    """What tenants may use in the period that begins, with what decided it. A row's bid, rank and room explain it."""

    KIND: ClassVar[str] = "allocations_opened"
    VERSION: ClassVar[int] = 2


class Postings(Fact):
    """Rows of the ledger, in this order: each moves an amount between two accounts, or sets it aside, or frees it.

    Those of one journal record are linked: all of them hold, or none was written.
    """

    KIND: ClassVar[str] = "postings"
    VERSION: ClassVar[int] = 2
    TABLE: ClassVar[Table | None] = fact_table(
        # In the order of the journal, in which it is audited: `period` never falls along it.
        "ledger",
        "one posting: what one account paid another, or set aside",
        "pool",
        "period",
        "journal_offset",
        "fact_index",
    )

    period: Period
    """The pool's open period when it was written."""
    entry: Annotated[list[EntryName], PerRow()]
    code: Annotated[list[CodeName], PerRow()]
    asset: Annotated[list[Asset], PerRow()]
    hold: Annotated[list[Annotated[str, Unit("the hold that is set aside, captured or freed"), Store("String")]], PerRow()]
    debit_account: Annotated[list[Annotated[str, Unit("account that pays"), Store("String")]], PerRow()]
    credit_account: Annotated[list[Annotated[str, Unit("account that is paid"), Store("String")]], PerRow()]
    amount: Annotated[list[Annotated[Count, Unit("nanocredits, or tokens"), Store("Int64", "T64, ZSTD(1)")]], PerRow()]


class AllocationsClosed(_Outcomes, _OfClosedPeriod):
    """Tenants' outcome of a closed period: everything an auditor needs to compute the row again."""

    KIND: ClassVar[str] = "allocations_closed"
    VERSION: ClassVar[int] = 2
    TABLE: ClassVar[Table | None] = fact_table(
        "allocations", "one tenant's outcome of one period, auditable from the row", "pool", "period", "tenant"
    )

    used: TokenColumn
    requests: NumberColumn


class PeriodClosed(Fact):
    """A period ended; `state_hash` is the hash of the pool's whole state in which it ended, all usage counted (BEY-1)."""

    KIND: ClassVar[str] = "period_closed"
    TABLE: ClassVar[Table | None] = fact_table("periods", "one closed period of a pool", "pool", "period")

    period: Period
    period_start: Time
    period_s: Seconds
    policy: PolicyName
    capacity: TokenSum
    price: Price
    allocated: TokenSum
    unallocated: TokenSum
    used: TokenSum
    tenants: Number
    closed_tick: Tick
    late_meters: list[Name]
    """Meters that had not reported when the grace ran out, as "topic/partition"; empty when the barrier was met."""
    state_hash: Annotated[str, Unit("BLAKE2b-256 of the pool's state, hex"), Store("String")]


FACTS: tuple[type[Fact], ...] = (
    Ticked,
    MeterMarked,
    CommandRefused,
    PoolSet,
    ProfileSet,
    UsageCounted,
    UsageUnrouted,
    Forecasts,
    PeriodOpened,
    AllocationsOpened,
    Postings,
    AllocationsClosed,
    PeriodClosed,
    *MARKET_FACTS,
    *SHARING_FACTS,
    *LOOP_FACTS,
    *PLANNING_FACTS,
    *LEASE_FACTS,
    *SCALING_FACTS,
)
