"""What the journal holds: every input that can change a decision (DESIGN.md, law 1). Commands are those of schemas.published."""

from typing import ClassVar

from schemas.columns import NumberColumn, PerTenant, TokenColumn
from schemas.market import TurnedAway
from schemas.model import Event
from schemas.published import PoolCommand, ProfileCommand
from schemas.units import Label, Millis, Number, Partition, PoolId, Tick


class ClockTick(Event):
    """Time itself: tick n begins at n·tick_ms.

    Carries what an engine must know of the system to close a period, so that a replay needs no settings.
    """

    KIND: ClassVar[str] = "tick"

    tick: Tick
    tick_ms: Millis
    meter_partitions: Number
    """How many partitions `usage`, `latency` and `admissions` have: each is a meter that reports every tick."""
    grace_ticks: Number
    """A period is closed this many ticks after its end even if a meter has not reported."""


class MeterMark(Event):
    """Meter (topic, partition) has appended all it counted up to this tick: its reports for the tick stand before this record."""

    KIND: ClassVar[str] = "meter_mark"

    meter_topic: Label
    meter_partition: Partition
    tick: Tick


class UsageSums(Event):
    """What one meter counted for one pool between its previous tick and this one. Identified by all fields above the columns."""

    KIND: ClassVar[str] = "usage_sums"

    pool: PoolId
    meter_topic: Label
    meter_partition: Partition
    tick: Tick
    chunk: Number
    tenant: PerTenant
    requests: NumberColumn
    input_tokens: TokenColumn
    cached_input_tokens: TokenColumn
    output_tokens: TokenColumn


class LatencySums(Event):
    """The latencies one meter saw for one pool between its previous tick and this one, as mergeable histograms.

    A histogram is sparse: entry i says that `owner[i]` (an index into `tenant`) had `count[i]` requests in bucket
    `bucket[i]` of processors/histogram.py. Entries are ordered by owner, then bucket.
    """

    KIND: ClassVar[str] = "latency_sums"

    pool: PoolId
    meter_topic: Label
    meter_partition: Partition
    tick: Tick
    chunk: Number
    tenant: PerTenant
    owner: list[Number]
    bucket: list[Number]
    count: list[Number]


class AdmissionSums(Event):
    """What gateways reported of one pool to one meter between its previous tick and this one. Demand, not money: sums saturate."""

    KIND: ClassVar[str] = "admission_sums"

    pool: PoolId
    meter_topic: Label
    meter_partition: Partition
    tick: Tick
    chunk: Number
    tenant: PerTenant
    admitted: NumberColumn
    refused: NumberColumn
    refused_tokens: TokenColumn
    refused_kv_blocks: NumberColumn
    peak_kv_blocks: NumberColumn
    """Of each gateway the most at once, summed over gateways; likewise the next."""
    peak_concurrency: NumberColumn


JOURNALLED: tuple[type[Event], ...] = (
    ClockTick,
    MeterMark,
    UsageSums,
    LatencySums,
    AdmissionSums,
    PoolCommand,
    ProfileCommand,
    TurnedAway,
)

__all__ = ["JOURNALLED", "AdmissionSums", "ClockTick", "LatencySums", "MeterMark", "TurnedAway", "UsageSums"]
