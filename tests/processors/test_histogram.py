"""Buckets, their bounds and error, merging and quantiles."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.histogram import BUCKETS, LOWER_BOUNDS, MAX_VALUE, SUB_BITS, Histogram, bounds_of, bucket_of, buckets_of

values = st.one_of(
    st.integers(0, MAX_VALUE),
    st.integers(0, 53).flatmap(lambda power: st.sampled_from([2**power - 1, 2**power, min(2**power + 1, MAX_VALUE)])),
)


@pytest.mark.parametrize(
    ("value", "bucket", "bounds"),
    [
        (0, 0, (0, 0)),
        (1, 1, (1, 1)),
        (127, 127, (127, 127)),
        (128, 128, (128, 129)),
        (129, 128, (128, 129)),
        (255, 191, (254, 255)),
        (256, 192, (256, 259)),
        (1000, 317, (1000, 1007)),
        (MAX_VALUE, 3072, (2**53, 2**53 + 2**47 - 1)),
    ],
)
def test_known_buckets(value: int, bucket: int, bounds: tuple[int, int]) -> None:
    assert bucket_of(value) == bucket
    assert bounds_of(bucket) == bounds


def test_buckets_follow_one_another_without_gap_and_err_by_less_than_one_in_64() -> None:
    before = -1
    for bucket in range(BUCKETS):
        lower, upper = bounds_of(bucket)
        assert lower == before + 1
        assert (upper - lower) << SUB_BITS < max(lower, 1)
        assert lower == LOWER_BOUNDS[bucket]
        before = upper
    assert before >= MAX_VALUE


@given(values)
def test_a_value_is_within_the_bounds_of_its_bucket(value: int) -> None:
    lower, upper = bounds_of(bucket_of(value))
    assert lower <= value <= upper


@given(st.lists(values))
def test_arrays_are_put_into_the_same_buckets(some: list[int]) -> None:
    assert buckets_of(np.array(some, dtype=np.int64)).tolist() == [bucket_of(value) for value in some]


@pytest.mark.parametrize("value", [-1, MAX_VALUE + 1])
def test_values_that_no_door_lets_through_crash(value: int) -> None:
    with pytest.raises(ValueError, match=str(value)):
        bucket_of(value)
    with pytest.raises(ValueError, match=str(value)):
        buckets_of(np.array([value], dtype=np.int64))


@pytest.mark.parametrize(("bucket", "count"), [(-1, 1), (BUCKETS, 1), (0, 0), (0, -1)])
def test_entries_that_no_histogram_has_crash(bucket: int, count: int) -> None:
    with pytest.raises(ValueError, match="is expected"):
        Histogram.of_entries([(bucket, count)])


def _histogram(some: list[int]) -> Histogram:
    histogram = Histogram()
    for value in some:
        histogram.add(value)
    return histogram


def _merged(*parts: Histogram) -> Histogram:
    merged = Histogram()
    for part in parts:
        merged.merge(part)
    return merged


@given(st.lists(values), st.lists(values), st.lists(values))
def test_merging_is_counting_all_of_them_in_any_order_and_grouping(first: list[int], second: list[int], third: list[int]) -> None:
    a, b, c = _histogram(first), _histogram(second), _histogram(third)
    assert _merged(a, _merged(b, c)) == _merged(_merged(a, b), c) == _merged(c, a, b) == _histogram(third + second + first)


@given(st.lists(values))
def test_arrays_are_counted_as_single_values_are(some: list[int]) -> None:
    histogram = Histogram()
    histogram.add_all(np.array(some, dtype=np.int64))
    assert histogram == _histogram(some)
    assert Histogram.of_entries(histogram.entries()) == histogram
    assert histogram.total == len(some)


@given(st.lists(values, min_size=1), st.integers(0, 1_000_000))
def test_the_exact_quantile_is_within_the_bounds(some: list[int], millionths: int) -> None:
    rank = max(1, -(-len(some) * millionths // 1_000_000))
    bounds = _histogram(some).quantile(millionths)
    assert bounds is not None
    assert bounds[0] <= sorted(some)[rank - 1] <= bounds[1]


def test_nothing_has_no_quantile_and_a_share_above_one_is_a_mistake() -> None:
    assert Histogram().quantile(500_000) is None
    with pytest.raises(ValueError, match="1000001"):
        Histogram().quantile(1_000_001)
