"""What a gateway may admit of a pool: its lease, kept alive by a report each second; and what it does when that is over.

1. Each second it reports what its tenants wanted and use, and which lease it goes by.
2. A lease that comes is in force at once; a report names it half a second later at most, as one tells of requests that wait: parts
   of limits move no faster than their gateways report.
3. Kafka or the engine away: the gateway goes on with the lease it has until that ends (10 s after the report which it answers was
   sent, by this gateway's own clock), then by its fail-safe. The engine gives the share away later than that, so a limit is never
   used twice. A fail-safe other than `refuse` may: it is the operator's choice what outages cost.
4. When it stops it waits for what runs, says that it leaves, and its share is free at once.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from processors.admission.scaling import MILLION
from processors.entitlement import Quota, TenantLimits
from schemas.gateways import LEASE_MS
from schemas.published import Tier
from streams.errors import Unavailable
from streams.gateway.desk import Desk, Tally, Wanting
from streams.leases import LeaseReporter, LeaseTail, PoolLeases, TenantUse
from streams.settings import Settings

log = logging.getLogger(__name__)

NOTHING = Wanting(0, 0, 0)


@dataclass(frozen=True, slots=True)
class FailSafe:
    """What is admitted when the lease is over.

    Attributes:
        floors: tier -> millionths of the last lease's limits that its tenants go on with; a tier that is not named: nothing.
    """

    floors: Mapping[Tier, int] = field(default_factory=dict)

    def of(self, lease: PoolLeases) -> PoolLeases | None:
        """The limits to go on with; None: everything is refused."""
        if not self.floors:
            return None
        tenants = {
            name: _scaled(limits, part) for name, limits in lease.tenants.items() if (part := self.floors.get(limits.tier, 0))
        }
        return PoolLeases(lease.number, 0, lease.answers, lease.capacity, lease.kv_block_tokens, lease.knots, tenants)


def _scaled(limits: TenantLimits, part: int) -> TenantLimits:
    throughput, kv, slots = (
        Quota(
            quota.nominal * part // MILLION,
            None if quota.borrowing is None else quota.borrowing * part // MILLION,
            quota.kept * part // MILLION,
        )
        for quota in limits.quotas
    )
    return TenantLimits(limits.tier, (throughput, kv, slots))


class Leased:
    """Keeps one desk's lease.

    Args:
        settings: how to reach Kafka.
        desk: of the pool.
        gateway: its name.
        fail_safe: what is admitted when the lease is over.
        lease_ms: for how long leases shall hold.
        now_ms: the gateway's clock.
    """

    def __init__(
        self,
        settings: Settings,
        desk: Desk,
        gateway: str,
        *,
        fail_safe: FailSafe,
        lease_ms: int = LEASE_MS,
        now_ms: Callable[[], int],
    ) -> None:
        life = uuid.uuid4().hex
        self._desk, self._fail_safe = desk, fail_safe
        self._tail = LeaseTail(settings, desk.pool, gateway, life)
        self._reporter = LeaseReporter(settings, desk.pool, gateway, life, lease_ms=lease_ms, now_ms=now_ms)
        self._lease: PoolLeases | None = None
        self._over = False
        self._named = 0

    @property
    def number(self) -> int:
        """Of the lease in force; 0: none."""
        return 0 if self._lease is None else self._lease.number

    @property
    def has_news(self) -> bool:
        """Whether the engine should hear soon: of a lease that no report has named, or of requests that wait."""
        return self.number != self._named or self._desk.waiting > 0

    async def follow(self) -> None:
        """Until cancelled: each lease that comes is in force at once.

        Raises:
            Unavailable: no broker answers at the start, or Kafka denies access.
        """
        await self._tail.start()
        async for lease in self._tail.leases():
            self.take(lease)

    def take(self, lease: PoolLeases | None) -> None:
        """A lease that came.

        One that is over when it comes is not gone by, and so not named as applied, either: the engine would give away what this
        gateway loses with it.
        """
        if lease is None:
            self._desk.close(f"the engine gives this gateway no share of pool {self._desk.pool}")
            self._lease = None
        elif lease.number >= self.number and self._reporter.left_ms(lease):
            renewed = self._lease is not None and lease.number == self._lease.number and not self._over
            self._lease = lease
            if not renewed:
                self._desk.limit(lease)
                self._over = False

    def report(self, tallies: Mapping[str, Tally]) -> None:
        """Says what was wanted and is used, and looks whether the lease still holds; each second at least."""
        waits = self._desk.waits()
        use = {name: self._use(name, tallies.get(name, Tally()), waits.get(name, NOTHING)) for name in {*tallies, *waits}}
        try:
            self._reporter.report(self.number, use)
            self._named = self.number
        except Unavailable as away:
            log.warning("pool %s: no report, so the lease will end: %s", self._desk.pool, away)
        lease = self._lease
        if lease is not None and not self._over and not self._reporter.left_ms(lease):
            self._over = True
            self._end(lease)

    async def leave(self) -> None:
        """Gives the share back, if nothing runs."""
        if not self._desk.in_flight:
            try:
                self._reporter.report(self.number, {}, leaving=True)
            except Unavailable as away:
                log.warning("pool %s: the share comes back when the lease ends: %s", self._desk.pool, away)
        await asyncio.to_thread(self._reporter.close)
        await self._tail.close()

    def _end(self, lease: PoolLeases) -> None:
        floor = self._fail_safe.of(lease)
        log.warning(
            "pool %s: the lease is over, as Kafka or the engine is away; %s until there is a new one",
            self._desk.pool,
            "nothing is admitted" if floor is None else f"{len(floor.tenants)} tenants go on by their floors",
        )
        if floor is None:
            self._desk.close(f"the gateway's share of pool {self._desk.pool} has lapsed: Kafka or the engine is away")
        else:
            self._desk.limit(floor)

    def _use(self, tenant: str, tally: Tally, waits: Wanting) -> TenantUse:
        """What waits lacks its limit here as much as what was refused."""
        held, refused = self._desk.held(tenant), tally.refused.total() + waits.requests
        return TenantUse(
            tokens=tally.admitted_tokens + tally.refused_tokens + waits.tokens,
            kv_blocks_peak=tally.peak_kv_blocks + tally.refused_kv_blocks + waits.kv_blocks,
            concurrency_peak=tally.peak_concurrency + refused,
            kv_blocks_held=held.kv if held else 0,
            concurrency_held=held.concurrency if held else 0,
            refused=refused,
        )
