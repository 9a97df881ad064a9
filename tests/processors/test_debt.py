"""The rule of debts: a table, the oracle in fractions, bounds, and that shares converge."""

from fractions import Fraction

import limits_oracle
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.allocation.hamilton import water_fill
from processors.debt import MAX_BOUND_S, MAX_GAIN, MAX_RATE, DebtSettings, bounds, factors, fading, step, weights

M = 10**6
PLAIN = DebtSettings(half_life_s=10, gain=3 * M, bound_s=20)


def column(*values):
    return np.array(values, np.int64)


def one_step(debt, due, served, *, rate=100, owing=True, terms=PLAIN, elapsed_ms=1000):
    (found,) = step(
        column(debt),
        column(due),
        column(served),
        rate=column(rate),
        owing=np.array([owing]),
        settings=terms,
        elapsed_ms=elapsed_ms,
    ).tolist()
    return found


# Rate 100, bound 20 s: B = 2,000 tokens, -a·B = -500; λ = 2^(-1/10) = 0.933033.
STEPS = [
    ("got what was due", 0, 70, 70, True, 0),
    ("got less", 0, 100, 40, True, 60_000),
    ("got more", 0, 40, 100, True, -60_000),
    ("fades", 1_000_000, 50, 50, True, 933_033),
    ("what it owes fades", -400_000, 50, 50, True, -373_213),
    ("fades and grows", 1_000_000, 100, 40, True, 993_033),
    ("is repaid by being served more", 100_000, 40, 100, True, 33_303),
    ("at most the bound", 1_990_000, 10_000, 0, True, 2_000_000),
    ("at least what weights can tell", -400_000, 0, 10_000, True, -500_000),
    ("a promise is never owed by the tenant", 0, 40, 100, False, 0),
    ("though it is repaid", 100_000, 40, 80, False, 53_303),
    ("a thousandth of the bound is forgotten", 2_100, 0, 0, True, 0),
    ("no more than that", 2_200, 0, 0, True, 2_052),
]


@pytest.mark.parametrize(
    ("debt", "due", "served", "owing", "expected"), [case[1:] for case in STEPS], ids=[case[0] for case in STEPS]
)
def test_a_step(debt, due, served, owing, expected):
    assert one_step(debt, due, served, owing=owing) == expected


@pytest.mark.parametrize(
    ("elapsed_ms", "half_life_ms", "expected"),
    [(1000, 1000, 500_000), (1, 1000, 999_307), (1000, 60_000, 988_514), (3000, 1000, 125_000), (10**9, 1000, 0), (0, 1000, M)],
)
def test_fading(elapsed_ms, half_life_ms, expected):
    assert fading(elapsed_ms, half_life_ms) == expected


@given(st.integers(0, 10**7), st.integers(1, 10**7))
def test_fading_is_two_to_the_minus_elapsed_by_half_life(elapsed_ms, half_life_ms):
    assert abs(fading(elapsed_ms, half_life_ms) - M * 2 ** (-elapsed_ms / half_life_ms)) <= 0.51


SETTINGS = st.builds(
    DebtSettings,
    half_life_s=st.integers(1, 86_400),
    gain=st.sampled_from([0, 1, M, MAX_GAIN]) | st.integers(0, MAX_GAIN),
    bound_s=st.integers(1, MAX_BOUND_S),
)
RATE = st.sampled_from([0, 1, MAX_RATE, 2**63 - 1]) | st.integers(0, 10**4) | st.integers(0, MAX_RATE)
AMOUNT = st.integers(0, 10**4) | st.integers(0, 2**63 - 1)


@settings(max_examples=500, deadline=None)
@given(SETTINGS, RATE, st.integers(0, M), st.booleans(), st.tuples(AMOUNT, AMOUNT, st.integers(1, 10**6), st.booleans()))
def test_a_step_is_the_oracles_and_stays_in_its_bounds(terms, rate, place, negative, tick):
    due, served, elapsed_ms, owing = tick
    least, most = (int(each[0]) for each in bounds(column(rate), np.array([owing]), terms))
    debt = (least if negative else most) * place // M
    around = {"owing": owing, "elapsed_ms": elapsed_ms}
    found = one_step(debt, due, served, rate=rate, terms=terms, **around)
    assert -(10**18) < least <= found <= most < 10**18
    wanted = limits_oracle.stepped(debt, due, served, rate=min(rate, MAX_RATE), settings=terms, **around)
    # λ has six places, thousandths are cut, and a thousandth of the bound is forgotten.
    assert abs(found - wanted) <= abs(debt) / M + 2 + most / 1000 + most / M


@settings(max_examples=300, deadline=None)
@given(SETTINGS, RATE, st.integers(-M, M), st.sampled_from([0, 1, M, 2**53]) | st.integers(0, 10 * M))
def test_weights_lie_between_their_bounds_and_are_the_rule(terms, rate, place, weight):
    least, most = (int(each[0]) for each in bounds(column(rate), np.array([True]), terms))
    debt = most * place // M if place > 0 else -(least * place // M)
    (factor,) = factors(column(debt), column(rate), terms).tolist()
    assert M * M // (M + terms.gain) <= factor <= M + terms.gain
    wanted = M + Fraction(terms.gain * debt, max(most, 1))
    assert abs(factor - wanted) <= 2 + terms.gain / M * 2
    (adjusted,) = weights(column(weight), column(debt), column(rate), terms).tolist()
    assert adjusted == max(weight * factor // M, min(weight, 1))


@given(SETTINGS, st.integers(1, MAX_RATE), st.lists(st.integers(-M, M), min_size=2, max_size=2).map(sorted))
def test_who_is_owed_more_weighs_no_less(terms, rate, places):
    least, most = (int(each[0]) for each in bounds(column(rate), np.array([True]), terms))
    low, high = (most * place // M if place > 0 else -(least * place // M) for place in places)
    light, heavy = factors(column(low, high), column(rate, rate), terms).tolist()
    assert light <= heavy


def test_bounds_of_factors():
    assert factors(column(2_000_000, -500_000, 0, 1_000_000, 7), column(100, 100, 100, 100, 0), PLAIN).tolist() == [
        4 * M,
        250_000,
        M,
        2_500_000,
        M,
    ]


def test_debts_of_those_who_share_sum_to_what_was_there_and_not_served():
    due, served = column(50, 30, 20), column(70, 20, 10)
    stepped = step(
        column(0, 0, 0), due, served, rate=column(40, 40, 20), owing=np.array([True] * 3), settings=PLAIN, elapsed_ms=1000
    )
    assert stepped.sum() == 1000 * (due.sum() - served.sum()) == 0


@pytest.mark.parametrize("gain", [0, 3 * M])
def test_a_tenant_that_is_served_a_fifth_too_little_of_each_share_comes_near_it_with_debt(gain):
    """One of two equal tenants always takes 80 % of what it is given, the other has the rest. With debt: 48 % of all, or more."""
    terms = DebtSettings(half_life_s=60, gain=gain, bound_s=30)
    debts, rate, total = column(0, 0), column(500, 500), column(0, 0)
    for number in range(1200):
        adjusted = weights(column(M, M), debts, rate, terms)
        share = water_fill(1000, adjusted, column(1000, 1000))
        served = column(share[0] * 8 // 10, 1000 - share[0] * 8 // 10)
        debts = step(debts, rate, served, rate=rate, owing=np.array([True, True]), settings=terms, elapsed_ms=1000)
        total += served if number >= 600 else 0
    part = total[0] / total.sum()
    assert (part >= 0.48) if gain else (part == 0.4)
