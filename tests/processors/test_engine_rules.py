"""The engine's rules about commands: from when they hold, what is refused and why. And that deciding alone changes nothing."""

import pytest
from journal_world import World, mark, of_kind, opened, pool, profile, rows, state_bytes, tick, usage

from processors.engine import decide
from processors.state import SEEN_COMMANDS
from schemas.facts import (
    AllocationsClosed,
    AllocationsOpened,
    CommandRefused,
    PeriodClosed,
    PeriodOpened,
    PoolSet,
    ProfileSet,
    Reason,
)
from schemas.units import MAX_TOKENS


def test_pool_and_profile_hold_from_the_next_period():
    here = World()
    here.tick(8)
    (first,) = here.take(pool(id="p1", capacity=500))
    (base,) = here.take(profile("a1", "a", base=10))
    assert (first.version, first.from_period, first.tick_ms) == (1, 5, 1000)
    assert (base.version, base.from_period) == (1, 5)
    assert not of_kind(here.run(9, 9), PeriodOpened)
    assert [fact.period for fact in of_kind(here.run(10, 10), PeriodOpened)] == [5]
    (second,) = here.take(pool(id="p2", capacity=600))
    (changed,) = here.take(profile("a2", "a", base=20))
    assert (second.version, second.from_period, changed.version, changed.from_period) == (2, 6, 2, 6)
    assert here.pool().open.terms.capacity == 500
    assert here.value("a", "base") == 10
    closed = here.run(11, 12)
    assert [(fact.period, fact.capacity) for fact in of_kind(closed, PeriodClosed)] == [(5, 500)]
    assert [(fact.period, fact.capacity) for fact in of_kind(closed, PeriodOpened)] == [(6, 600)]
    assert rows(closed, AllocationsClosed, "base") == {"a": 10}
    assert rows(closed, AllocationsOpened, "base") == {"a": 20}


def test_a_command_before_the_first_period_changes_what_it_begins_with():
    here = World()
    here.tick(8)
    here.take(pool(id="p1", capacity=500))
    here.tick(9)
    assert [fact.from_period for fact in here.take(pool(id="p2", capacity=700), profile("a1", "a"))] == [5, 5]
    (begun,) = of_kind(here.run(10, 10), PeriodOpened)
    assert (begun.period, begun.capacity) == (5, 700)


@pytest.mark.parametrize("tick_ms", [500, 1000, 2000])
def test_a_pool_from_before_the_first_tick_learns_its_length(tick_ms):
    here = World(tick_ms=tick_ms)
    (made, _, counted) = here.take(pool(period_s=2), profile("a1", "a"), usage(1, {"a": 5}))
    assert (made.from_period, made.tick_ms, counted.period) == (0, 0, 0)
    k = 2000 // tick_ms
    facts = here.tick(10 * k)
    assert [(fact.period, fact.period_start) for fact in of_kind(facts, PeriodOpened)] == [(10, 20_000)]
    facts = [*here.tick(11 * k), *here.marks(11 * k)]
    assert rows(facts, AllocationsClosed, "used") == {"a": 5}


def test_a_pool_that_never_fits_the_clock_is_refused_when_the_clock_begins_and_can_be_mended():
    here = World(tick_ms=1500)
    here.take(pool(id="p1", period_s=2), profile("a1", "a"), usage(1, {"a": 5}))
    (refused,) = of_kind(here.tick(10), CommandRefused)
    assert (refused.reason, refused.detail) == (Reason.PERIOD_NOT_WHOLE_TICKS, "period_s: 2 is no multiple of the tick, 1500 ms")
    assert not here.tick(40)[1:]
    assert here.take(usage(40, {"a": 2}))[0].period == 0
    (mended,) = here.take(pool(id="p2", period_s=3))
    assert (mended.version, mended.from_period, mended.tick_ms) == (2, 21, 1500)
    assert [fact.period for fact in of_kind(here.run(41, 42), PeriodOpened)] == [21]
    assert rows(here.run(43, 44), AllocationsClosed, "used") == {"a": 7}


def too_dear(capacity, base_price, reserve_price, elasticity, ceiling):
    return (
        f"capacity: {capacity} tokens at a base price of {base_price}, a reserve price of {reserve_price} and an elasticity of "
        f"{elasticity} millionths can cost {ceiling} nanocredits, above the largest amount {2**63 - 1}"
    )


REFUSED = [
    ("profile of no pool", profile("x", "a", pool="ghost"), Reason.UNKNOWN_POOL, "pool: 'ghost' is not defined"),
    (
        "one token too many",
        profile("x", "c", base=701),
        Reason.OVERSUBSCRIBED,
        "base: 701 and the 300 promised to other tenants exceed the capacity 1000",
    ),
    (
        "a tenant's own base is replaced, not added",
        profile("x", "b", base=901),
        Reason.OVERSUBSCRIBED,
        "base: 901 and the 100 promised to other tenants exceed the capacity 1000",
    ),
    (
        "not whole ticks",
        pool("x", pool="other", period_s=3),
        Reason.PERIOD_NOT_WHOLE_TICKS,
        "period_s: 3 is no multiple of the tick, 2000 ms",
    ),
    (
        "another length",
        pool("x", period_s=4),
        Reason.PERIOD_FIXED,
        "period_s: 4, but periods of this pool are numbered in steps of 2 s",
    ),
    (
        "charges beyond int64: a pool's base price",
        pool("x", pool="other", capacity=MAX_TOKENS, base_price=1024),
        Reason.EXCEEDS_MONEY,
        too_dear(2**53, 1024, 0, 0, 2**63),
    ),
    (
        "charges beyond int64: a price that a profile may drive up",
        profile("x", "a", base=1, elasticity=9_000_000_000),
        Reason.EXCEEDS_MONEY,
        too_dear(1000, 0, 5_000_000, 9 * 10**15, 45 * 10**18),
    ),
]


@pytest.mark.parametrize(("command", "reason", "detail"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_refusals_say_why_and_change_nothing(command, reason, detail):
    here = World(tick_ms=2000)
    here.tick(8)
    here.take(pool(reserve_price=5_000_000), profile("a1", "a", base=100), profile("b1", "b", base=200))
    before = state_bytes(here.state)
    (fact,) = here.take(command)
    assert type(fact) is CommandRefused
    assert (fact.reason, fact.detail, fact.command, fact.command_id) == (reason, detail, command.KIND, "x")
    assert fact.tenant == getattr(command, "tenant", "")
    after = state_bytes(here.state)
    assert (after[0], after[2]) == (before[0], before[2])
    assert here.take(command) == []  # known by its id now


def test_limits_themselves_are_accepted():
    here = opened(base_price=1)
    assert type(here.take(profile("c1", "c", base=700))[0]) is ProfileSet
    assert type(here.take(pool("p2", capacity=MAX_TOKENS, base_price=1023))[0]) is PoolSet


def test_a_pool_without_capacity_has_a_price_that_is_an_amount():
    """Nothing can be charged there, but the clearing price would still be the highest limit."""
    here = World()
    here.tick(8)
    here.take(pool(capacity=0, policy="uniform_price", reserve_price=MAX_TOKENS))
    (refused,) = here.take(profile("a1", "a", elasticity=9_000_000_000))
    assert refused.reason is Reason.EXCEEDS_MONEY
    assert type(here.take(profile("a2", "a", elasticity=1024))[0]) is CommandRefused
    assert type(here.take(profile("a3", "a", elasticity=1023))[0]) is ProfileSet


def test_a_price_cannot_be_raised_over_profiles_that_are_there():
    here = opened(reserve_price=1)
    here.take(profile("a2", "a", base=100, elasticity=1_000_000))
    (refused,) = here.take(pool("p2", reserve_price=10_000_000_000))
    assert refused.reason is Reason.EXCEEDS_MONEY
    assert "elasticity of 1000000000000 millionths" in refused.detail


def test_command_ids_count_once_in_their_pool():
    here = opened()
    before = state_bytes(here.state)
    assert here.take(profile("a1", "a", base=999), pool(id="p1", capacity=1), pool(id="a1")) == []
    assert state_bytes(here.state) == before
    assert type(here.take(pool(id="p1", pool="another"))[0]) is PoolSet


def test_command_ids_are_forgotten_oldest_first():
    here = World()
    here.take(pool(id="first"))
    for number in range(SEEN_COMMANDS - 1):
        here.state.commands[number.to_bytes(16, "big")] = None
    assert here.take(pool(id="first")) == []
    here.take(profile("a1", "a"))
    assert len(here.state.commands) == SEEN_COMMANDS
    assert here.take(profile("a1", "a")) == []
    assert [fact.version for fact in here.take(pool(id="first"))] == [2]


def test_pending_bases_count_against_capacity():
    here = opened()
    assert type(here.take(profile("a2", "a", base=800))[0]) is ProfileSet  # from period 6
    (refused,) = here.take(profile("c1", "c", base=1))
    assert refused.detail == "base: 1 and the 1000 promised to other tenants exceed the capacity 1000"
    assert type(here.take(profile("a3", "a", base=799))[0]) is ProfileSet
    assert type(here.take(profile("c2", "c", base=1))[0]) is ProfileSet


def test_capacity_below_the_bases_gives_shares_and_shortfall_and_bases_may_still_shrink():
    here = opened()
    here.take(pool("p2", capacity=100))
    facts = here.run(11, 12)
    # Hamilton shares of 100 by 100 and 200: 33 1/3 and 66 2/3; the odd one goes to the larger remainder.
    assert rows(facts, AllocationsOpened, "base", "shortfall", "surplus") == {"a": (33, 67, 0), "b": (67, 133, 0)}
    (begun,) = of_kind(facts, PeriodOpened)
    assert (begun.allocated, begun.unallocated) == (100, 0)
    assert here.take(profile("a2", "a", base=101))[0].reason is Reason.OVERSUBSCRIBED
    assert type(here.take(profile("a3", "a", base=100, elasticity=2))[0]) is ProfileSet  # the same base
    assert type(here.take(profile("b2", "b", base=150))[0]) is ProfileSet  # still 250 of 100, but less than before
    assert here.take(profile("c1", "c", base=1))[0].reason is Reason.OVERSUBSCRIBED
    assert type(here.take(profile("c2", "c", base=0))[0]) is ProfileSet


def test_deciding_alone_changes_nothing():
    here = opened()
    here.take(usage(11, {"a": 3}))
    here.run(11, 11)
    here.tick(12)
    here.take(mark(12, "latency"))
    before = state_bytes(here.state)
    for record in (mark(12), tick(13), tick(99), usage(12, {"new": 1}), pool("p9"), profile("a9", "a"), profile("n", "new")):
        assert next(decide(here.state, record, 10**6), None) is not None
        assert state_bytes(here.state) == before
