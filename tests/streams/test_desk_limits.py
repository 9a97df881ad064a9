"""A gateway's desk: new limits, none at all, and what is told of an interval; with a clock that is played."""

from __future__ import annotations

import pytest
from desk_world import CAPACITY, RATE, Counter
from gateway_world import limits

from processors.admission import KNOTS, NOTHING, Allowance, Used
from processors.entitlement import Capacity, Quota, TenantLimits
from processors.waiting import Class, Rules
from schemas.published import Tier
from streams.gateway.answers import Code
from streams.gateway.desk import DeskError, Need, Wanting
from streams.leases import PoolLeases
from streams.limits import PoolLimits


def test_new_limits_judge_those_who_wait_at_once() -> None:
    counter = Counter()
    tight = {name: limits(slots=1, blocks=100) for name in ("ann", "ben", "cid", "dan")}

    async def story() -> None:
        counter.limit(tight)
        for name in tight:
            await counter.come(f"{name} runs", tenant=name)
            await counter.come(f"{name} waits", 32, tenant=name)
        assert counter.desk.waiting == 4
        counter.limit({"ann": limits(slots=2), "ben": limits(slots=1, blocks=1), "dan": tight["dan"]})
        await counter.moment()
        assert counter.admitted["ann waits"] == 0
        assert counter.refused["ben waits"].code is Code.NEVER_FITS
        gone = counter.refused["cid waits"]
        assert (gone.status, gone.code, gone.message) == (429, Code.RATE_LIMIT, "cid may use nothing of pool llm")
        assert counter.desk.allowance("cid") is NOTHING
        assert counter.desk.waits() == {"dan": Wanting(1, 32, 2)}
        tallies = counter.desk.take_tallies()
        assert tallies["ben"].refused == {"refused_own_kv": 1}
        assert tallies["cid"].refused == {"refused_own_throughput": 1}

    counter.play(story)


def test_a_closed_desk_refuses_who_comes_and_who_waits_and_lets_what_runs_go_on() -> None:
    counter = Counter()

    async def story() -> None:
        desk = counter.desk
        await counter.come("early")
        early = counter.refused["early"]
        assert (early.status, early.code, early.message) == (503, Code.NO_LIMITS, "the limits of pool llm are not known yet")
        assert (desk.ready, desk.allowance("ann"), desk.held("ann")) == (False, None, None)
        counter.limit({"ann": limits(slots=1)})
        assert desk.ready
        await counter.come("runs")
        await counter.come("waits")
        desk.close("no lease")
        await counter.moment()
        await counter.come("late")
        for name in ("waits", "late"):
            told = counter.refused[name]
            assert (told.status, told.code, told.message, told.retry_after_ms) == (503, Code.NO_LIMITS, "no lease", 1_000)
        assert (desk.ready, desk.in_flight) == (False, 1)
        (tally,) = desk.take_tallies().values()
        assert tally.told().get("refused_unknown") == 3, "before there were limits, and since they are over"
        assert (tally.refused_tokens, tally.refused_kv_blocks) == (0, 0), "no limit was asked"
        await counter.end("runs")
        counter.limit({"ann": limits(slots=1)})
        assert (desk.ready, desk.in_flight) == (True, 0)
        await counter.come("again")
        assert "again" in counter.admitted

    counter.play(story)


def test_limits_of_which_a_part_is_under_way_change_nothing_yet() -> None:
    """And those that can't be meant are a mistake, loudly."""
    counter = Counter()

    async def story() -> None:
        counter.limit({"gil": limits(Tier.GUARANTEED, 10, 10, 10), "sam": limits(Tier.SPOT)}, Capacity(100, 100, 15))
        counter.limit({"gil": limits(Tier.GUARANTEED, 10, 10, 20)}, Capacity(100, 100, 15))
        for number in range(11):
            await counter.come(f"r{number}", tenant="gil")
        assert len(counter.admitted) == 10, "those in force go on"
        for number in range(6):
            await counter.come(f"s{number}", tenant="sam")
        assert len(counter.admitted) == 15
        assert counter.refused["s5"].code is Code.NO_CAPACITY, "of one, too, whom the next limits leave out"
        with pytest.raises(DeskError, match="invalid_capacity"):
            counter.limit({}, Capacity(-1, 1, 1))

    counter.play(story)


def test_a_pools_blocks_and_how_its_borrowing_falls_are_its_own() -> None:
    counter = Counter()

    async def story() -> None:
        half = ((0, 500_000), (1_000_000, 500_000))
        borrows = TenantLimits(Tier.ELASTIC, (Quota(0, None, 0), Quota(0, None, 0), Quota(2, 4, 0)))
        counter.desk.limit(PoolLimits(CAPACITY, 32, half, {"ann": borrows, "ben": limits(slots=0)}))
        for number in range(5):
            await counter.come(f"r{number}", 33)
        assert list(counter.admitted) == ["r0", "r1", "r2", "r3"], "two, and half of four"
        assert counter.desk.held("ann") == Used(0, 8, 4)
        assert counter.desk.waits() == {"ann": Wanting(1, 33, 2)}
        await counter.come("never", 65, tenant="ben")
        assert counter.desk.take_tallies()["ben"].refused_kv_blocks == 3

    counter.play(story)


def test_a_lease_begins_spent_and_a_whole_pools_limits_do_not() -> None:
    async def left(counter: Counter, given: PoolLimits | PoolLeases) -> Allowance | None:
        counter.desk.limit(given)
        return counter.desk.allowance("ann")

    tenants = {"ann": limits(tokens=RATE)}
    for given, expected in (
        (PoolLimits(CAPACITY, 16, KNOTS, tenants), RATE),
        (PoolLeases(1, 5_000, 1, CAPACITY, 16, KNOTS, tenants), 0),
    ):
        counter = Counter()

        async def story(counter: Counter = counter, given: PoolLimits | PoolLeases = given, expected: int = expected) -> None:
            standing = await left(counter, given)
            assert standing is not None
            assert (standing.tokens, standing.tokens_left) == (RATE, expected)

        counter.play(story)


def test_tallies_tell_an_interval_and_what_it_began_with() -> None:
    counter = Counter(Rules(length=0))

    async def story() -> None:
        desk = counter.desk
        counter.limit({"zoe": limits(), "ann": limits(slots=2)})
        await counter.come("a1", 100)
        await counter.come("a2", 17)
        await counter.end("a1", 50)
        await counter.come("a3", 1)
        await counter.come("a4", 33)
        await counter.come("z1", 5, tenant="zoe")
        taken = desk.take_tallies()
        assert list(taken) == ["ann", "zoe"]
        ann = taken["ann"]
        assert (ann.admitted, ann.admitted_tokens, ann.stopped) == (3, 118, 0)
        assert ann.told() == {
            "admitted": 3,
            "stopped": 0,
            "refused_own_concurrency": 1,
            "refused_tokens": 33,
            "refused_kv_blocks": 3,
            "peak_kv_blocks": 9,
            "peak_concurrency": 2,
        }
        await counter.end("z1")
        await counter.end("a2")
        taken = desk.take_tallies()
        assert (taken["ann"].peak_kv_blocks, taken["ann"].peak_concurrency, taken["ann"].admitted) == (3, 2, 0), "as it began"
        assert (taken["zoe"].peak_kv_blocks, taken["zoe"].peak_concurrency) == (1, 1)
        await counter.end("a3")
        assert list(desk.take_tallies()) == ["ann"]
        assert desk.take_tallies() == {}

    counter.play(story)


LENDS = TenantLimits(Tier.GUARANTEED, (Quota(RATE, 0, 0), Quota(10, 0, 0), Quota(1, 0, 0)))


def test_whose_capacity_is_reclaimed_is_stopped_and_counted() -> None:
    counter = Counter()

    async def story() -> None:
        counter.limit({"gil": LENDS, "pip": limits(Tier.PREEMPTIBLE)}, Capacity(100_000, 10_000, 2))
        await counter.come("old", tenant="pip")
        await counter.come("new", tenant="pip")
        await counter.come("modest", tenant="gil", lowered=Tier.SPOT)
        assert counter.refused["modest"].code is Code.NO_CAPACITY, "it claims no right, and stops nobody"
        assert not counter.stopped
        await counter.come("owner", tenant="gil")
        assert counter.stopped == ["new"]
        assert "owner" in counter.admitted
        tallies = counter.desk.take_tallies()
        assert (tallies["pip"].stopped, tallies["pip"].told()["stopped"], tallies["gil"].stopped) == (1, 1, 0)
        assert counter.desk.in_flight == 3, "it holds what it has until it is settled"

    counter.play(story)


def test_calls_that_are_the_gateways_mistake_are_loud() -> None:
    counter = Counter()

    async def story() -> None:
        desk = counter.desk
        counter.limit({"ann": limits()})
        await counter.come("runs")
        with pytest.raises(DeskError, match="request_in_use"):
            await desk.ask(Need("runs", "ann", 1, 1, 1, Class.NORMAL, None, lambda: None))
        with pytest.raises(DeskError, match="invalid_cost"):
            desk.settle("runs", -1, 0)
        with pytest.raises(KeyError):
            desk.settle("nobody", 1, 0)

    counter.play(story)
