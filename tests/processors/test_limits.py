"""What is kept for whom: tables of cases, properties, and a slow oracle that shares no code with it."""

import limits_oracle
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.entitlement import TIERS, UNLIMITED
from processors.limits import Rights, due_of, granted, limits_of, rates_of, remembered, rounded_up
from schemas.published import Tier

D, G, E, S, P = TIERS
M = 10**6


def column(values):
    return np.array([UNLIMITED if each is None else each for each in values], np.int64)


def codes(tiers):
    return column([TIERS.index(Tier(each)) for each in tiers])


def kept_of(capacity, tenants):
    """As the oracle's `kept`."""
    tiers, nominal, borrowing, lending, weight, demand = map(list, zip(*tenants, strict=True)) if tenants else ([],) * 6
    rights = Rights(column(nominal), column(borrowing), column(lending))
    found = limits_of(capacity, codes(tiers), rights, column(weight), column(demand))
    return list(zip(*(each.tolist() for each in found), strict=True))


CASES = [
    ("dedicated keeps all of its quota, used or not", 100, [(D, 60, None, None, M, 0), (S, 0, None, None, M, 99)], [60, 40]),
    ("guaranteed lends what it does not need", 100, [(G, 60, None, None, M, 10), (E, 0, None, None, M, 99)], [10, 90]),
    ("guaranteed lends no more than it says", 100, [(G, 60, None, 20, M, 10), (E, 0, None, None, M, 99)], [40, 60]),
    ("guaranteed needs no more than its quota", 100, [(G, 60, None, 20, M, 80), (E, 0, None, None, M, 99)], [60, 40]),
    ("a lending limit of 0 makes it dedicated", 100, [(G, 60, None, 0, M, 0), (E, 0, None, None, M, 99)], [60, 40]),
    ("elastic by weight", 90, [(E, 0, None, None, M, 99), (E, 0, None, None, 2 * M, 99)], [30, 60]),
    ("who needs less leaves it to others", 90, [(E, 0, None, None, M, 10), (E, 0, None, None, 2 * M, 99)], [10, 80]),
    ("elastic up to nominal and borrowing", 90, [(E, 20, 5, None, 9 * M, 99), (E, 0, None, None, M, 99)], [25, 65]),
    ("without borrowing up to nominal", 90, [(E, 20, 0, None, 9 * M, 99), (E, 0, None, None, M, 99)], [20, 70]),
    ("a nominal quota of elastic is no promise", 90, [(E, 500, None, None, M, 99), (E, 0, None, None, M, 99)], [45, 45]),
    ("spot after elastic", 90, [(S, 0, None, None, 9 * M, 99), (E, 0, None, None, M, 72)], [18, 72]),
    ("preemptible after spot", 90, [(P, 0, None, None, 9 * M, 99), (S, 0, None, None, M, 30)], [60, 30]),
    ("nothing left for spot", 90, [(S, 0, None, None, M, 99), (E, 0, None, None, M, 99)], [0, 90]),
    ("no weight is a share of none", 90, [(E, 0, None, None, 0, 99), (E, 0, None, None, M, 99)], [0, 90]),
    ("no weight at all is equal weight", 90, [(E, 0, None, None, 0, 99), (E, 0, None, None, 0, 99)], [45, 45]),
    ("nobody", 90, [], []),
    (
        "no capacity",
        0,
        [(D, 5, None, None, M, 9), (G, 5, None, 0, M, 9), (E, 5, None, None, M, 9), (S, 0, None, None, M, 9)],
        [0] * 4,
    ),
    ("demand in steps", 900, [(E, 0, None, None, M, 101), (S, 0, None, None, M, 33)], [104, 34]),
]


@pytest.mark.parametrize(("capacity", "tenants", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_what_is_kept(capacity, tenants, expected):
    assert [kept for _, _, kept in kept_of(capacity, tenants)] == expected


CUTS = [
    ("enough", 100, [(D, 40), (G, 60)], [40, 60]),
    ("dedicated first", 50, [(G, 60), (D, 40)], [10, 40]),
    ("among guaranteed by quota", 70, [(D, 40), (G, 40), (G, 20)], [40, 20, 10]),
    ("not even dedicated", 30, [(D, 40), (D, 20), (G, 60)], [20, 10, 0]),
    ("what is left over to the larger remainder, then the smaller id", 10, [(G, 5), (G, 5), (G, 5)], [4, 3, 3]),
    ("others are promised nothing", 10, [(E, 50), (S, 50), (G, 10)], [50, 50, 10]),
]


@pytest.mark.parametrize(("capacity", "tenants", "expected"), [case[1:] for case in CUTS], ids=[case[0] for case in CUTS])
def test_a_cut_below_what_is_promised(capacity, tenants, expected):
    tiers, nominal = zip(*tenants, strict=True)
    assert granted(capacity, codes(tiers), column(nominal)).tolist() == expected


SMALL, LARGE = st.integers(0, 200), st.integers(0, 10**12)
TENANT = st.tuples(
    st.sampled_from(TIERS),
    SMALL | LARGE,
    st.none() | SMALL | LARGE,
    st.none() | SMALL | LARGE,
    st.sampled_from([0, 1, M, M, 3 * M, 2**53]) | st.integers(0, 5 * M),
    SMALL | LARGE | st.integers(0, 2**62),
)
POOL = st.tuples(SMALL | LARGE, st.lists(TENANT, max_size=12))


@settings(max_examples=400, deadline=None)
@given(POOL)
def test_what_is_kept_is_what_the_oracle_keeps(pool):
    assert kept_of(*pool) == limits_oracle.kept(*pool)


@settings(max_examples=300, deadline=None)
@given(POOL)
def test_never_more_than_the_capacity_and_all_of_it_where_it_is_needed(pool):
    capacity, tenants = pool
    found = kept_of(capacity, tenants)
    assert sum(kept for _, _, kept in found) <= capacity
    assert sum(nominal for each, (nominal, _, _) in zip(tenants, found, strict=True) if each[0] in (D, G)) <= capacity
    unmet = False
    for (tier, nominal, borrowing, _, _, demand), (given_, short, kept) in zip(tenants, found, strict=True):
        assert given_ + short == nominal
        assert short == 0 or tier in (D, G)
        if tier not in (D, G):
            need = rounded_up(column([demand])).tolist()[0]
            need = need if borrowing is None else min(need, nominal + borrowing)
            assert kept <= need
            unmet |= kept < need
    if unmet:
        assert sum(kept for _, _, kept in found) == capacity


@settings(max_examples=200, deadline=None)
@given(POOL, st.data())
def test_more_demand_or_more_capacity_keeps_no_less(pool, data):
    capacity, tenants = pool
    before = kept_of(capacity, tenants)
    more = capacity + data.draw(SMALL)
    # Hamilton's shares are not monotonic in the last unit (the Alabama paradox): each may lose one.
    after = kept_of(more, [each if each[0] is not G else (D, *each[1:]) for each in tenants])
    same = kept_of(capacity, [each if each[0] is not G else (D, *each[1:]) for each in tenants])
    for (tier, *_), (*_, was), (*_, now) in zip(tenants, same, after, strict=True):
        if tier is D:
            assert now >= was - 1
    if tenants:
        at = data.draw(st.integers(0, len(tenants) - 1))
        wanting = [*tenants]
        wanting[at] = (*tenants[at][:5], tenants[at][5] + data.draw(SMALL | LARGE))
        assert kept_of(capacity, wanting)[at][2] >= before[at][2]


@pytest.mark.parametrize(
    ("demand", "expected"),
    [(0, 0), (1, 1), (31, 31), (32, 32), (33, 34), (100, 100), (101, 104), (2**53 - 1, 2**53), (2**62, 2**62)],
)
def test_demand_counts_in_steps(demand, expected):
    assert rounded_up(column([demand])).tolist() == [expected]


@given(st.integers(0, 2**62))
def test_demand_is_rounded_up_by_at_most_an_eighth(demand):
    (rounded,) = rounded_up(column([demand])).tolist()
    assert demand <= rounded <= demand + demand // 8


def test_demand_fades_to_nothing():
    seen, recent = [], column([1000])
    while recent[0]:
        recent = remembered(recent, column([0]))
        seen.append(int(recent[0]))
    assert seen[:5] == [875, 765, 669, 585, 511]
    assert len(seen) < 50
    assert remembered(column([800]), column([900])).tolist() == [900]
    assert remembered(column([2**63 - 1]), column([0])).tolist() == [(2**63 - 1) - (2**63 - 1) // 8 - 1]


DUE = [
    ("all were served: due is what they had", [(E, 0, None, M, 30, 30), (G, 50, None, M, 50, 50)], [30, 50]),
    ("one was refused what another had too much of", [(E, 0, None, M, 80, 20), (E, 0, None, M, 80, 80)], [50, 50]),
    ("by weight", [(E, 0, None, M, 80, 45), (E, 0, None, 2 * M, 80, 45)], [30, 60]),
    ("nobody is due more than it wanted", [(E, 0, None, M, 30, 20), (E, 0, None, M, 99, 80)], [30, 70]),
    ("nor more than it may have", [(E, 10, 15, M, 90, 20), (E, 0, None, M, 99, 80)], [25, 75]),
    ("a promise before any share", [(G, 60, None, M, 60, 40), (E, 0, None, M, 99, 60)], [60, 40]),
    ("a promise is due no more than was wanted", [(G, 60, None, M, 45, 40), (E, 0, None, M, 99, 60)], [45, 55]),
    ("borrowed by a reserved tier: due is the promise", [(G, 20, None, M, 70, 70), (E, 0, None, M, 30, 30)], [20, 30]),
    ("spot had what elastic was due", [(S, 0, None, M, 99, 60), (E, 0, None, M, 99, 40)], [60, 99]),
    ("spot is due what it had", [(S, 0, None, M, 99, 10), (E, 0, None, M, 90, 90)], [10, 90]),
    ("a stall is nobody's debt", [(E, 0, None, M, 99, 0), (E, 0, None, M, 99, 0)], [0, 0]),
    ("what was served is shared, however much it was", [(E, 0, None, M, 200, 150), (E, 0, None, M, 200, 50)], [100, 100]),
    ("wanted is at least what was served", [(E, 0, None, M, 0, 150)], [150]),
]


def due(tenants, elapsed_ms=1000):
    tiers, nominal, borrowing, weight, wanted, served = map(list, zip(*tenants, strict=True))
    rights = Rights(column(nominal), column(borrowing), column([None] * len(tenants)))
    return due_of(
        codes(tiers), rights, column(weight), wanted=column(wanted), served=column(served), elapsed_ms=elapsed_ms
    ).tolist()


@pytest.mark.parametrize(("tenants", "expected"), [case[1:] for case in DUE], ids=[case[0] for case in DUE])
def test_what_was_due(tenants, expected):
    assert due(tenants) == expected


SERVED = st.tuples(
    st.sampled_from(TIERS), SMALL, st.none() | SMALL, st.integers(0, 5 * M), st.integers(0, 2000), st.integers(0, 2000)
).map(lambda each: (*each[:4], max(each[4:]), each[5]))
TICK = st.tuples(st.lists(SERVED, min_size=1, max_size=10), st.sampled_from([1, 250, 1000, 1500, 60_000]))


@settings(max_examples=400, deadline=None)
@given(TICK)
def test_what_was_due_is_what_the_oracle_says(tick):
    assert due(*tick) == limits_oracle.due(*tick)


@settings(max_examples=300, deadline=None)
@given(TICK)
def test_nothing_is_due_that_was_not_there_or_not_wanted(tick):
    tenants, elapsed_ms = tick
    found = due(*tick)
    assert all(each <= wanted for each, (*_, wanted, _) in zip(found, tenants, strict=True))
    there = sum(served for *_, served in tenants)
    elastic = sum(each for each, (tier, *_) in zip(found, tenants, strict=True) if tier is E)
    # Promises above the capacity are due all the same: nothing is left for others then.
    reserved = sum(max(each, t[5]) for each, t in zip(found, tenants, strict=True) if t[0] in (D, G))
    assert elastic <= max(there - reserved, 0)
    if all(wanted == served for *_, wanted, served in tenants):
        for each, (tier, nominal, _, _, _, served) in zip(found, tenants, strict=True):
            assert each == (min(served, nominal * elapsed_ms // 1000) if tier in (D, G) else served)


def test_what_debt_is_measured_by():
    tiers = codes([D, G, G, E, E, E, S, P])
    nominal, lending = column([10, 20, 30, 0, 5, 0, 9, 9]), column([None, None, 10, None, None, None, None, None])
    borrowing = column([None, None, None, None, 0, None, None, None])
    weight = column([M, M, M, M, M, 2 * M, M, M])
    # 100 without the 10 of dedicated and the 20 that the second guaranteed one does not lend; one of the elastic takes 5 at most.
    assert rates_of(100, tiers, Rights(nominal, borrowing, lending), weight).tolist() == [10, 20, 30, 22, 5, 43, 0, 0]


def test_a_cut_is_in_what_is_shared_but_not_in_what_is_promised():
    rates = rates_of(
        15, codes([D, G, E]), Rights(column([10, 20, 0]), column([None] * 3), column([None, 0, None])), column([M] * 3)
    )
    assert rates.tolist() == [10, 20, 0]
