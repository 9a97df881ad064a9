"""What a planner makes of history: hours that are kept, holes, needs, and whose history becomes a tenant's prior."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.forecast.settings import GAP_S
from processors.history import History, holes, long_term_needs
from processors.priors import ENOUGH_HOURS, YOUNG_HOURS, Standing, find_priors
from processors.rebalance import UNKNOWN, RebalanceSettings, needs
from schemas.planning import HOURS_OF_WEEK, MOST_NEEDS, MOST_PRIORS, PriorSource
from schemas.units import MAX_TOKENS

WEEK = HOURS_OF_WEEK
START = 400_000


def history(hours, look_back=WEEK, period_s=60):
    """Of hours from START on, each a dict of who used what."""
    made = History(period_s, look_back)
    for number, used in enumerate(hours):
        made.take(START + number, list(used), list(used.values()))
    return made


@settings(max_examples=60)
@given(
    st.lists(st.dictionaries(st.sampled_from([f"t{number}" for number in range(40)]), st.integers(0, MAX_TOKENS)), max_size=60),
    st.integers(1, 12),
)
def test_the_last_hours_are_kept_whoever_comes_and_goes(hours, look_back):
    made = history(hours, look_back)
    kept = hours[-look_back:]
    names = sorted({name for used in kept for name in used} | {"nobody"})
    found = made.of(names)
    held = min(look_back, len(hours)) and list(made.hours)
    expected = {START + len(hours) - len(kept) + row: used for row, used in enumerate(kept)}
    for hour, row in zip(held or [], found.tolist(), strict=True):
        assert row == [expected.get(hour, {}).get(name, UNKNOWN) for name in names]
    # Who has gone is forgotten, once they are more than who is there.
    assert len(made.names) <= 2 * len({name for used in kept for name in used}) + max(map(len, hours), default=0)


def test_an_hour_that_does_not_follow_is_a_broken_invariant():
    with pytest.raises(AssertionError, match="does not follow"):
        history([{}, {}]).take(START + 5, [], [])


A_DAY = GAP_S // 600
HOLES = [
    ("late", [5, 5, 5], [9, 9, 9], [0, 1, 0], [1]),
    ("nobody used anything, and many were there", [5, 0, 0, 5], [3, 3, 3, 3], [0] * 4, [1, 2]),
    ("nobody, but two tenants may well be idle", [5, 0, 0, 5], [2, 2, 2, 2], [0] * 4, []),
    ("after a day it is no gap", [5] + [0] * (A_DAY + 3), [9] * (A_DAY + 4), [0] * (A_DAY + 4), [*range(1, A_DAY + 1)]),
    ("nobody ever used anything", [0, 0, 0], [9, 9, 9], [0, 0, 0], []),
]


@pytest.mark.parametrize(("what", "used", "tenants", "late", "expected"), HOLES, ids=[case[0] for case in HOLES])
def test_holes_are_not_zeros(what, used, tenants, late, expected):
    periods = 1000 + np.arange(len(used))
    found = holes(np.array(used), np.array(tenants), periods, np.array(late) > 0, 600)
    assert (np.flatnonzero(found)).tolist() == expected, what


def test_a_gap_between_periods_counts_as_time():
    periods = np.array([0, 2 * A_DAY])
    assert not holes(np.array([5, 0]), np.array([9, 9]), periods, np.zeros(2, np.bool_), 600).any()


def test_needs_are_those_of_rebalancing_in_blocks():
    rng = np.random.default_rng(3)
    names = [f"t{number:05}" for number in range(MOST_NEEDS + 7)]
    hours = [{name: int(rng.integers(0, 1000)) for name in names if rng.random() < 0.3} for _ in range(60)]
    made = history(hours)
    matrix = np.array([[used.get(name, UNKNOWN) for name in names] for used in hours])
    every = needs(matrix, RebalanceSettings())
    found = long_term_needs(made, ["unheard of", *names], RebalanceSettings())
    assert dict(zip(found.tenant, found.need, strict=True)) == {
        name: need for name, need in zip(names, every.tolist(), strict=True) if need != UNKNOWN
    }
    assert found.tenant == [name for name in names if name in set(found.tenant)]


def found(histories, tenants, told=frozenset()):
    """Tenant -> (source, week) of the priors of pool "p"."""
    return {
        name: (source, part.hour_of_week[place * WEEK : (place + 1) * WEEK])
        for _, part in find_priors("p", histories, tenants, told)
        for place, (name, source) in enumerate(zip(part.tenant, part.source, strict=True))
    }


def test_own_history_before_the_forecaster_began_comes_first():
    hours = [{"a": 100 + number, "b": 7} for number in range(40)]
    since = START + 30
    (got,) = found({"p": history(hours)}, {"a": Standing(0, since)}).values()
    assert got[0] is PriorSource.OWN
    # Hours 30 to 39 it has seen itself; the others of the week are not known.
    assert {hour: tokens for hour, tokens in enumerate(got[1]) if tokens is not None} == {
        (START + number) % WEEK: 100 + number for number in range(30)
    }


def test_weeks_are_averaged():
    hours = [{"a": 10 if number < WEEK else 21} for number in range(WEEK + 50)]
    (got,) = found({"p": history(hours, 2 * WEEK)}, {"a": Standing(0, START + WEEK + 50)}).values()
    assert [got[1][(START + number) % WEEK] for number in range(WEEK)] == [15] * 50 + [10] * (WEEK - 50)


def test_else_as_in_the_pool_where_it_uses_most():
    here = history([{"x": 5}] * 3, period_s=60)
    most = history([{"a": 600}] * 30, period_s=600)  # 1 token a second
    less = history([{"a": 59}] * 30, period_s=60)
    (got,) = found({"p": here, "q": less, "r": most, "s": history([{}] * 30)}, {"a": Standing(1000, START + 2)}).values()
    assert got[0] is PriorSource.OTHER_POOLS
    assert {tokens for tokens in got[1] if tokens is not None} == {60}
    assert sum(tokens is not None for tokens in got[1]) == 30


def test_else_what_the_pool_uses_of_its_bases():
    hours = [{"x": 10 + number, "y": 30, "free": 1000} for number in range(50)]
    tenants = {"x": Standing(100, START - 500), "y": Standing(300, START - 500), "free": Standing(0, START - 500)}
    tenants |= {"new": Standing(40, START + 50), "without a base": Standing(0, START + 50)}
    got = found({"p": history(hours)}, tenants)
    assert got.keys() == {"new"}
    source, week = got["new"]
    assert source is PriorSource.TYPICAL
    assert [week[(START + number) % WEEK] for number in range(50)] == [(40 + number) * 40 // 400 for number in range(50)]


CASES = [
    ("too few hours", ENOUGH_HOURS - 1, 0, False),
    ("enough", ENOUGH_HOURS, 0, True),
    ("no longer young", 100, YOUNG_HOURS, False),
    ("still young", 100, YOUNG_HOURS - 1, True),
]


@pytest.mark.parametrize(("what", "before", "after", "is_told"), CASES)
def test_who_is_worth_a_prior(what, before, after, is_told):
    made = history([{"a": 1}] * before + [{}] * after, look_back=3 * WEEK)
    assert ("a" in found({"p": made}, {"a": Standing(1, START + before)})) is is_told, what
    assert not found({"p": made}, {"a": Standing(1, START + before)}, {"a"})


def test_blocks_do_not_depend_on_who_was_told():
    names = [f"t{number:04}" for number in range(2 * MOST_PRIORS + 5)]
    made = history([dict.fromkeys(names, 3)] * 30)
    tenants = {name: Standing(1, START + 30) for name in names}
    every = dict(find_priors("p", {"p": made}, tenants, ()))
    assert [len(part.tenant) for part in every.values()] == [MOST_PRIORS, MOST_PRIORS, 5]
    rest = dict(find_priors("p", {"p": made}, tenants, {*names[: MOST_PRIORS + 1]}))
    assert {number: part.tenant for number, part in rest.items()} == {1: every[1].tenant[1:], 2: every[2].tenant}
    assert all(len(part.hour_of_week) == WEEK * len(part.tenant) for part in every.values())


def test_the_largest_amounts_stay_tokens():
    here, there = history([{"x": MAX_TOKENS}] * 30, period_s=86_400), history([{"a": MAX_TOKENS}] * 30, period_s=1)
    tenants = {"a": Standing(1, START + 30), "x": Standing(1, START + 30), "new": Standing(MAX_TOKENS, START + 30)}
    got = found({"p": here, "q": there}, tenants)
    assert {max(tokens or 0 for tokens in week) for _, week in got.values()} == {MAX_TOKENS}
    assert got.keys() == {"a", "x", "new"}
