"""What operators say of a pool's physical capacity and of a tenant's entitlement to it, in Kueue's words; the pool is the cohort.

Limits of size: a pool's tokens per second stay at or below 10^12 (processors/debt.py says why), blocks at 10^14, requests at 10^11.
"""

from typing import Annotated, Any, ClassVar, Self

from pydantic import AliasChoices, Field, model_validator

from schemas.model import Event
from schemas.units import Part6, Store, Unit

MAX_REPLICAS = 100_000
MAX_REPLICA_TOKENS_PER_S = 10_000_000
MAX_REPLICA_KV_BLOCKS = 10**9
MAX_REPLICA_CONCURRENCY = 10**6
MAX_QUOTA = MAX_REPLICAS * MAX_REPLICA_KV_BLOCKS

_COLUMN = Store("Int64", "T64, ZSTD(1)")

Replicas = Annotated[int, Field(ge=0, le=MAX_REPLICAS, strict=True), Unit("replicas"), _COLUMN]
ReplicaTokensPerS = Annotated[int, Field(ge=1, le=MAX_REPLICA_TOKENS_PER_S, strict=True), Unit("tokens per second"), _COLUMN]
ReplicaKvBlocks = Annotated[int, Field(ge=1, le=MAX_REPLICA_KV_BLOCKS, strict=True), Unit("KV-cache blocks"), _COLUMN]
ReplicaConcurrency = Annotated[int, Field(ge=1, le=MAX_REPLICA_CONCURRENCY, strict=True), Unit("requests in flight"), _COLUMN]
BlockTokens = Annotated[int, Field(ge=1, le=65_536, strict=True), Unit("tokens"), _COLUMN]
HalfLife = Annotated[int, Field(ge=1, le=86_400, strict=True), Unit("seconds"), _COLUMN]
DebtBound = Annotated[int, Field(ge=1, le=600, strict=True), Unit("seconds of entitlement"), _COLUMN]

NominalQuota = Annotated[int, Field(ge=1, le=MAX_QUOTA, strict=True)]
QuotaLimit = Annotated[int, Field(ge=0, le=MAX_QUOTA, strict=True)]

_NOMINAL = ("nominal_quota", "nominalQuota")


def _named(name: str, kueue: str) -> Any:
    return Field(default=None, validation_alias=AliasChoices(name, kueue))


class Quota(Event):
    """Of a dimension that is space: what a request holds until it ends."""

    nominal_quota: NominalQuota | None = _named(*_NOMINAL)
    """The tenant's right. Null: of dedicated and guaranteed tenants the part of the pool that their base is of its throughput;
    of others none."""
    borrowing_limit: QuotaLimit | None = _named("borrowing_limit", "borrowingLimit")
    """How far above it the tenant may go. Null: as far as there is idle capacity."""
    lending_limit: QuotaLimit | None = _named("lending_limit", "lendingLimit")
    """How much of it others may use while it is idle. Null: all of it, but of dedicated tenants nothing."""

    @model_validator(mode="after")
    def _lends_what_it_has(self) -> Self:
        if self.lending_limit is not None and self.nominal_quota is None:
            raise ValueError(f"lending_limit: {self.lending_limit}, but no nominal_quota is given to lend of")
        if self.lending_limit is not None and self.nominal_quota is not None and self.lending_limit > self.nominal_quota:
            raise ValueError(f"lending_limit: {self.lending_limit} is more than nominal_quota {self.nominal_quota}")
        return self


class KvQuota(Quota):
    """Of KV-cache blocks."""

    KIND: ClassVar[str] = "kv_quota"


class ConcurrencyQuota(Quota):
    """Of requests in flight."""

    KIND: ClassVar[str] = "concurrency_quota"


class RateQuota(Event):
    """Of tokens per second. Its nominal quota is what the period's allocation comes to: base, surplus, and what was traded."""

    KIND: ClassVar[str] = "rate_quota"

    borrowing_limit: QuotaLimit | None = _named("borrowing_limit", "borrowingLimit")
    """How far above it the tenant may go. Null: as far as there is idle capacity."""
    lending_limit: QuotaLimit | None = _named("lending_limit", "lendingLimit")
    """How much of it others may use while it is idle. Null: all of it, but of dedicated tenants nothing."""

    @model_validator(mode="before")
    @classmethod
    def _is_allocated(cls, fields: Any) -> Any:
        for name in _NOMINAL if isinstance(fields, dict) else ():
            if name in fields:
                raise ValueError(f"{name}: {fields[name]!r}, but throughput is what the period allocates: set the profile's base")
        return fields


class BurstKnot(Event):
    """Where a pool is filled to `fill`, tenants may use `scale` of what they may borrow; between two knots it falls in a line."""

    KIND: ClassVar[str] = "burst_knot"

    fill: Part6
    scale: Part6
