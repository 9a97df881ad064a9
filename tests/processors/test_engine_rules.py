"""The engine's rules, one by one: commands, counting, the barrier, budgets, demand, policies."""

from itertools import chain

import pytest
from journal_world import World, latency, mark, of_kind, pool, profile, rows, state_bytes, tick, usage

from processors.broken import BrokenJournalError
from processors.counting import used_tokens
from processors.engine import decide
from processors.state import SEEN_COMMANDS
from schemas.dead_letters import DeadLetter, Problem
from schemas.facts import (
    AllocationsClosed,
    AllocationsOpened,
    CommandRefused,
    Forecasts,
    MeterMarked,
    PeriodClosed,
    PeriodOpened,
    PoolSet,
    Postings,
    ProfileSet,
    Reason,
    Ticked,
    UsageCounted,
    UsageUnrouted,
)
from schemas.units import MAX_TOKENS


def opened(**terms):
    """A world in period 5 (ticks 10 to 12) of pool llm with tenants a and b; period_s 2, tick 1 s, one partition each."""
    here = World()
    here.tick(8)
    here.marks(8)
    here.take(pool(**terms), profile("a1", "a", base=100), profile("b1", "b", base=200))
    here.run(9, 10)
    assert here.pool().open.period == 5
    return here


# Commands


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


# Counting


def test_a_report_counts_once_before_and_after_its_mark():
    here = opened()
    report = usage(11, {"a": 7})
    assert type(here.take(report)[0]) is UsageCounted
    assert here.take(report) == []
    assert [type(fact) for fact in here.take(usage(11, {"a": 5}, chunk=1))] == [UsageCounted]
    assert [type(fact) for fact in here.take(usage(11, {"b": 2}, partition=1))] == [UsageCounted]
    here.take(mark(11))
    assert here.state.reported == {("usage", 1, 11, "llm", 0)}
    assert here.take(report, usage(10, {"a": 9}), usage(11, {"a": 9}, chunk=2), mark(11), mark(9)) == []
    assert (here.value("a", "used"), here.value("a", "requests"), here.value("b", "used")) == (12, 2, 2)


def test_two_meters_of_one_partition_number_are_two():
    here = opened()
    here.take(mark(11, "latency"))
    assert len(here.take(usage(11, {"a": 7}))) == 1


def test_sums_of_a_closed_period_count_in_the_open_one():
    here = opened()
    here.tick(11)
    here.tick(12)
    facts = here.tick(15)  # grace over
    assert [fact.period for fact in of_kind(facts, PeriodClosed)] == [5]
    assert here.pool().open.period == 7
    (late,) = here.take(usage(11, {"a": 7}))
    assert late.period == 7
    assert here.value("a", "used") == 7


def test_sums_ahead_wait_for_their_period():
    here = opened()
    (ahead,) = here.take(usage(13, {"a": 7}))
    assert (ahead.period, here.value("a", "used"), here.value("a", "next_used")) == (6, 0, 7)
    facts = here.run(11, 12)
    assert rows(facts, AllocationsClosed, "used") == {"a": 0, "b": 0}
    assert (here.value("a", "used"), here.value("a", "next_used")) == (7, 0)


def test_no_period_opens_before_usage_that_it_holds():
    """A meter two periods ahead, the clock of the journal behind it: its tokens must not count before they were used."""
    here = opened()
    here.take(usage(11, {"a": 1}), usage(13, {"a": 2}), usage(15, {"a": 4}))
    facts = here.run(11, 12)
    assert [fact.period for fact in of_kind(facts, PeriodOpened)] == [7]
    assert here.value("a", "used") == 6
    facts = here.run(13, 16)
    assert [(fact.period, fact.used) for fact in of_kind(facts, PeriodClosed)] == [(7, 6)]


def test_usage_of_no_pool_is_told_once_with_its_sums():
    here = World()
    here.tick(8)
    report = usage(9, {"a": (10, 4, 3, 2)}, pool="ghost")
    (fact,) = here.take(report)
    assert type(fact) is UsageUnrouted
    assert (fact.pool, fact.tenant, fact.requests) == ("ghost", ["a"], [2])
    assert (fact.input_tokens, fact.cached_input_tokens, fact.output_tokens) == ([10], [4], [3])
    assert here.take(report) == []
    here.take(mark(9))
    assert here.take(report) == []


def test_an_unknown_tenant_is_metered_with_base_0_and_has_a_row_only_while_it_uses():
    here = opened(policy="max_min")
    here.take(usage(11, {"zoe": 7}), usage(12, {"idle": (0, 0, 0, 1)}))
    facts = here.run(11, 12)
    assert rows(facts, AllocationsClosed, "base", "allocated", "used", "requests") == {
        "a": (100, 100, 0, 0),
        "b": (200, 200, 0, 0),
        "idle": (0, 0, 0, 1),
        "zoe": (0, 0, 7, 1),
    }
    assert set(rows(facts, AllocationsOpened, "base")) == {"a", "b"}
    assert set(rows(here.run(13, 14), AllocationsClosed, "used")) == {"a", "b"}
    here.take(profile("z1", "zoe", base=1))
    assert rows(here.run(15, 16), AllocationsOpened, "demand")["zoe"] == 0


@pytest.mark.parametrize(
    ("row", "weight", "used"),
    [
        ((10, 10, 0), 1_000_000, 10),
        ((10, 10, 0), 0, 0),
        ((10, 4, 3), 0, 9),
        ((10, 3, 0), 500_000, 8),  # 7 fresh + floor(1.5)
        ((3, 3, 0), 333_333, 0),  # floor(0.999999)
        ((3, 3, 0), 333_334, 1),
        ((2**62 - 1, 2**62 - 1, 2**62 - 1), 999_999, 2**62 - 1 + (2**62 - 1) * 999_999 // 1_000_000),
    ],
)
def test_cached_input_is_weighted_and_floored_per_tick_and_tenant(row, weight, used):
    assert used_tokens([row[0]], [row[1]], [row[2]], weight) == [used]


def test_flooring_happens_once_for_each_report():
    here = opened(cached_weight="0.5")
    here.take(usage(11, {"a": (1, 1, 0)}), usage(12, {"a": (1, 1, 0)}), usage(12, {"b": (2, 2, 0)}, chunk=1))
    assert (here.value("a", "used"), here.value("b", "used")) == (0, 1)


def test_the_weight_in_force_counts():
    here = opened(cached_weight=1)
    here.take(pool("p2", cached_weight=0))
    here.take(usage(11, {"a": (5, 5, 0)}))
    assert here.value("a", "used") == 5
    here.run(11, 12)
    here.take(usage(13, {"a": (5, 5, 0)}))
    assert here.value("a", "used") == 0


def test_usage_before_the_first_period_counts_in_it():
    here = World()
    here.tick(8)
    here.take(pool(), profile("a1", "a"))
    (early,) = here.take(usage(9, {"a": 3}))
    assert early.period == 5
    here.take(usage(10, {"a": 4}))
    here.run(9, 10)
    assert here.value("a", "used") == 7


def test_sums_are_held_at_the_largest_int64():
    here = opened()
    most = (2**62 - 1, 0, 2**62 - 1)
    here.take(usage(11, {"a": most, "b": 1}), usage(11, {"a": most}, chunk=1), usage(11, {"b": most}, chunk=2))
    assert here.value("a", "used") == 2**63 - 1
    assert here.value("b", "used") == 2**63 - 1
    facts = here.run(11, 12)
    assert of_kind(facts, PeriodClosed)[0].used == 2**63 - 1
    assert rows(facts, Forecasts, "mean") == {"a": MAX_TOKENS, "b": MAX_TOKENS}


BROKEN = [
    ("a tenant twice", {"tenant": ["a", "a"]}, "tick 11, pool 'llm', chunk 0: a tenant stands twice"),
    ("a short column", {"requests": [1]}, "2 tenants, but columns of [1, 2, 2, 2] rows"),
    ("beyond int64", {"input_tokens": [0, 2**62]}, "a number is not from 0 to 2^62-1"),
    ("negative", {"output_tokens": [0, -1]}, "a number is not from 0 to 2^62-1"),
]


@pytest.mark.parametrize(("change", "says"), [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN])
def test_a_report_that_contradicts_itself_stops_the_engine(change, says):
    here = opened()
    report = usage(11, {"a": 1, "b": 2})
    broken = type(report).model_construct(**{**report.__dict__, **change})
    before = state_bytes(here.state)
    with pytest.raises(BrokenJournalError) as raised:
        here.take(broken)
    assert says in str(raised.value)
    assert state_bytes(here.state) == before


def test_latencies_decide_nothing_yet():
    here = opened()
    assert here.take(latency(11)) == []


# The clock and the barrier


def test_a_period_closes_exactly_when_the_last_meter_has_reported_its_last_tick():
    here = World(meters=2)
    here.tick(8)
    here.take(pool())
    here.run(9, 11)
    assert here.tick(12)[1:] == []
    assert [type(fact) for fact in here.marks(12, but=[("usage", 1)])] == [MeterMarked] * 3
    assert [type(fact) for fact in here.take(mark(11, "usage", 1))] == []  # known
    facts = here.take(mark(12, "usage", 1))
    assert [type(fact) for fact in facts] == [MeterMarked, PeriodClosed, PeriodOpened]
    assert (facts[1].period, facts[1].closed_tick, facts[1].late_meters) == (5, 12, [])


def test_meters_may_be_ahead_of_the_journals_clock():
    here = opened()
    here.marks(12)
    assert here.pool().open.period == 6
    assert here.pool().closed_tick == 10
    assert [type(fact) for fact in here.tick(11)] == [Ticked]
    assert [type(fact) for fact in here.tick(12)] == [Ticked]


@pytest.mark.parametrize("grace", [0, 1, 3, 10])
def test_when_grace_is_over_the_late_meters_are_named(grace):
    here = World(meters=2, grace=grace)
    here.tick(8)
    here.take(pool())
    here.run(9, 11)
    here.take(mark(12, "usage", 0))
    facts = []
    for number in range(12, 12 + grace):
        facts += here.tick(number)
    assert not of_kind(facts, PeriodClosed)
    (closed,) = of_kind(here.tick(12 + grace), PeriodClosed)
    assert closed.late_meters == ["latency/0", "latency/1", "usage/1"]
    assert here.pool().open.period == max(6, (12 + grace) // 2)


def test_a_meter_that_the_clock_does_not_count_is_not_waited_for():
    here = opened()
    here.tick(11, meters=2)
    here.tick(12, meters=2)
    assert not of_kind(here.marks(12), PeriodClosed)
    facts = here.tick(13, meters=1)
    assert [fact.period for fact in of_kind(facts, PeriodClosed)] == [5]


def test_periods_in_which_no_clock_ticked_are_skipped():
    here = opened()
    here.take(usage(11, {"a": 3}))
    facts = here.tick(1001)
    (closed,) = of_kind(facts, PeriodClosed)
    (begun,) = of_kind(facts, PeriodOpened)
    assert (closed.period, closed.used, closed.closed_tick, closed.late_meters) == (5, 3, 1001, ["latency/0", "usage/0"])
    assert (begun.period, begun.period_start) == (500, 1_000_000)
    assert here.take(usage(12, {"a": 2}))[0].period == 500


def test_pools_with_periods_of_different_length():
    here = World()
    here.tick(11)
    here.take(pool(id="1", pool="two", period_s=2), pool(id="2", pool="three", period_s=3), pool(id="3", pool="six", period_s=6))
    facts = here.run(12, 24)
    closed = [(fact.pool, fact.period, fact.closed_tick) for fact in of_kind(facts, PeriodClosed)]
    assert closed == [
        ("two", 6, 14), ("three", 4, 15), ("two", 7, 16), ("six", 2, 18), ("three", 5, 18), ("two", 8, 18),
        ("two", 9, 20), ("three", 6, 21), ("two", 10, 22), ("six", 3, 24), ("three", 7, 24), ("two", 11, 24),
    ]  # fmt: skip
    last = [fact.fact_index for fact in here.facts if fact.journal_offset == here.journal[-1][0]]
    assert last == list(range(7))


def test_ticks_and_marks_that_are_known_change_nothing():
    here = opened()
    before = state_bytes(here.state)
    assert here.take(tick(10), tick(9), tick(1, meters=7, grace=9), mark(10), mark(3)) == []
    assert state_bytes(here.state) == before


def test_what_no_correct_writer_appends_stops_the_engine():
    here = opened()
    with pytest.raises(BrokenJournalError, match="tick_ms: 500, but this journal was begun with 1000"):
        here.take(tick(21, tick_ms=500))
    letter = DeadLetter(
        source_topic="t",
        source_partition=0,
        source_offset=0,
        source_time=0,
        reason=Problem.INVALID,
        detail="",
        key=b"",
        payload=b"",
    )
    with pytest.raises(BrokenJournalError, match="'dead_letter' is not a command"):
        here.take(letter)


def test_facts_are_chunks_in_the_byte_order_of_ids():
    here = World()
    here.tick(8)
    here.take(pool(capacity=10_000))
    names = [f"t{number * 7919 % 4001:04d}" for number in range(4001)] + ["Z", "é", "\U00010000", "\uffff"]
    here.take(*(profile(name, name, base=1) for name in names))
    facts = here.run(9, 12)
    for kind in (Forecasts, AllocationsOpened, AllocationsClosed):
        chunks = [fact.tenant for fact in of_kind(facts, kind) if fact.period == 5]
        assert [len(chunk) for chunk in chunks] == [2000, 2000, 5]
        assert list(chain.from_iterable(chunks)) == sorted(names, key=str.encode)


# Budgets and the ledger

# Period 5 begins at 10 s, 6 at 12 s, …; base 10 at price 3 and surplus at price 7; the one bidder wants all.


def spender(*budgets):
    """(budget_left, surplus, charge) of tenant a for each budget in turn, one period each; "same": leave it as it is."""
    here = World()
    here.tick(8)
    here.take(pool(capacity=1000, base_price=3, reserve_price=7, policy="max_min"))
    seen = []
    for at, budget in enumerate(budgets):
        if budget != "same":
            here.take(profile(f"a{at}", "a", base=10, budget=budget))
        if at == 0:
            here.take(usage(9, {"a": 1000}))
        facts = here.run(9 + 2 * at, 10 + 2 * at)
        seen.append(rows(facts, AllocationsOpened, "budget_left", "surplus", "charge")["a"])
        here.take(usage(11 + 2 * at, {"a": 1000}))
    return seen


def test_without_a_budget_nothing_limits():
    assert spender(None, "same") == [(None, 0, 30), (None, 990, 30 + 990 * 7)]


def test_surplus_is_bought_only_from_what_the_window_has_left():
    # 100 s windows: all of it in one. 30 for each base; 5 tokens of surplus for 35 in the second period.
    assert spender((100, 100), "same", "same", "same") == [(100, 0, 30), (70, 5, 65), (5, 0, 30), (0, 0, 30)]


def test_a_window_begins_anew_at_its_multiple():
    # Windows of 4 s begin at 12 s and 16 s: periods 6 and 7, 8 and 9.
    assert spender((65, 4), "same", "same", "same", "same") == [(65, 0, 30), (65, 5, 65), (0, 0, 30), (65, 5, 65), (0, 0, 30)]


def test_a_changed_amount_counts_against_what_was_spent_and_a_changed_window_begins_anew():
    assert spender((100, 100), (37, 100), (200, 100)) == [(100, 0, 30), (7, 0, 30), (140, 15, 135)]
    assert spender((65, 100), (65, 200), (65, 200)) == [(65, 0, 30), (65, 5, 65), (0, 0, 30)]
    assert spender((65, 100), None, (65, 100)) == [(65, 0, 30), (None, 990, 6960), (65, 5, 65)]


def test_charges_are_posted_from_tenant_to_operator():
    here = opened(base_price=3)
    (posted,) = of_kind(here.facts, Postings)
    assert (posted.debit_account, posted.amount) == (["billed/a", "billed/b"], [300, 600])
    assert (posted.entry, posted.code, posted.asset) == (["post"] * 2, ["allocation"] * 2, [-1] * 2)
    assert posted.credit_account == ["operator"] * 2
    free = opened()
    assert not of_kind(free.facts, Postings)


# Demand and policies


def demands(forecaster, uses):
    here = World()
    here.tick(8)
    here.take(pool(capacity=10**9, forecaster=forecaster), profile("a1", "a"))
    seen = []
    here.run(9, 10)
    for at, used in enumerate(uses):
        here.take(usage(11 + 2 * at, {"a": used}))
        facts = here.run(11 + 2 * at, 12 + 2 * at)
        seen.append(rows(facts, AllocationsOpened, "demand")["a"])
        assert rows(facts, Forecasts, "mean", "p50", "p90", "p99") == {"a": (seen[-1], None, None, None)}
    return seen


def test_last_value_predicts_what_was_used():
    assert demands("last_value", [100, 0, 7]) == [100, 0, 7]


def test_exponential_moves_a_quarter_of_the_way():
    # 25, 18.75, 14.0625 + 25, 29.296875 + 25, rounded to the nearest token.
    assert demands("exponential", [100, 0, 100, 100]) == [25, 19, 39, 54]


@pytest.mark.parametrize("steady", [1, 2, 100, 12_345_678])
def test_exponential_arrives_at_a_steady_use(steady):
    assert demands("exponential", [steady] * 90)[-1] == steady


def test_a_pools_forecaster_may_change():
    here = opened(forecaster="exponential")
    here.take(usage(11, {"a": 100}), pool("p2", forecaster="last_value"))
    assert rows(here.run(11, 12), AllocationsOpened, "demand") == {"a": 100, "b": 0}


def test_policies_can_be_switched_between_periods():
    here = World()
    here.tick(8)
    here.take(pool(capacity=100, reserve_price=2), profile("a1", "a", elasticity=3), profile("b1", "b", elasticity=1))
    here.run(9, 10)
    seen = {}
    for at, policy in enumerate(["seed", "uniform_price", "max_min", "seed"]):
        here.take(pool(f"s{at}", capacity=100, reserve_price=2, policy=policy))
        here.take(usage(11 + 2 * at, {"a": 30, "b": 90}))
        facts = here.run(11 + 2 * at, 12 + 2 * at)
        (begun,) = of_kind(facts, PeriodOpened)
        assert begun.policy == policy
        seen[at] = (begun.price, rows(facts, AllocationsOpened, "bid", "rank", "surplus"))
    # seed: bids 90 and 90, a first. uniform: a's limit is 6, b's is the reserve price: b takes what is left of 100.
    # max_min: needs 30 and 90 with equal weights: 30 and 70.
    auction = (2, {"a": (90, 1, 90), "b": (90, 2, 10)})
    assert seen == {
        0: auction,
        1: (2, {"a": (30, None, 30), "b": (90, None, 70)}),
        2: (2, {"a": (30, None, 30), "b": (90, None, 70)}),
        3: auction,
    }


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
