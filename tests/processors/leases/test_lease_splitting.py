"""The arithmetic of shared limits: exact, fair, and never more than there is."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from processors.leases.splitting import (
    BAND_OF_RATE,
    RESERVE,
    RESERVE_WHEN_SHORT,
    Part,
    fitted,
    renewed,
    split,
    steadied,
    trimmed,
    weights,
    where_claimed,
    where_wanted,
)

MOST = 2**53
AMOUNTS = st.one_of(st.integers(0, 20), st.integers(0, MOST))


@st.composite
def tables(draw, most=AMOUNTS):
    """Rows and columns of amounts, and a total a row."""
    shape = draw(st.tuples(st.integers(1, 5), st.integers(1, 6)))
    return draw(arrays(np.int64, shape, elements=most)), draw(arrays(np.int64, shape[0], elements=AMOUNTS))


def column(*values):
    return np.array(values, np.int64)


def shares(total, *wanted, short=False):
    wanted = column(*wanted)[None, :]
    weight = weights(wanted, np.array([short]))
    return split(column(total), weight, wanted > 0)[0].tolist()


@settings(max_examples=25, deadline=None)
@given(tables(most=st.integers(0, 2**44)), st.booleans())
def test_a_split_is_exact_and_within_a_unit_of_its_share(table, short):
    wanted, total = table
    weight = weights(wanted, np.full(total.size, short))
    found = split(total, weight, wanted > 0)
    assert (found.sum(axis=1) == total).all()
    for row, parts in enumerate(found.tolist()):
        whole = int(weight[row].sum())
        for part, each in zip(parts, weight[row].tolist(), strict=True):
            assert 0 <= part - int(total[row]) * each // whole <= 1


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (shares(100, 0, 0), [50, 50]),
        (shares(1600, 30, 10), [1150, 450]),  # seven eighths by use, one eighth equally
        (shares(1600, 40, 0), [1500, 100]),
        (shares(6400, 40, 0, short=True), [6350, 50]),  # where somebody is refused, nearly nothing lies idle
        (shares(6, 40, 0, short=True), [6, 0]),
        (shares(3, 50, 1, short=True), [2, 1]),  # who wants something has something
        (shares(1, 5, 1), [1, 0]),
        (shares(1, 1, 5), [1, 0]),  # who stands first, however much more the other wants
        (shares(1, 0, 1, 5), [0, 1, 0]),  # of those that want some
        (shares(2, 1, 1, 1), [1, 1, 0]),
        (shares(7, 9), [7]),  # alone: all of it
    ],
)
def test_how_limits_are_split(found, expected):
    assert found == expected


def test_the_reserve_is_what_is_said():
    assert (RESERVE, RESERVE_WHEN_SHORT) == (8, 64)


@settings(max_examples=25, deadline=None)
@given(tables(), st.data())
def test_what_is_granted_next_never_makes_the_sum_exceed_the_limit(table, data):
    granted, total = table
    more = arrays(np.int64, granted.shape, elements=AMOUNTS)
    held = granted + data.draw(more)
    target = split(total, weights(data.draw(more) >> 9, np.zeros(total.size, np.bool_)), granted > 0)
    ready = data.draw(arrays(np.bool_, granted.shape[1]))
    found = renewed(Part(total, granted, held, target), ready)
    after = np.maximum(held, found).sum(axis=1)
    assert (after <= np.maximum(total, held.sum(axis=1))).all()
    assert (found[:, ~ready] == granted[:, ~ready]).all()
    assert (found[:, ready] <= np.maximum(target, 0)[:, ready]).all()


def test_what_is_lost_goes_at_once_and_what_is_gained_when_it_is_free():
    ready, both = np.array([True, True]), np.array([[10, 0]])
    first = renewed(Part(column(10), both, both, np.array([[4, 6]])), ready)
    assert first.tolist() == [[4, 0]], "the other may still use all of it"
    unsaid = renewed(Part(column(10), first, both, np.array([[4, 6]])), ready)
    assert unsaid.tolist() == [[4, 0]]
    occupied = renewed(Part(column(10), first, np.array([[7, 0]]), np.array([[4, 6]])), ready)
    assert occupied.tolist() == [[4, 3]], "requests that run hold three"
    said = renewed(Part(column(10), first, first, np.array([[4, 6]])), ready)
    assert said.tolist() == [[4, 6]]
    busy = renewed(Part(column(10), first, first, np.array([[4, 6]])), np.array([True, False]))
    assert busy.tolist() == [[4, 0]], "one lease is under way to it"


@settings(max_examples=25, deadline=None)
@given(tables(most=st.integers(0, 2**46)), st.data())
def test_what_does_not_fit_a_column_goes_where_there_is_room(table, data):
    target, _ = table
    spare = data.draw(st.integers(0, 100))
    by = data.draw(arrays(np.int64, target.shape[1], elements=st.integers(0, 1000)))
    room = split(column(int(target.sum()) + spare), weights(by[None, :], np.array([True])), by[None, :] > 0)[0]
    found = fitted(target, room)
    assert (found >= 0).all()
    assert (found.sum(axis=1) == target.sum(axis=1)).all()
    assert (found.sum(axis=0) <= room).all()
    cut = trimmed(target, room)
    assert (cut <= target).all()
    assert (cut.sum(axis=0) == np.minimum(room, target.sum(axis=0))).all()


@settings(max_examples=25, deadline=None)
@given(tables(most=st.integers(0, 2**44)), st.data())
def test_what_nobody_wants_goes_elsewhere(table, data):
    wanted, total = table
    elsewhere = data.draw(arrays(np.int64, (1, wanted.shape[1]), elements=st.integers(0, 100)))
    none = np.zeros(total.size, np.bool_)
    found = where_wanted(total, wanted, weights(wanted, none), weights(elsewhere, none[:1]))
    assert (found.sum(axis=1) == total).all()
    enough = wanted.sum(axis=1) <= total
    assert (found[enough] >= wanted[enough]).all()
    by = weights(elsewhere, none[:1])[0].tolist()
    for row in np.flatnonzero(enough).tolist():
        left = int(total[row] - wanted[row].sum())
        for part, each in zip((found[row] - wanted[row]).tolist(), by, strict=True):
            assert 0 <= part - left * each // sum(by) <= 1


@given(tables(st.integers(0, 20)))
def test_a_promise_is_where_it_is_wanted_and_the_rest_of_it_everywhere(table):
    wanted, total = table
    weight = weights(wanted, np.zeros(total.size, np.bool_))
    found = where_claimed(total, wanted, weight)
    assert (found.sum(axis=1) == total).all()
    enough = wanted.sum(axis=1) <= total
    rest = (found - wanted)[enough]
    assert (rest.min(axis=1, initial=0) >= 0).all()
    assert (np.ptp(rest, axis=1) <= 1).all()
    assert (found[~enough] == split(total, weight, wanted > 0)[~enough]).all()


def test_a_promised_rate_moves_for_more_than_what_is_space():
    total, granted, target, short = column(80), np.array([[44, 36]]), np.array([[40, 40]]), np.array([True])
    assert steadied(total, granted, target, short, BAND_OF_RATE).tolist() == [[44, 36]]
    assert steadied(total, granted, target, short).tolist() == [[40, 40]]


def test_who_wants_nothing_is_split_as_all_others_are():
    nothing, others = np.zeros((1, 3), np.int64), np.array([[0, 30, 10]])
    assert weights(nothing, np.array([True]), others).tolist() == weights(others, np.array([True])).tolist()
    assert len(set(weights(nothing, np.array([True]), nothing)[0].tolist())) == 1


@pytest.mark.parametrize(
    ("total", "granted", "target", "short", "expected"),
    [
        (800, (500, 300), (400, 400), False, (500, 300)),
        (800, (501, 299), (400, 400), False, (400, 400)),
        (800, (413, 387), (400, 400), True, (400, 400)),
        (800, (412, 388), (400, 400), True, (412, 388)),
        (3, (2, 1), (1, 2), False, (2, 1)),  # a single slot is noise
        (3, (2, 1), (1, 2), True, (1, 2)),  # unless somebody is refused
        (800, (450, 250), (400, 400), False, (450, 350)),  # what is free is granted, and nothing taken for it
        (800, (500, 400), (400, 400), False, (400, 400)),  # the limit has fallen
    ],
)
def test_shares_do_not_move_for_noise(total, granted, target, short, expected):
    found = steadied(column(total), column(*granted)[None, :], column(*target)[None, :], np.array([short]))
    assert found.tolist() == [[*expected]]


@settings(max_examples=25, deadline=None)
@given(tables(), st.data())
def test_what_is_steadied_is_whole(table, data):
    granted, total = table
    short = data.draw(arrays(np.bool_, total.size))
    wanted = data.draw(arrays(np.int64, granted.shape, elements=st.integers(0, 2**44)))
    found = steadied(total, granted, split(total, weights(wanted, short), wanted > 0), short)
    assert (found.sum(axis=1) == total).all()
    assert (found >= 0).all()
