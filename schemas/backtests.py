"""What `bourse backtest --record` keeps in ClickHouse: figures that were computed from a stretch of a journal.

They are no facts: no decision follows from them, and none of them is in a journal. So they stand on no topic, and the command
itself inserts them. Their landing columns say what they were computed from: `topic` and `partition` of the journal, `offset` of the
last record that was folded; `landed_at` says when they were recorded. The same backtest has the same `id`: recording it again
replaces its rows.
"""

from typing import Annotated, ClassVar

from pydantic import Field

from schemas.columns import TokenColumn
from schemas.model import Event, Landing, Table
from schemas.units import (
    Money,
    Number,
    Part6,
    Period,
    PerRow,
    PoolId,
    Price,
    Store,
    Text,
    Time,
    TokenSum,
    Unit,
)

BacktestId = Annotated[str, Unit("id of the backtest: what was folded, and under which variants"), Store("String")]
Variant = Annotated[str, Unit("name of the variant; `as recorded` is what happened"), Store("String")]
Word = Annotated[str, Unit("policy that divides the surplus, of the last period"), Store("LowCardinality(String)")]
Earned = Annotated[int, Field(ge=-(2**63), le=2**63 - 1, strict=True), Unit("nanocredits"), Store("Int64", "T64, ZSTD(1)")]
Worth = Annotated[TokenSum, Unit("tokens, each times its tenant's elasticity"), Store("Int64", "T64, ZSTD(1)")]

Periods = Annotated[list[Period], PerRow()]
Times = Annotated[list[Time], PerRow()]
PriceColumn = Annotated[list[Price], PerRow()]
EarnedColumn = Annotated[list[Earned], PerRow()]
PartColumn = Annotated[list[Part6], PerRow()]
WorthColumn = Annotated[list[Worth], PerRow()]


class Backtest(Event):
    """What one variant came to over all periods. Shares are 0 to 1; null where they are of nothing, or nobody knows."""

    KIND: ClassVar[str] = "backtest"
    TABLE: ClassVar[Table | None] = Table(
        name="backtests",
        comment="what a pool's recorded journal comes to under one variant of its settings, computed by bourse backtest",
        order_by=("pool", "id", "variant"),
        landing=Landing.EVENT_ID,
        identity=("pool", "id", "variant"),
    )

    pool: PoolId
    id: BacktestId
    variant: Variant
    place: Number
    """The variant's place among those of the backtest; 0 is what happened."""
    policy: Word
    settings: Text
    """What the variant changes, as JSON; {} changes nothing."""
    same_as_recorded: bool
    """Whether it reproduces what happened, state for state."""
    from_period: Period
    to_period: Period
    """The last one."""
    from_time: Time
    to_time: Time
    """Start of the last period."""
    periods: Number
    capacity: TokenSum
    revenue: Earned
    allocated: TokenSum
    demand: TokenSum
    """What was used, and what gateways reported as refused."""
    served: TokenSum
    """What of the demand the allocations covered."""
    unmet: TokenSum
    utilisation: Part6 | None
    """Served, of capacity."""
    jain: Part6
    """Jain's index of the shares of their demand that tenants were served."""
    sla_low: Part6 | None
    """Requests within their tenants' SLA, of those with one: at least."""
    sla_high: Part6 | None
    """The same: at most."""
    welfare: Worth
    """Of what was served."""
    optimum: Worth
    """The largest welfare that any division could have had."""
    budget: Money
    """Of all budgets' windows together."""
    budget_charged: Money
    refused_commands: Number


class BacktestPeriods(Event):
    """What one variant came to in each period."""

    KIND: ClassVar[str] = "backtest_periods"
    TABLE: ClassVar[Table | None] = Table(
        name="backtest_periods",
        comment="one closed period under one variant of a backtest",
        order_by=("pool", "id", "variant", "period"),
        landing=Landing.EVENT_ID,
        identity=("pool", "id", "variant", "period"),
    )

    pool: PoolId
    id: BacktestId
    variant: Variant
    place: Number
    """The variant's place among those of the backtest; 0 is what happened."""
    period: Periods
    period_start: Times
    capacity: TokenColumn
    price: PriceColumn
    revenue: EarnedColumn
    allocated: TokenColumn
    demand: TokenColumn
    served: TokenColumn
    jain: PartColumn
    welfare: WorthColumn
    optimum: WorthColumn


BACKTESTS: tuple[type[Event], ...] = (Backtest, BacktestPeriods)
