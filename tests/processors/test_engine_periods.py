"""The engine's rules about time: ticks, the barrier of meters, grace, pools of different length, the order of facts."""

from itertools import chain

import pytest
from journal_world import World, mark, of_kind, opened, pool, profile, state_bytes, tick, usage

from processors.broken import BrokenJournalError
from schemas.dead_letters import DeadLetter, Problem
from schemas.facts import (
    AllocationsClosed,
    AllocationsOpened,
    Forecasts,
    MeterMarked,
    PeriodClosed,
    PeriodOpened,
    Ticked,
)


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
