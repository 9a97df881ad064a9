"""The engine's rules about usage: each report counts once, in the right period, with the weight in force."""

import numpy as np
import pytest
from journal_world import World, latency, mark, of_kind, opened, pool, profile, rows, state_bytes, usage

from processors.broken import BrokenJournalError
from processors.counting import used_tokens
from schemas.facts import (
    AllocationsClosed,
    AllocationsOpened,
    Forecasts,
    PeriodClosed,
    PeriodOpened,
    UsageCounted,
    UsageUnrouted,
)
from schemas.units import MAX_TOKENS


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
    assert used_tokens(*np.array(row, np.int64).reshape(3, 1), weight).tolist() == [used]


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
