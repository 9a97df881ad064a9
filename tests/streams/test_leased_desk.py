"""A gateway whose Kafka is away: it goes on with its lease until that ends, and then by its fail-safe."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from gateway_world import limits

from processors.admission import KNOTS
from processors.entitlement import Capacity, Quota, TenantLimits
from processors.waiting import Class, Rules
from schemas.gateways import MOST_REPORTED, USE_COLUMNS
from schemas.published import Tier
from streams.gateway.answers import Code, Failure
from streams.gateway.desk import Desk, Need
from streams.gateway.leased import FailSafe, Leased
from streams.leases import KEPT_REPORTS, LeaseReporter, PoolLeases, TenantUse
from streams.settings import Settings

LEASE_MS = 5_000
OWNER = TenantLimits(Tier.GUARANTEED, (Quota(1_000, 100, 0), Quota(1_000, 0, 0), Quota(4, 0, 0)))


class Outage:
    """A desk and what keeps its lease, with no broker behind them and a clock that is played."""

    def __init__(self, home: Path, fail_safe: FailSafe, length: int = 0) -> None:
        self.now = 1_000_000
        self.desk = Desk("llm", Rules(length=length), 1_000, lambda: self.now)
        settings = Settings(home=home, kafka="127.0.0.1:1")
        self.leased = Leased(settings, self.desk, "gate", fail_safe=fail_safe, lease_ms=LEASE_MS, now_ms=lambda: self.now)
        self._asked = 0

    def lease(self, number: int, answers: int, slots: int = 4) -> None:
        tenants = {"gil": OWNER, "ann": limits(slots=slots)}
        self.leased.take(PoolLeases(number, LEASE_MS, answers, Capacity(10_000, 10_000, 100), 16, KNOTS, tenants))

    def seconds(self, count: int) -> None:
        """Each with its report, which reaches nobody."""
        for _ in range(count):
            self.now += 1_000
            self.leased.report(self.desk.take_tallies())

    async def ask(self, tenant: str, most: int = 1) -> Failure | None:
        self._asked += 1
        return await self.desk.ask(Need(f"r{self._asked}", tenant, 1, most, 1, Class.NORMAL, None, lambda: None))


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


HALF = 500_000


def test_a_floor_is_a_part_of_every_limit_of_its_tier_and_of_no_others() -> None:
    quota, free = Quota(1_001, 101, 11), Quota(9, None, 0)
    tenants = {
        "gil": TenantLimits(Tier.GUARANTEED, (quota, quota, free)),
        "ann": TenantLimits(Tier.SPOT, (quota, quota, quota)),
        "low": TenantLimits(Tier.ELASTIC, (quota, quota, quota)),
    }
    lease = PoolLeases(7, LEASE_MS, 3, Capacity(10_000, 10_000, 100), 32, KNOTS, tenants)
    half = Quota(500, 50, 5)
    assert FailSafe().of(lease) is None, "refuse"
    floor = FailSafe({Tier.GUARANTEED: HALF, Tier.ELASTIC: 1_000_000, Tier.PREEMPTIBLE: HALF}).of(lease)
    assert floor is not None
    assert floor.tenants == {"gil": TenantLimits(Tier.GUARANTEED, (half, half, Quota(4, None, 0))), "low": tenants["low"]}
    assert (floor.number, floor.capacity, floor.kv_block_tokens) == (7, lease.capacity, 32)


def test_the_same_lease_renewed_after_it_was_over_is_in_force_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def play() -> None:
        outage = Outage(tmp_path, FailSafe({Tier.GUARANTEED: HALF}))
        outage.leased.report({})
        outage.lease(1, 1)
        outage.seconds(7)
        assert caplog.text.count("the lease is over") == 1, "it ends once"
        assert await outage.ask("ann") is not None
        outage.lease(1, 8)
        assert (await outage.ask("ann"), outage.leased.number) == (None, 1)
        outage.leased.take(None)
        assert outage.leased.number == 0
        refused = await outage.ask("gil")
        assert refused is not None
        assert (refused.status, refused.code) == (503, Code.NO_LIMITS), "the engine says so: no fail-safe is asked"
        await outage.leased.leave()

    asyncio.run(play())


class Told:
    """Reports as they are handed to the reporter."""

    def __init__(self, leased: Leased) -> None:
        self.reports: list[tuple[int, dict[str, TenantUse], bool]] = []
        self._report = leased._reporter.report
        leased._reporter.report = self.report  # type: ignore[method-assign]  # listened to, and passed on

    def report(self, applied: int, use: Mapping[str, TenantUse], *, leaving: bool = False) -> int:
        self.reports.append((applied, dict(use), leaving))
        return self._report(applied, use, leaving=leaving)


def test_a_report_says_what_ran_was_refused_waits_and_is_held(tmp_path: Path) -> None:
    async def play() -> None:
        outage = Outage(tmp_path, FailSafe(), length=1)
        told = Told(outage.leased)
        outage.leased.report({})
        outage.lease(4, 1, slots=2)
        outage.seconds(1)
        for most in (99, 15):
            assert await outage.ask("ann", most) is None
        waits = asyncio.create_task(outage.ask("ann", 32))
        await asyncio.sleep(0)
        assert await outage.ask("ann", 49) is not None
        outage.desk.settle("r1", 1, 1)  # lets in who waits
        assert await waits is None
        again = asyncio.create_task(outage.ask("ann", 200))
        await asyncio.sleep(0)
        outage.seconds(1)
        again.cancel()
        assert [applied for applied, _, _ in told.reports] == [0, 4, 4]
        assert told.reports[-1][1] == {
            "ann": TenantUse(
                tokens=(100 + 16 + 33) + 50 + 201,
                kv_blocks_peak=(7 + 1) + 4 + 13,
                concurrency_peak=2 + 1 + 1,
                kv_blocks_held=1 + 3,
                concurrency_held=2,
                refused=1 + 1,
            )
        }
        await outage.leased.leave()
        assert not told.reports[-1][2], "it still runs something: its share is not free"
        for request in ("r2", "r3"):
            outage.desk.settle(request, 1, 1)
        await outage.leased.leave()
        assert told.reports[-1] == (4, {}, True)

    asyncio.run(play())


def reporter(home: Path, clock: list[int]) -> LeaseReporter:
    settings = Settings(home=home, kafka="127.0.0.1:1")
    return LeaseReporter(settings, "llm", "gate", "life", lease_ms=LEASE_MS, now_ms=lambda: clock[0])


@pytest.mark.parametrize(
    ("count", "chunks"), [(0, [0]), (1, [1]), (MOST_REPORTED, [MOST_REPORTED]), (MOST_REPORTED + 1, [MOST_REPORTED, 1])]
)
def test_a_long_report_comes_in_chunks_of_one_sequence(tmp_path: Path, count: int, chunks: list[int]) -> None:
    clock = [5_000]
    made = reporter(tmp_path, clock)
    use = {f"t{number:05}": TenantUse(*range(number, number + 6)) for number in reversed(range(count))}
    clock[0] += 250  # the first report is of a second, and of what passed since
    reports = made._reports(clock[0], 8, use, leaving=False)
    assert [len(each.tenant) for each in reports] == chunks
    assert [(each.sequence, each.chunk, each.chunks) for each in reports] == [(1, at, len(chunks)) for at in range(len(chunks))]
    assert {(each.applied, each.interval_ms, each.lease_ms) for each in reports} == {(8, 1_250, LEASE_MS)}
    rows: list[Any] = []
    for each in reports:
        rows += zip(each.tenant, *(getattr(each, column) for column in USE_COLUMNS), strict=True)
    assert rows == [(name, *use[name]) for name in sorted(use)]
    made.close()


def test_a_lease_is_counted_from_when_its_report_was_sent_and_old_reports_are_forgotten(tmp_path: Path) -> None:
    clock = [5_000]
    made = reporter(tmp_path, clock)
    lease = PoolLeases(1, 3_000, 1, Capacity(1, 1, 1), 16, KNOTS, {})
    assert made.left_ms(lease) == 0, "a report that was never sent"
    made.report(0, {})
    for at, left in ((5_000, 3_000), (7_999, 1), (8_000, 0), (9_000, 0), (6_000, 2_000)):
        clock[0] = at
        assert made.left_ms(lease) == left
    for _ in range(KEPT_REPORTS - 1):
        made.report(0, {})
    assert (made.left_ms(lease), len(made._sent)) == (2_000, KEPT_REPORTS)
    made.report(0, {})
    assert (made.left_ms(lease), len(made._sent)) == (0, KEPT_REPORTS)
    made.close()
