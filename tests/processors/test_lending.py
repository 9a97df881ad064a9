"""Who pays whom: priorities, turns against the readable rule of shares_in_turn, and that nobody pays for its equal or lower."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.allocation.hamilton import shares_in_turn
from processors.lending import give_back, in_turn, lend, matched, priorities, share_of

M = 10**6


def column(*values):
    return np.array(values, np.int64)


def test_priority_is_the_tier_then_the_weight():
    assert priorities(column(2, 0, 2, 4, 2), column(M, 0, 3 * M, 9 * M, M)).tolist() == [1, 3, 2, 0, 1]
    assert priorities(column(), column()).tolist() == []


ROWS = st.lists(
    st.tuples(st.integers(0, 30) | st.integers(0, 2**53), st.integers(0, 30) | st.integers(0, 2**53), st.integers(0, 5)),
    max_size=12,
)


def columns(rows):
    amounts = column(*(row[0] for row in rows)), column(*(row[1] for row in rows))
    return *amounts, np.unique(column(*(row[2] for row in rows)), return_inverse=True)[1].astype(np.int64)


@given(ROWS, st.integers(0, 200) | st.integers(0, 2**57))
def test_in_turn_is_the_readable_rule(rows, total):
    amounts, _, turn = columns(rows)
    assert in_turn(total, amounts, turn).tolist() == shares_in_turn(total, amounts, turn).tolist()


def test_amounts_that_leave_int64_are_refused():
    with pytest.raises(OverflowError):
        in_turn(1, column(2**62, 2**62), column(0, 1))


def lent_one_by_one(asked, room, priority):
    """The same in Python: classes from the highest, each takes from the lowest, and shares what there is."""
    rows = range(len(asked))
    left, granted = list(room), [0] * len(asked)
    for each in sorted(set(priority), reverse=True):
        mine = [row for row in rows if priority[row] == each]
        payers = sorted((row for row in rows if priority[row] < each), key=lambda row: priority[row])
        total = min(sum(asked[row] for row in mine), sum(left[row] for row in payers))
        for row, amount in zip(mine, in_turn(total, column(*(asked[row] for row in mine)), column(*[0] * len(mine))), strict=True):
            granted[row] = int(amount)
        for row in payers:
            taken = min(left[row], total)
            left[row] -= taken
            total -= taken
    return granted, [before - after for before, after in zip(room, left, strict=True)]


@given(ROWS)
def test_lending_goes_from_the_lowest_to_the_highest(rows):
    asked, room, priority = columns(rows)
    granted, paid = lend(asked, room, priority)
    wanted, spent = lent_one_by_one(asked.tolist(), room.tolist(), priority.tolist())
    assert granted.tolist() == wanted
    for each in set(priority.tolist()):  # how a priority shares what it pays is in_turn's rule
        assert paid[priority == each].sum() == sum(amount for amount, own in zip(spent, priority, strict=True) if own == each)
    assert (paid <= room).all()
    assert not ((granted > 0) & (paid > 0)).any()
    moves = matched(paid, granted, priority, -priority)
    assert (priority[moves.giver] < priority[moves.taker]).all()
    assert (moves.tokens > 0).all()
    for row in range(len(rows)):
        assert moves.tokens[moves.giver == row].sum() == paid[row]
        assert moves.tokens[moves.taker == row].sum() == granted[row]


def test_who_paid_last_has_it_back_first():
    assert give_back(12, column(10, 10, 10), column(0, 2, 1)).tolist() == [0, 10, 2]


@given(st.integers(0, 2**63 - 1), st.integers(0, M))
def test_a_share(tokens, millionths):
    assert share_of(column(tokens), millionths).tolist() == [tokens * millionths // M]
