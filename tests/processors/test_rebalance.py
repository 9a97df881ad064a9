"""Rebalancing: needs, one step as tables, what always holds, and that bases come to rest where they are needed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.rebalance import UNKNOWN, RebalanceSettings, needs, rebalance

M = 10**6
PLAIN = RebalanceSettings()


def column(*values):
    return np.array(values, np.int64)


def test_a_need_is_a_high_quantile_of_what_was_observed():
    demand = np.column_stack([
        column(*range(1, 41)),
        column(*[UNKNOWN] * 16, *range(24, 0, -1)),
        column(*[UNKNOWN] * 17, *range(23)),
        column(*[0] * 38, 9, 9),
    ])  # fmt: skip
    assert needs(demand, PLAIN).tolist() == [38, 23, UNKNOWN, 0]
    assert needs(np.empty((0, 2), np.int64), PLAIN).tolist() == [UNKNOWN] * 2


@given(st.lists(st.just(UNKNOWN) | st.integers(0, 50), min_size=1, max_size=40), st.integers(0, M), st.integers(0, 10))
def test_needs_are_ranks(seen, quantile, fewest):
    known = sorted(each for each in seen if each != UNKNOWN)
    (found,) = needs(column(*seen)[:, np.newaxis], PLAIN._replace(quantile=quantile, fewest=fewest)).tolist()
    if len(known) < max(fewest, 1):
        assert found == UNKNOWN
    else:
        assert found == known[max(-(-len(known) * quantile // M), 1) - 1]


# Two tenants of 1,000 unless said otherwise; a step is 100, the band 50.
STEPS = [
    ("a step towards needs", (1000, 1000), (500, 1500), (0, 0), (900, 1100)),
    ("no further than the need", (1000, 1000), (930, 1500), (0, 0), (930, 1070)),
    ("only what somebody needs", (1000, 1000), (500, 1060), (0, 0), (940, 1060)),
    ("nobody is moved within the band", (1000, 1000), (950, 1500), (0, 0), (1000, 1000)),
    ("what was contracted stays", (1000, 1000), (500, 1500), (980, 0), (980, 1020)),
    ("also above the base", (1000, 1000), (500, 1500), (1200, 0), (1000, 1000)),
    ("nobody gives what it needs itself", (1000, 1000), (1500, 2000), (0, 0), (1000, 1000)),
    ("all idle", (1000, 1000), (0, 0), (0, 0), (1000, 1000)),
    ("who is not known stays", (1000, 1000), (UNKNOWN, 1500), (0, 0), (1000, 1000)),
    ("givers share in proportion", (1000, 2000, 500), (0, 0, 560), (0, 0, 0), (983, 1967, 550)),
    ("takers share in proportion", (300, 1000, 500), (0, 5000, 5000), (0, 0, 0), (270, 1020, 510)),
    ("who has nothing begins with the smallest step", (1000, 0), (500, 500), (0, 0), (999, 1)),
]


@pytest.mark.parametrize(("base", "need", "least", "expected"), [case[1:] for case in STEPS], ids=[case[0] for case in STEPS])
def test_a_step(base, need, least, expected):
    assert rebalance(column(*base), column(*need), column(*least), PLAIN).base.tolist() == list(expected)


AMOUNT = st.integers(0, 30) | st.integers(0, 10**6) | st.just(2**53)
ROWS = st.lists(st.tuples(AMOUNT, AMOUNT | st.just(UNKNOWN), AMOUNT), min_size=1, max_size=8)
TERMS = st.builds(RebalanceSettings, *(st.integers(*each) for each in ((0, M), (0, M), (0, 3), (0, M), (0, 3))))


@settings(max_examples=300, deadline=None)
@given(ROWS, TERMS)
def test_what_always_holds(rows, terms):
    base, need, least = (column(*each) for each in zip(*rows, strict=True))
    after, moves = rebalance(base, need, least, terms)
    change = after - base
    assert change.sum() == 0, "the sum is kept"
    assert (after >= np.minimum(base, least)).all(), "floors are kept"
    bound = np.array([max(each * terms.step // M, terms.smallest) for each in base.tolist()])
    assert (np.abs(change) <= bound).all(), "steps are bounded"
    assert ((change == 0) | ((change > 0) & (after <= need)) | ((change < 0) & (after >= need) & (need >= 0))).all(), (
        "never past a need"
    )
    told = np.zeros(len(rows), np.int64)
    np.add.at(told, moves.taker, moves.tokens)
    np.subtract.at(told, moves.giver, moves.tokens)
    assert (told == change).all(), "every change says between whom"
    assert not np.intersect1d(moves.giver, moves.taker).size


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 2000), st.integers(0, 500)), min_size=1, max_size=6))
def test_under_constant_needs_each_base_moves_one_way_and_stops(rows):
    base, need, least = (column(*each) for each in zip(*rows, strict=True))
    path = [base]
    for _ in range(2_500):
        path.append(rebalance(path[-1], need, least, PLAIN).base)
        if (path[-1] == path[-2]).all():
            break
    else:
        pytest.fail("bases did not come to rest")
    changes = np.sign(np.diff(path, axis=0))
    assert not ((changes > 0).any(axis=0) & (changes < 0).any(axis=0)).any()


@pytest.mark.parametrize("seed", range(3))
def test_bases_follow_long_term_use(seed):
    """A day's rhythm, noise, and at noon of day 3 one tenant's use halves while another's doubles; an hour is a step."""
    random = np.random.default_rng(seed)
    hours = np.arange(14 * 24)
    level = np.tile([[1000, 1000, 1000]], (hours.size, 1))
    level[84:, 0], level[84:, 1] = 500, 2000
    rhythm = 0.6 + 0.4 * np.sin(hours / 24 * 2 * np.pi)[:, np.newaxis]
    demand = (level * rhythm * random.uniform(0.9, 1.1, level.shape)).astype(np.int64)
    base, least, path = column(1000, 1000, 1000), column(400, 400, 1000), []
    for hour in range(24, hours.size):
        base = rebalance(base, needs(demand[max(0, hour - 72) : hour], PLAIN), least, PLAIN).base
        path.append(base)
    walk = np.array(path)
    assert (walk.sum(axis=1) == 3000).all()
    assert (walk >= least).all()
    assert (walk[:60] == 1000).all(), "its nights take nothing from a busy tenant"
    assert 480 <= base[0] <= 600
    assert base[1] >= 1400
    assert 1000 <= base[2] <= 1100, "its band and its noise"
    assert (np.diff(walk[:, 0]) <= 0).all()


def test_bases_that_leave_int64_are_refused():
    with pytest.raises(OverflowError):
        rebalance(column(2**62, 2**62), column(0, 0), column(0, 0), PLAIN)
