"""What gateways that share a pool report: their use of it, and which lease they go by. It counts once it stands in the journal.

Size, below the default of `BOURSE_MAX_EVENT_BYTES` (1,048,576) in both encodings: a tenant is at most 131 bytes of name and six
numbers of 9 bytes in Avro or 17 in JSON, 185 or 233 bytes; 4,000 tenants are 740 or 930 KB. Nearly always it is 30 bytes a tenant.
"""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from schemas.market import Moment
from schemas.model import Event
from schemas.units import MAX_TOKENS, EventId, Millis, Name, Number, PerRow, PoolId, Store, TenantId, Tokens, Unit

MOST_REPORTED = 4_000
"""Tenants of one report; what is longer comes in chunks."""

LEASE_MS = 10_000
"""For how long a lease holds unless a gateway asks for another time.

A lease counts from its report, which is up to a tick (1 s) and the way of messages (some 0.2 s where processors are free) old when
the lease comes; the next comes a second later. So leases shorter than 2.2 s lapse by themselves, and 10 s leave 7.8 s for reports
that are lost, an engine that is late, or one that is started again and reads its snapshot. On machines so busy that the engine is
later than that, ask for more; each second more is one more in which the share of a gateway that was killed is nobody's."""

GatewayId = Annotated[Name, Unit("name of the gateway"), Store("LowCardinality(String)")]
Incarnation = Annotated[Name, Unit("one life of the gateway's process"), Store("String")]
LeaseMs = Annotated[int, Field(ge=2_000, le=120_000, strict=True), Unit("milliseconds"), Store("Int64")]

_Held = Annotated[int, Field(ge=0, le=MAX_TOKENS, strict=True)]
_Blocks = Annotated[_Held, Unit("KV-cache blocks"), Store("Int64", "T64, ZSTD(1)")]
_Requests = Annotated[_Held, Unit("requests"), Store("Int64", "T64, ZSTD(1)")]
_TokensOfTenants = Annotated[list[Tokens], PerRow(), Field(max_length=MOST_REPORTED)]
_BlocksOfTenants = Annotated[list[_Blocks], PerRow(), Field(max_length=MOST_REPORTED)]
_RequestsOfTenants = Annotated[list[_Requests], PerRow(), Field(max_length=MOST_REPORTED)]

USE_COLUMNS: tuple[str, ...] = ("tokens", "kv_peak", "concurrency_peak", "kv_held", "concurrency_held", "refused")
"""What is said of each tenant, in this order."""


class GatewayReport(Event):
    """What a gateway's tenants used of a pool since its last report, and which lease it goes by.

    Known by (gateway, incarnation, sequence, chunk): what comes again changes nothing. Tenants that neither use nor want anything
    are left out. A report that is too long for one event comes in chunks, and counts with the last.
    """

    KIND: ClassVar[str] = "gateway_report"

    type: Annotated[Literal["gateway_report"], Unit("gateway_report"), Store("LowCardinality(String)")] = "gateway_report"
    id: EventId
    time: Moment
    """When it was sent. In the journal: when the broker had it, whatever its sender's clock says; leases are counted from then."""
    pool: PoolId
    gateway: GatewayId
    incarnation: Incarnation
    sequence: Annotated[Number, Field(ge=1)]
    """From 1 on, in each incarnation."""
    chunk: Number = 0
    chunks: Annotated[Number, Field(ge=1)] = 1
    applied: Number = 0
    """Number of the lease that it goes by; 0: of none."""
    lease_ms: LeaseMs = LEASE_MS
    """For how long a lease shall hold after the report that it answers was sent."""
    interval_ms: Annotated[Millis, Field(ge=1)]
    """Since the last report."""
    leaving: bool = False
    """It will admit nothing more, nothing runs, and this is its last report."""
    tenant: Annotated[list[TenantId], PerRow(), Field(max_length=MOST_REPORTED)] = Field(default_factory=list)
    tokens: _TokensOfTenants = Field(default_factory=list)
    """Wanted in the interval: of requests that were admitted and of those that were refused."""
    kv_peak: _BlocksOfTenants = Field(default_factory=list)
    """Wanted: the most in use at once, and what refused requests would have held besides; likewise the next."""
    concurrency_peak: _RequestsOfTenants = Field(default_factory=list)
    kv_held: _BlocksOfTenants = Field(default_factory=list)
    """In use now; likewise the next."""
    concurrency_held: _RequestsOfTenants = Field(default_factory=list)
    refused: _RequestsOfTenants = Field(default_factory=list)
    """Requests in the interval."""

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.chunk >= self.chunks:
            raise ValueError(f"chunk: {self.chunk} of {self.chunks}")
        for name in USE_COLUMNS:
            if len(getattr(self, name)) != len(self.tenant):
                raise ValueError(f"{name}: {len(getattr(self, name))} entries, but {len(self.tenant)} tenants")
        if len(set(self.tenant)) < len(self.tenant):
            again = next(name for place, name in enumerate(self.tenant) if name in self.tenant[:place])
            raise ValueError(f"tenant: {again!r} twice")
        return self


REPORTS: tuple[type[GatewayReport], ...] = (GatewayReport,)
