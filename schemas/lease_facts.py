"""What the engine decided about gateways that share a pool: who has which part of every limit (processors/leases)."""

from enum import StrEnum
from typing import Annotated, ClassVar

from schemas.columns import Blocks, BlocksColumn, PerTenant, Rate, Requests, RequestsColumn, TokenColumn
from schemas.fact import Fact, fact_table
from schemas.gateways import GatewayId, Incarnation, LeaseMs
from schemas.model import Table
from schemas.sharing_facts import AtTick, Quotas
from schemas.units import Millis, Number, Store, Text, Tick, Time, Unit


class LeaseEnd(StrEnum):
    """Why a gateway has no lease any more."""

    SILENT = "silent"
    """No report came for as long as its lease held: it has stopped by itself, or is dead."""
    LEFT = "left"
    """It said that it leaves."""
    NOT_SHARED = "not_shared"
    """The pool is no token pool any more."""


class GatewayRefusal(StrEnum):
    """Why a gateway's report was not taken."""

    UNKNOWN_POOL = "unknown_pool"
    NOT_SHARED = "not_shared"
    """The pool is no token pool."""
    OTHER_INCARNATION = "other_incarnation"
    """An earlier life of this gateway may still use its lease: it has to end first."""
    TOO_MANY_GATEWAYS = "too_many_gateways"
    LATE = "late"
    """It was under way for longer than the lease for which it asks."""
    CHUNK_MISSING = "chunk_missing"


LeaseEndName = Annotated[LeaseEnd, Unit("why"), Store("LowCardinality(String)")]
GatewayRefusalName = Annotated[GatewayRefusal, Unit("why"), Store("LowCardinality(String)")]


class UseReported(Fact):
    """A gateway's report was taken: of tenants that the pool knows, use and demand."""

    KIND: ClassVar[str] = "use_reported"

    gateway: GatewayId
    incarnation: Incarnation
    sequence: Number
    chunk: Number
    last: bool
    """Whether it is the last chunk: the report is whole, and counts."""
    tick: Tick
    """The last before it."""
    applied: Number
    heard: Time
    """When the broker had the report."""
    lease_ms: LeaseMs
    interval_ms: Millis
    kv_in_use: Blocks
    """By all tenants of the chunk, known or not; likewise the next."""
    concurrency_in_use: Requests
    tenant: PerTenant
    tokens: TokenColumn
    kv_peak: BlocksColumn
    concurrency_peak: RequestsColumn
    kv_held: BlocksColumn
    concurrency_held: RequestsColumn
    refused: RequestsColumn


class GatewayRefused(Fact):
    """A gateway's report was not taken: it gets no lease by it."""

    KIND: ClassVar[str] = "gateway_refused"
    TABLE: ClassVar[Table | None] = fact_table(
        "gateway_refusals", "one report of a gateway that was not taken", "pool", "gateway", "at", "journal_offset"
    )

    at: Time
    gateway: GatewayId
    incarnation: Incarnation
    sequence: Number
    reason: GatewayRefusalName
    detail: Text


class CapacityLeased(AtTick):
    """A gateway's new lease: the part of the pool's capacity that is its own. LeasesGranted that changed with it follow."""

    KIND: ClassVar[str] = "capacity_leased"
    TABLE: ClassVar[Table | None] = fact_table(
        "leased_capacity", "a gateway's part of a pool's capacity from one tick on", "pool", "period", "gateway", "tick"
    )

    tick: Tick
    """It is the lease's number, too."""
    gateway: GatewayId
    incarnation: Incarnation
    throughput: Rate
    kv: Blocks
    concurrency: Requests
    tenants: Number
    """Whose parts change."""


class _OfGateway(AtTick):
    gateway: GatewayId


class LeasesGranted(Quotas, _OfGateway):
    """A gateway's parts of tenants' limits that change with its new lease; a null borrowing limit is none."""

    KIND: ClassVar[str] = "leases_granted"
    TABLE: ClassVar[Table | None] = fact_table(
        "leases", "a gateway's part of a tenant's limits from one tick on", "pool", "period", "tenant", "gateway", "tick"
    )

    tick: Tick
    """The lease's number."""


class LeaseExpired(Fact):
    """A gateway's lease has ended: what it had is free for the others."""

    KIND: ClassVar[str] = "lease_expired"
    TABLE: ClassVar[Table | None] = fact_table("lease_ends", "the end of a gateway's lease", "pool", "gateway", "tick")

    at: Time
    tick: Tick
    gateway: GatewayId
    incarnation: Incarnation
    number: Number
    """Of its last lease; 0: it never had one."""
    reason: LeaseEndName


LEASE_FACTS: tuple[type[Fact], ...] = (UseReported, GatewayRefused, CapacityLeased, LeasesGranted, LeaseExpired)
