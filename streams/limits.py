"""Limits of a token pool as a gateway needs them: what is in force now, followed on the compacted topic `limits`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass

from processors.admission import KNOTS, Knots
from processors.entitlement import Capacity, Quota, TenantLimits
from schemas.model import Event
from schemas.outputs import Lease, Limit, PoolCapacity, output_key
from schemas.published import Tier
from streams.codecs import decode
from streams.settings import Settings
from streams.tailing import CaughtUp, Tail


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """One pool's limits, as far as they have arrived.

    A tick's changes are several records, and each that is read is told at once: between two of them what is kept may exceed the
    capacity. `Admission.set_limits` refuses that; limits that were in force then go on until the rest has come.

    Attributes:
        capacity: of the pool.
        kv_block_tokens: tokens of a block.
        knots: how borrowing limits fall as the pool fills.
        tenants: everybody's limits.
    """

    capacity: Capacity
    kv_block_tokens: int
    knots: Knots
    tenants: Mapping[str, TenantLimits]


@dataclass(frozen=True, slots=True)
class _NoTokenPool:
    """The pool has no replicas any more."""


class LimitsTail:
    """Follows one pool's limits from what they are now on.

    The topic keeps the newest value of each key, and not much besides: it is read from its beginning. 100,000 tenants are
    decoded in 4 s and hold some 75 MB; what is told of them is a copy of the mapping, 0.05 s.
    """

    def __init__(self, settings: Settings, pool: str) -> None:
        self._prefix = output_key(pool, "")
        self._tail: Tail[Limit | PoolCapacity | _NoTokenPool] = Tail(settings, settings.topic("limits"), pool, self._read)
        self._newest: dict[str, int] = {}
        self._capacity: PoolCapacity | None = None
        self._tenants: dict[str, TenantLimits] = {}

    async def start(self) -> None:
        """Begins to read.

        Raises:
            Unavailable: no broker answers, or none has the topic.
        """
        await self._tail.start(0)

    async def limits(self) -> AsyncIterator[PoolLimits | None]:
        """Limits as they are now, then each change. None: it is no token pool, or none yet.

        Raises:
            Unavailable: Kafka denies access.
        """
        told = False
        async for items in self._tail.lists():
            changed = not told
            for item in items:
                if isinstance(item, CaughtUp):
                    told = True
                else:
                    changed |= self._take(item)
            if told and changed:
                yield self._now()

    async def close(self) -> None:
        """Stops reading; safe to call twice."""
        await self._tail.close()

    def _now(self) -> PoolLimits | None:
        pool = self._capacity
        if pool is None:
            return None
        knots = knots_of(pool)
        capacity = Capacity(pool.throughput, pool.kv, pool.concurrency)
        return PoolLimits(capacity, pool.kv_block_tokens, knots, dict(self._tenants))

    def _take(self, item: Limit | PoolCapacity | _NoTokenPool) -> bool:
        """Whether it changes anything: an older value may follow a newer one after a crash."""
        if isinstance(item, _NoTokenPool):
            had, self._capacity = self._capacity, None
            return had is not None
        tenant = item.tenant if isinstance(item, Limit) else ""
        if item.journal_offset < self._newest.get(tenant, -1):
            return False
        self._newest[tenant] = item.journal_offset
        if isinstance(item, PoolCapacity):
            self._capacity = item
        elif item.tier:
            self._tenants[item.tenant] = _limits_of(item)
        else:
            self._tenants.pop(item.tenant, None)
        return True

    def _read(self, offset: int, key: bytes | None, value: bytes | None) -> Iterable[Limit | PoolCapacity | _NoTokenPool]:  # noqa: ARG002  as `Tail` calls
        if key is None or not key.startswith(self._prefix):
            return ()
        if value is None:
            return (_NoTokenPool(),) if key == self._prefix else ()
        told: Event = decode(value)
        return (told,) if isinstance(told, Limit | PoolCapacity) else ()


def knots_of(told: PoolCapacity | Lease) -> Knots:
    """How borrowing limits fall as the pool fills; as admission does by default where nothing is said."""
    return tuple(zip(told.burst_fill, told.burst_scale, strict=True)) or KNOTS


def _limits_of(limit: Limit) -> TenantLimits:
    return TenantLimits(
        Tier(limit.tier),
        (
            Quota(limit.throughput_nominal or 0, limit.throughput_borrowing, limit.throughput_kept or 0),
            Quota(limit.kv_nominal or 0, limit.kv_borrowing, limit.kv_kept or 0),
            Quota(limit.concurrency_nominal or 0, limit.concurrency_borrowing, limit.concurrency_kept or 0),
        ),
    )
