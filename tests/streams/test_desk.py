"""A gateway's desk: who waits, for how long exactly, who goes first, and what is told of it; with a clock that is played."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from desk_world import LONGEST_MS, RATE, RULES, Counter
from gateway_world import limits

from processors.admission import Used
from processors.entitlement import Capacity, Quota, TenantLimits
from processors.waiting import Class, Rules
from schemas.published import Tier
from streams.gateway.answers import Code
from streams.gateway.desk import Wanting

LOW, NORMAL, HIGH = Class


def test_a_light_request_does_not_pass_a_heavy_one_that_waits_though_it_would_fit() -> None:
    """And is asked as soon as that one runs; a costlier one, whose turn is before, may go at once."""
    counter = Counter()

    async def story() -> None:
        counter.limit({"ann": limits(tokens=RATE)})
        await counter.come("runs", 400)
        await counter.come("heavy", 900, weight=900)
        await counter.come("light", 10, weight=10)
        assert list(counter.admitted) == ["runs"], "600 are left, and the light one waits still"
        await counter.come("passes", 10, weight=1_000, class_=HIGH)
        assert list(counter.admitted) == ["runs", "passes"]
        await counter.until(RATE)
        assert counter.admitted == {"runs": 0, "passes": 0, "heavy": 310, "light": 320}, "to the millisecond of refill"

    counter.play(story)


def test_a_wait_of_less_than_a_tenth_of_a_second_is_no_longer() -> None:
    counter = Counter()

    async def story() -> None:
        counter.limit({"ann": limits(tokens=RATE)})
        await counter.come("runs", RATE)
        await counter.come("waits", 30)
        await counter.until(200)
        assert counter.admitted["waits"] == 30

    counter.play(story)


def test_a_client_that_goes_as_it_is_refused_is_only_gone() -> None:
    counter = Counter()

    async def story() -> None:
        counter.limit({"ann": limits(slots=1)})
        await counter.come("runs")
        await counter.come("waits")
        counter.desk.close("no lease")
        counter.asking["waits"].cancel()
        await counter.moment()
        assert "waits" not in counter.refused
        assert counter.desk.in_flight == 1

    counter.play(story)


def test_those_who_keep_coming_do_not_put_off_when_it_is_asked_again() -> None:
    counter = Counter(Rules(length=100, longest_ms=LONGEST_MS, head_start_ms=300, heaviest=1_000))

    async def story() -> None:
        counter.limit({"ann": limits(tokens=RATE)})
        await counter.come("runs", RATE)
        await counter.come("waits", 500, weight=1_000)
        for number in range(20):
            await counter.until(number * 50)
            await counter.come(f"r{number}", 10)
        assert counter.admitted["waits"] == 500

    counter.play(story)


def test_an_earlier_moment_replaces_a_later_one() -> None:
    """The heaviest comes second and needs less time than the first."""
    counter = Counter()

    async def story() -> None:
        counter.limit({"ann": limits(tokens=RATE)})
        await counter.come("runs", RATE)
        await counter.come("late", 900)
        await counter.come("soon", 300, class_=HIGH)
        await counter.until(1_500)
        assert counter.admitted == {"runs": 0, "soon": 300, "late": 1_200}

    counter.play(story)


def test_who_waits_in_vain_is_told_why_and_makes_room_at_that_moment() -> None:
    counter = Counter()

    async def story() -> None:
        counter.limit({"ann": limits(tokens=RATE, slots=1)})
        await counter.come("runs", 100)
        await counter.come("first", 100, weight=1_000)
        await counter.come("second", 100, weight=1)
        await counter.until(LONGEST_MS - 1)
        assert counter.desk.waiting == 2
        await counter.until(LONGEST_MS)
        assert set(counter.refused) == {"first", "second"}
        told = counter.refused["first"]
        assert (told.status, told.code, told.more["dimension"]) == (429, Code.RATE_LIMIT, "concurrency")
        assert (told.more["limit"], told.more["used"], told.more["need"]) == (1, 1, 1)
        assert told.message.endswith("; it waited 2000 ms")
        behind = counter.refused["second"]
        assert (behind.status, behind.code, behind.retry_after_ms, behind.more) == (429, Code.RATE_LIMIT, 1_000, {})
        assert behind.message == "requests of ann that came before it wait still: it waited 2000 ms"
        tally = counter.desk.take_tallies()["ann"]
        assert tally.refused == {"refused_own_concurrency": 1, "refused_own_throughput": 1}
        assert (tally.refused_tokens, tally.refused_kv_blocks) == (200, 14), "each in whole blocks of 16"

    counter.play(story)


def test_who_gives_up_lets_the_next_one_in_at_once() -> None:
    """The large one never fits while the other runs; the small one behind it does."""
    counter = Counter()

    async def story() -> None:
        counter.limit({"ann": limits(blocks=10)})
        await counter.come("runs", 80)
        await counter.come("large", 160, weight=1_000)
        await counter.until(150)
        await counter.come("small", 80)
        await counter.until(LONGEST_MS - 1)
        assert counter.desk.waits() == {"ann": Wanting(2, 240, 15)}
        assert list(counter.admitted) == ["runs"]
        await counter.until(LONGEST_MS + 1)
        assert list(counter.refused) == ["large"]
        assert counter.admitted["small"] == LONGEST_MS

    counter.play(story)


def test_a_full_room_says_so() -> None:
    counter = Counter()

    async def story() -> None:
        counter.limit({"ann": limits(slots=1)})
        await counter.come("runs")
        for number in range(RULES.length):
            await counter.come(f"waits{number}")
        await counter.come("late")
        await counter.come("heavier", class_=HIGH)
        assert counter.refused["late"].message == "requests of ann that came before it wait still: 3 requests wait already"
        assert counter.refused["heavier"].message.endswith("and this request needs 1; 3 requests wait already")
        assert counter.desk.waiting == RULES.length
        await counter.end("runs")
        assert list(counter.admitted) == ["runs", "waits0"], "one slot, one request"

    counter.play(story)


def test_who_finds_the_room_full_is_told_when_to_come_back() -> None:
    counter = Counter(Rules(length=1))

    async def story() -> None:
        counter.limit({"ann": limits(tokens=RATE)})
        await counter.come("runs", RATE)
        await counter.come("waits", 500)
        await counter.until(100)
        await counter.come("heavier", 300, class_=HIGH)
        told = counter.refused["heavier"]
        assert (told.retry_after_ms, told.more["dimension"], told.more["used"], told.more["need"]) == (200, "throughput", 900, 300)

    counter.play(story)


@pytest.mark.parametrize("goes_first", [True, False])
def test_a_client_that_goes_as_its_turn_comes_leaves_its_slot_to_the_next(goes_first: bool) -> None:
    counter = Counter()

    async def story() -> None:
        counter.limit({"ann": limits(tokens=RATE, slots=1)})
        await counter.come("runs", RATE)
        await counter.come("goes", 100)
        await counter.come("next", 100)
        steps: list[Callable[[], object]] = [counter.asking["goes"].cancel, lambda: counter.desk.settle("runs", 0, 0)]
        for step in steps if goes_first else reversed(steps):
            step()
        await counter.moment()
        assert list(counter.admitted) == ["runs", "next"]
        assert counter.desk.in_flight == 1
        assert counter.desk.held("ann") == Used(100, 7, 1), "who has gone has paid nothing"

    counter.play(story)


@pytest.mark.parametrize("turn_first", [True, False])
def test_a_turn_that_comes_in_the_moment_in_which_the_wait_ends(turn_first: bool) -> None:
    """Both happen before the one who waits awakes."""
    counter = Counter()

    async def story() -> None:
        counter.limit({"ann": limits(slots=1)})
        await counter.come("runs")
        await counter.come("waits")
        between_s = 1e-10  # less than what the loop's clock tells apart
        at_s = LONGEST_MS / 1000 + (-between_s if turn_first else between_s)
        asyncio.get_running_loop().call_at(at_s, counter.desk.settle, "runs", 1, 0)
        await counter.until(LONGEST_MS + 1)
        assert ("waits" in counter.admitted) == turn_first == ("waits" not in counter.refused)
        assert counter.desk.in_flight == turn_first

    counter.play(story)


SPOT = limits(Tier.SPOT)
OWNER = TenantLimits(Tier.GUARANTEED, (Quota(1_000, None, 0), Quota(10, None, 0), Quota(1, None, 0)))


@pytest.mark.parametrize(
    ("own", "lowered", "waits"),
    [
        (OWNER, None, True),  # it has a right here, of which more may come
        (OWNER, Tier.SPOT, False),  # it claims none
        (limits(Tier.ELASTIC), None, False),
        (SPOT, None, False),
    ],
)
def test_only_who_has_a_right_waits_for_the_pool(own: TenantLimits, lowered: Tier | None, waits: bool) -> None:
    counter = Counter()

    async def story() -> None:
        counter.limit({"ann": own, "sam": SPOT}, Capacity(100_000, 10_000, 2))
        await counter.come("right")
        await counter.come("spot", tenant="sam")
        await counter.come("more", lowered=lowered)
        assert counter.desk.waiting == waits
        if not waits:
            told = counter.refused["more"]
            assert (told.status, told.code, told.more["whose"]) == (503, Code.NO_CAPACITY, "pool")
            assert counter.desk.take_tallies()["ann"].refused == {"refused_pool_concurrency": 1}
            return
        await counter.end("spot")
        assert "more" not in counter.admitted, "nobody tells it; the pool is asked again after a tenth of a second"
        await counter.until(100)
        assert counter.admitted["more"] == 100

    counter.play(story)


def test_what_never_fits_does_not_wait() -> None:
    counter = Counter()

    async def story() -> None:
        counter.limit({"ann": limits(tokens=RATE), "gil": limits(Tier.GUARANTEED, RATE, 100, 2)})
        for name, tenant in (("a", "ann"), ("g", "gil")):
            await counter.come(name, RATE + 1, tenant=tenant)
            told = counter.refused[name]
            assert (told.status, told.code, told.retry_after_ms) == (429, Code.NEVER_FITS, None)
        counter.limit({"ann": OWNER}, Capacity(100_000, 10, 2))
        await counter.come("more than the pool", 161)
        told = counter.refused["more than the pool"]
        assert (told.status, told.code, told.more["whose"]) == (503, Code.NEVER_FITS, "pool")
        assert counter.desk.waiting == 0

    counter.play(story)
