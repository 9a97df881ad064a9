"""What the engine decided about how many replicas a token pool needs (processors/scaling)."""

from typing import Annotated, ClassVar

from schemas.columns import Blocks, Rate, Requests
from schemas.entitlements import Replicas
from schemas.fact import Fact, fact_table
from schemas.forecasting import PlannedForName
from schemas.model import Table
from schemas.scaling import ReplicaStep, ScalingReasonName, Wait
from schemas.units import Decimal6, EventId, Number, Period, Store, Tick, Time, Unit

ReplicaCount = Annotated[Number, Unit("replicas"), Store("Int64", "T64, ZSTD(1)")]


class ScalingSet(Fact):
    """How a pool is scaled from now on. Not enabled: nothing more is asked for."""

    KIND: ClassVar[str] = "scaling_set"
    TABLE: ClassVar[Table | None] = fact_table("scaling_settings", "one version of how a pool is scaled", "pool", "version")

    id: EventId
    version: Number
    """Of the pool."""
    enabled: bool
    """Whether it is."""
    min_replicas: Replicas
    max_replicas: ReplicaStep
    quantile: PlannedForName
    headroom: Decimal6
    max_step: ReplicaStep
    down_after_s: Wait
    cooldown_s: Wait


class ScalingDecided(Fact):
    """How many replicas are asked for: whenever that changes, or what is needed, provided, or in the way.

    What is needed is a number of replicas for each dimension; the largest counts. What is asked for is never less than what is
    promised needs.
    """

    KIND: ClassVar[str] = "scaling_decided"
    TABLE: ClassVar[Table | None] = fact_table("scalings", "how many replicas were asked for from one tick on", "pool", "tick")

    at: Time
    tick: Tick
    period: Period
    replicas: Replicas
    """That there are, as far as is reported."""
    before: ReplicaCount
    """Asked for before."""
    wanted: ReplicaCount
    """Asked for from now on."""
    reason: ScalingReasonName
    needed_throughput: ReplicaCount
    """What is promised of this dimension and what is expected beside it; likewise the next."""
    needed_kv: ReplicaCount
    needed_concurrency: ReplicaCount
    promised_replicas: ReplicaCount
    """What is promised alone, of all dimensions."""
    promised_throughput: Rate
    promised_kv: Blocks
    promised_concurrency: Requests
    elastic_throughput: Rate
    """Expected of tenants without reservation, headroom included; likewise the next."""
    elastic_kv: Blocks
    elastic_concurrency: Requests
    changed_at: Time | None
    """When demand last changed what is asked for; null: never."""
    low_since: Time | None
    """Since when fewer than are asked for would have sufficed; null: they would not."""
    low_most: ReplicaCount
    """Most that was needed since."""


SCALING_FACTS: tuple[type[Fact], ...] = (ScalingSet, ScalingDecided)
