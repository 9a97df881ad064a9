"""How a token pool's replicas follow what was promised and what is expected (TP-3, processors/autoscale.py): settings, and reports.

A pool without `scaling`, or with `enabled: false`, is never scaled: nobody is asked for replicas.
"""

from enum import StrEnum
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from schemas.entitlements import MAX_REPLICAS, Replicas
from schemas.forecasting import BidOn, PlannedForName
from schemas.model import Event
from schemas.units import EventId, Part6, PoolId, Store, Unit

Wait = Annotated[int, Field(ge=0, le=86_400, strict=True), Unit("seconds"), Store("Int64", "T64, ZSTD(1)")]
ReplicaStep = Annotated[int, Field(ge=1, le=MAX_REPLICAS, strict=True), Unit("replicas"), Store("Int64", "T64, ZSTD(1)")]


class Scaling(Event):
    """How many replicas are asked for, and when."""

    KIND: ClassVar[str] = "scaling"

    enabled: bool = False
    min_replicas: Replicas = 1
    """Never fewer. 0: a pool of which nothing is promised and nothing wanted is let go altogether."""
    max_replicas: ReplicaStep = 1
    """Never more. What is promised has to fit them."""
    quantile: PlannedForName = BidOn.P90
    """Of the forecast demand of tenants without reservation; the mean where the pool's forecaster gives no quantiles."""
    headroom: Part6 = 100_000
    """Added to the demand that is expected, as a share of it. What is promised is counted as it is."""
    max_step: ReplicaStep = 4
    """Most replicas by which demand changes what is asked for at a time."""
    down_after_s: Wait = 300
    """For so long fewer must have sufficed before fewer are asked for."""
    cooldown_s: Wait = 60
    """After a change, for so long demand changes nothing. As long as a replica takes to start."""

    @model_validator(mode="after")
    def _bounds_are_in_order(self) -> Self:
        if self.min_replicas > self.max_replicas:
            raise ValueError(f"min_replicas: {self.min_replicas} is more than max_replicas {self.max_replicas}")
        return self


class ReplicasCommand(Event):
    """How many replicas of a token pool run now, as whoever runs them sees it. Counts from the next tick on. Identified by `id`."""

    KIND: ClassVar[str] = "replicas"

    type: Annotated[Literal["replicas"], Unit("replicas"), Store("LowCardinality(String)")] = "replicas"
    id: EventId
    pool: PoolId
    replicas: Replicas


class ScalingReason(StrEnum):
    """Why so many replicas are asked for."""

    PROMISED = "promised"
    """What is promised needs them. They are asked for at once, whatever limits demand."""
    DEMAND = "demand"
    """What is promised and the demand that is expected need them."""
    IDLE = "idle"
    """Fewer have sufficed for long enough."""
    LATELY_NEEDED = "lately_needed"
    """Fewer would do, but not for long enough yet."""
    STEP = "step"
    """As many more, or fewer, as may change at a time."""
    COOLDOWN = "cooldown"
    """Others would do, but the last change was a moment ago."""
    BOUNDS = "bounds"
    """The least or the most that the operator allows."""


ScalingReasonName = Annotated[ScalingReason, Unit("why"), Store("LowCardinality(String)")]
