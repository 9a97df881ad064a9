"""A gateway whose Kafka is away: it goes on with its lease until that ends, and then by its fail-safe."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from gateway_world import limits

from processors.admission import KNOTS
from processors.entitlement import Capacity, Quota, TenantLimits
from processors.waiting import Class, Rules
from schemas.published import Tier
from streams.gateway.answers import Code, Failure
from streams.gateway.desk import Desk, Need
from streams.gateway.leased import FailSafe, Leased
from streams.leases import PoolLeases
from streams.settings import Settings

LEASE_MS = 5_000
OWNER = TenantLimits(Tier.GUARANTEED, (Quota(1_000, 100, 0), Quota(1_000, 0, 0), Quota(4, 0, 0)))


class Outage:
    """A desk and what keeps its lease, with no broker behind them and a clock that is played."""

    def __init__(self, home: Path, fail_safe: FailSafe) -> None:
        self.now = 1_000_000
        self.desk = Desk("llm", Rules(length=0), 1_000, lambda: self.now)
        settings = Settings(home=home, kafka="127.0.0.1:1")
        self.leased = Leased(settings, self.desk, "gate", fail_safe=fail_safe, lease_ms=LEASE_MS, now_ms=lambda: self.now)
        self._asked = 0

    def lease(self, number: int, answers: int) -> None:
        tenants = {"gil": OWNER, "ann": limits(slots=4)}
        self.leased.take(PoolLeases(number, LEASE_MS, answers, Capacity(10_000, 10_000, 100), 16, KNOTS, tenants))

    def seconds(self, count: int) -> None:
        """Each with its report, which reaches nobody."""
        for _ in range(count):
            self.now += 1_000
            self.leased.report(self.desk.take_tallies())

    async def ask(self, tenant: str) -> Failure | None:
        self._asked += 1
        return await self.desk.ask(Need(f"r{self._asked}", tenant, 1, 1, 1, Class.NORMAL, None, lambda: None))


@pytest.mark.parametrize("floors", [{}, {Tier.GUARANTEED: 500_000}])
def test_the_lease_lasts_and_then_the_fail_safe_holds(tmp_path: Path, floors: dict[Tier, int]) -> None:
    async def play() -> None:
        outage = Outage(tmp_path, FailSafe(floors))
        refused = await outage.ask("gil")
        assert refused is not None
        assert (refused.status, refused.code) == (503, Code.NO_LIMITS), "before the first lease nothing is admitted"
        outage.leased.report({})
        outage.lease(1, 1)
        outage.seconds(1)  # as a lease's parts begin spent
        assert await outage.ask("gil") is None
        outage.seconds(3)
        assert await outage.ask("gil") is None, "it has a lease, and nobody else has that share"
        assert await outage.ask("ann") is None
        outage.seconds(1)
        refused = await outage.ask("ann")
        assert refused is not None, "a tier without a floor gets nothing"
        assert refused.status == (429 if floors else 503)
        refused = await outage.ask("gil")
        assert refused is not None
        if floors:
            assert (refused.status, refused.more["limit"]) == (429, 2), "half of four slots, and two are taken"
        else:
            assert (refused.status, refused.code) == (503, Code.NO_LIMITS)
            assert refused.retry_after_ms is not None
            assert not outage.desk.ready, "which /healthz says"
        for request in ("r2", "r3", "r4"):
            outage.desk.settle(request, 1, 1)
        assert (await outage.ask("gil") is None) == bool(floors)
        outage.lease(1, 1)
        assert (await outage.ask("ann")) is not None, "the old lease again is no lease"
        outage.leased.report({})
        outage.lease(2, 7)
        assert await outage.ask("ann") is None, "Kafka is back"
        await outage.leased.leave()

    asyncio.run(play())
