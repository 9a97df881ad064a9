"""Words for forecasts of demand: which of them something goes by."""

from enum import StrEnum
from typing import Annotated

from schemas.units import Store, Unit


class BidOn(StrEnum):
    """Which forecast of its demand a tenant bids on, or a pool is scaled for; named as the columns of `forecasts`."""

    MEAN = "mean"
    P50 = "p50"
    P90 = "p90"
    P99 = "p99"


BidOnName = Annotated[BidOn, Unit("forecast that is bid on"), Store("LowCardinality(String)")]
PlannedForName = Annotated[BidOn, Unit("forecast that capacity is planned for"), Store("LowCardinality(String)")]
