"""What the SLA loop and rebalancing decided (processors/loops)."""

from typing import Annotated, ClassVar

from schemas.columns import NumberColumn, PerTenant, TokenColumn
from schemas.fact import Fact, fact_table
from schemas.loops import (
    BaseChangeName,
    BaseReasonName,
    Hours,
    Observations,
    Periods,
    RequestCount,
    SmallestStep,
    Trials,
)
from schemas.model import Table
from schemas.units import (
    Decimal6,
    EventId,
    Label,
    Millis,
    Number,
    Partition,
    Period,
    PerRow,
    Seconds,
    Store,
    TenantId,
    Tick,
    Time,
    Tokens,
    TokenSum,
    Unit,
)

MillisColumn = Annotated[list[Millis], PerRow()]
MillisOrNoneColumn = Annotated[list[Annotated[Number, Unit("milliseconds")] | None], PerRow()]
PeriodsColumn = Annotated[list[Annotated[Number, Unit("periods")]], PerRow()]


class LoopsSet(Fact):
    """How a pool's loops react from the end of the open period on; `processors/sla.py` and `rebalance.py` say what each means."""

    KIND: ClassVar[str] = "loops_set"
    TABLE: ClassVar[Table | None] = fact_table(
        "loops", "one version of how a pool's SLA loop and rebalancing react", "pool", "version"
    )

    id: EventId
    version: Number
    """Of the pool."""
    sla_enabled: bool
    """Whether the SLA loop is on."""
    sla_quantile: Decimal6
    sla_window: Periods
    sla_breaches: Periods
    sla_min_requests: RequestCount
    sla_margin: Decimal6
    sla_gain: Decimal6
    sla_busy: Decimal6
    sla_step: Decimal6
    sla_bound: Decimal6
    sla_decay: Decimal6
    sla_patience: Trials
    sla_hold: Periods
    sla_rest: Periods
    sla_longest: Periods
    rebalance_enabled: bool
    """Whether rebalancing is on."""
    rebalance_quantile: Decimal6
    rebalance_step: Decimal6
    rebalance_smallest: SmallestStep
    rebalance_band: Decimal6
    rebalance_fewest: Observations
    rebalance_look_back_h: Hours


class BaseFloorSet(Fact):
    """What of a tenant's base was contracted, as a version of its profile says. Null: as nothing was said."""

    KIND: ClassVar[str] = "base_floor_set"
    TABLE: ClassVar[Table | None] = fact_table(
        "base_floors", "one version of what of a base was contracted", "pool", "tenant", "from_period", "version"
    )

    id: EventId
    version: Number
    """Of the profile."""
    from_period: Period
    tenant: TenantId
    base_floor: Annotated[Tokens | None, Unit("tokens per period that neither loop takes")]


class LatenciesCounted(Fact):
    """A meter's latencies counted towards a period, of tenants that have an SLA; histograms as in LatencySums."""

    KIND: ClassVar[str] = "latencies_counted"

    period: Period
    meter_topic: Label
    meter_partition: Partition
    tick: Tick
    chunk: Number
    tenant: PerTenant
    owner: list[Number]
    bucket: list[Number]
    count: list[Number]


class SlaMeasured(Fact):
    """Tenants' latencies held against their SLAs at a period's end, and what the SLA loop remembers from then on.

    Tenants that have an SLA, and those of which its memory changed.
    """

    KIND: ClassVar[str] = "sla_measured"
    TABLE: ClassVar[Table | None] = fact_table(
        "sla_periods", "a tenant's latency of one period beside its SLA, and the SLA loop's memory", "pool", "period", "tenant"
    )

    period: Period
    period_start: Time
    quantile: Decimal6
    """Of latency."""
    tenant: PerTenant
    sla_ms: MillisOrNoneColumn
    """Null: none."""
    latency_ms: MillisOrNoneColumn
    """At least; null: no request."""
    latency_upper_ms: MillisOrNoneColumn
    """At most, less than 1/64 more."""
    requests: NumberColumn
    boost: TokenColumn
    """What the tenant has beyond its base from the next period on."""
    paid: TokenColumn
    """What others have of its base."""
    useful: TokenColumn
    """The boost that has shown to help."""
    breached: NumberColumn
    """A bit for each of the last judged periods, the newest lowest: 1 where the SLA was exceeded."""
    total: MillisColumn
    """Sum of the quantiles of the present trial."""
    measured: NumberColumn
    """How many those are."""
    reference: MillisOrNoneColumn
    """Mean quantile before the step that is on trial; null: none is."""
    vain: NumberColumn
    """Vain trials in a row."""
    calm: PeriodsColumn
    """Calm periods since the last breach or release."""
    hold: PeriodsColumn
    """Calm periods that the first release after a step takes now."""
    resting: PeriodsColumn
    """For which no step is taken."""
    rest: PeriodsColumn
    """How many those will be next time."""
    marks: NumberColumn
    """1: released since the last step; 2: told that nothing more can be given."""


class NeedsTaken(Fact):
    """What tenants need in the long run, as a proposal says; with its last chunk bases are rebalanced."""

    KIND: ClassVar[str] = "needs_taken"
    TABLE: ClassVar[Table | None] = fact_table(
        "needs", "what a tenant needs in the long run, as of a time", "pool", "as_of", "tenant"
    )

    id: EventId
    as_of: Time
    """End of the look-back."""
    look_back_s: Seconds
    chunk: Number
    """From 0."""
    chunks: Number
    tenant: PerTenant
    need: TokenColumn
    """Per period."""


class Rebalanced(Fact):
    """A proposal was carried out; the bases that changed follow, and hold from the next period on."""

    KIND: ClassVar[str] = "rebalanced"
    TABLE: ClassVar[Table | None] = fact_table("rebalances", "one step of all bases towards long-term use", "pool", "period")

    id: EventId
    period: Period
    """In which it was decided."""
    as_of: Time
    """End of the look-back."""
    moved: TokenSum
    """In all."""
    gave: Annotated[Number, Unit("tenants")]
    """Whose base fell."""
    got: Annotated[Number, Unit("tenants")]
    """Whose base rose."""


class BaseChanges(Fact):
    """Changes of tenants' bases, one after the other; they hold from the period after this one.

    Each move of tokens is two rows, of who gave and of who got: `counterparty` is the other one. `before` and `after` are all that
    the tenant has without the auction: base + boost - what others have of it.
    """

    KIND: ClassVar[str] = "base_changes"
    TABLE: ClassVar[Table | None] = fact_table(
        "sla", "one change of a tenant's base, with its reason and who paid or got it", "pool", "period", "tenant"
    )

    period: Period
    """In which, or at whose end, it was decided."""
    period_start: Time
    tenant: PerTenant
    kind: Annotated[list[BaseChangeName], PerRow()]
    before: TokenColumn
    after: TokenColumn
    reason: Annotated[list[BaseReasonName], PerRow()]
    counterparty: Annotated[list[Annotated[str, Unit("the tenant on the other side; empty: none"), Store("String")]], PerRow()]


LOOP_FACTS: tuple[type[Fact], ...] = (
    LoopsSet,
    BaseFloorSet,
    LatenciesCounted,
    SlaMeasured,
    NeedsTaken,
    Rebalanced,
    BaseChanges,
)
