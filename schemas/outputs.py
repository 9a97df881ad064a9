"""What the engine tells besides facts: the newest value of each key on a compacted topic (spec/interface.md, "Topics").

A value is computed from the engine's state, so one may come twice, and may skip what lay between. After a crash, or while a
partition changes its owner, an older value can follow a newer one: a reader keeps the one with the highest `journal_offset`.
"""

from typing import Annotated, ClassVar

from schemas.columns import Blocks, Rate, Requests
from schemas.entitlements import Replicas
from schemas.gateways import GatewayId, Incarnation, LeaseMs
from schemas.model import Event
from schemas.published import TierName
from schemas.scaling import ScalingReasonName
from schemas.units import Label, Millionths, Number, Offset, Period, PoolId, Seconds, TenantId, Time, TokenSum, Unit

Prices = list[Annotated[int, Unit("nanocredits per token")]]
Quantities = list[Annotated[int, Unit("tokens")]]


class Limit(Event):
    """What a tenant may use in each period from `period` on, until the next value. Key: `output_key(pool, tenant)`."""

    KIND: ClassVar[str] = "limit"
    VERSION: ClassVar[int] = 2

    pool: PoolId
    tenant: TenantId
    period: Period
    period_s: Seconds
    """A period begins at a multiple of its length."""
    tokens: TokenSum
    """Base, surplus and what was bought, less what was sold and what is offered for sale. What was used is not taken off."""
    journal_offset: Offset
    tier: Label = ""
    """Of a token pool, as all that follows; empty and null in others. A null borrowing limit is none."""
    throughput_nominal: Rate | None = None
    throughput_borrowing: Rate | None = None
    throughput_kept: Rate | None = None
    """Of the pool's capacity, kept free for the tenant even while it does not use it; likewise the others."""
    kv_nominal: Blocks | None = None
    kv_borrowing: Blocks | None = None
    kv_kept: Blocks | None = None
    concurrency_nominal: Requests | None = None
    concurrency_borrowing: Requests | None = None
    concurrency_kept: Requests | None = None


class PoolCapacity(Event):
    """What a token pool has, for whoever admits requests. Key: `output_key(pool, "")`, as no tenant's id is empty; on `limits`."""

    KIND: ClassVar[str] = "pool_capacity"

    pool: PoolId
    throughput: Rate
    kv: Blocks
    concurrency: Requests
    kv_block_tokens: Number
    burst_fill: list[Millionths]
    """Where the pool is filled so far, tenants may use `burst_scale` of what they may borrow; empty: the default of admission."""
    burst_scale: list[Millionths]
    journal_offset: Offset


class Scale(Event):
    """How many replicas of a pool there are, and how many are asked for. Key: the pool's id; no value: it is not scaled."""

    KIND: ClassVar[str] = "scale"

    pool: PoolId
    at: Time
    """When anything of the decision last changed."""
    replicas: Replicas
    wanted: Number
    reason: ScalingReasonName
    promised_replicas: Number
    """That what is promised needs."""
    needed_throughput: Number
    """Replicas for what is promised and expected of this dimension; likewise the next."""
    needed_kv: Number
    needed_concurrency: Number
    capacity_throughput: Rate
    """Of the replicas that there are; likewise the next."""
    capacity_kv: Blocks
    capacity_concurrency: Requests
    promised_throughput: Rate
    promised_kv: Blocks
    promised_concurrency: Requests
    used_throughput: Rate
    """Served, on average over half a minute."""
    used_kv: Blocks
    """Wanted of late by all tenants, which may be more than there is; likewise the next."""
    used_concurrency: Requests
    journal_offset: Offset


class Depth(Event):
    """An instrument's book as everybody may see it: best prices first. Key: `output_key(pool, period)`; no value: it has closed."""

    KIND: ClassVar[str] = "depth"

    pool: PoolId
    period: Period
    phase: Label
    """continuous or auction."""
    last_price: Number | None
    """Of the last trade, nanocredits per token."""
    volume: TokenSum
    """Tokens traded so far."""
    bid_price: Prices
    bid_qty: Quantities
    """Tokens that all orders of the level want together."""
    ask_price: Prices
    ask_qty: Quantities
    journal_offset: Offset


class Lease(Event):
    """A gateway's lease as a whole: its part of the pool, and which parts of tenants' limits belong to it. Key: `lease_key`.

    It follows its parts in the topic, and holds once all of them are there: all or nothing. No value: there is none any more.
    """

    KIND: ClassVar[str] = "lease"

    pool: PoolId
    gateway: GatewayId
    incarnation: Incarnation
    number: Number
    """Grows from lease to lease."""
    answers: Number
    """Sequence of the newest report that was counted: the lease holds `valid_ms` from when that was sent."""
    valid_ms: LeaseMs
    throughput: Rate
    kv: Blocks
    concurrency: Requests
    kv_block_tokens: Number
    burst_fill: list[Millionths]
    """As of PoolCapacity, likewise the next."""
    burst_scale: list[Millionths]
    parts: list[Number]
    """Of each LeasePart the lease with which it changed last; 0: there is none."""


class LeasePart(Event):
    """A gateway's parts of the limits of some tenants, always the same ones. Key: `lease_key`. A null borrowing limit is none."""

    KIND: ClassVar[str] = "lease_part"

    pool: PoolId
    gateway: GatewayId
    part: Number
    number: Number
    """The lease with which it changed last."""
    tenant: list[TenantId]
    tier: list[TierName]
    throughput_nominal: list[Rate]
    throughput_borrowing: list[Rate | None]
    throughput_kept: list[Rate]
    kv_nominal: list[Blocks]
    kv_borrowing: list[Blocks | None]
    kv_kept: list[Blocks]
    concurrency_nominal: list[Requests]
    concurrency_borrowing: list[Requests | None]
    concurrency_kept: list[Requests]


def output_key(pool: str, part: str | int) -> bytes:
    """`pool/tenant`, `pool/period`, `pool/`. A slash in a pool's id is written %2F (and % as %25): the first one parts the two."""
    return f"{_escaped(pool)}/{part}".encode()


def lease_key(pool: str, gateway: str, part: int | None = None) -> bytes:
    """`pool/gateway` of a Lease, `pool/gateway/0`, `pool/gateway/1`, … of its parts; slashes in names as of `output_key`."""
    return output_key(pool, _escaped(gateway) if part is None else f"{_escaped(gateway)}/{part}")


def _escaped(name: str) -> str:
    return name.replace("%", "%25").replace("/", "%2F")


OUTPUTS: tuple[type[Event], ...] = (Limit, Depth, PoolCapacity, Lease, LeasePart, Scale)
