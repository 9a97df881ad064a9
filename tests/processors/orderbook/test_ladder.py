"""The ladder of prices against a sorted set."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.orderbook import ladder
from processors.orderbook.ladder import Ladder


@settings(max_examples=300)
@given(steps=st.lists(st.integers(-30, 30), max_size=200), chunk=st.sampled_from([2, 3, 8, 512]))
def test_it_is_a_sorted_set(steps, chunk):
    usual, ladder._CHUNK = ladder._CHUNK, chunk
    try:
        rungs, numbers = Ladder(), set()
        for number in steps:
            if number in numbers:
                rungs.remove(number)
            else:
                rungs.add(number)
            numbers ^= {number}
            assert list(rungs) == sorted(numbers)
            assert rungs.first == min(numbers, default=None)
    finally:
        ladder._CHUNK = usual


def test_numbers_by_the_thousand_stay_in_chunks():
    rungs = Ladder()
    for number in range(20_000):
        rungs.add(number * 7919 % 20_011)
    assert max(map(len, rungs._chunks)) <= ladder._CHUNK
    assert list(rungs) == sorted(number * 7919 % 20_011 for number in range(20_000))


@pytest.mark.parametrize("present", [[], [5], [3, 9]])
def test_to_remove_what_is_not_there_is_loud(present):
    rungs = Ladder()
    for number in present:
        rungs.add(number)
    with pytest.raises(KeyError):
        rungs.remove(7)
