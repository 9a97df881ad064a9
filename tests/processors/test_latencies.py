"""Columns of histograms: merging in any order, and quantiles as the one-tenant histogram finds them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.histogram import BUCKETS, Histogram
from processors.latencies import NO_LATENCY, Entries, merged, quantiles

M = 10**6
ENTRY = st.tuples(st.integers(0, 4), st.integers(0, 200) | st.integers(0, BUCKETS - 1), st.integers(1, 5) | st.integers(1, 2**55))


def entries(rows):
    columns = np.array(rows, np.int64).reshape(-1, 3).T
    return Entries(*columns)


@given(st.lists(ENTRY, max_size=40), st.lists(st.sampled_from([0, 1, 500_000, 950_000, 999_999, M]), min_size=5, max_size=5))
def test_quantiles_are_the_histograms(rows, shares):
    found = quantiles(merged([entries(rows)]), 5, np.array(shares, np.int64))
    for tenant, share in enumerate(shares):
        histogram = Histogram.of_entries((bucket, count) for owner, bucket, count in rows if owner == tenant)
        bounds = histogram.quantile(share) or (NO_LATENCY, NO_LATENCY)
        assert (found.lower[tenant], found.upper[tenant]) == bounds
        assert found.requests[tenant] == histogram.total


@given(st.lists(ENTRY, max_size=40), st.integers(0, 40), st.randoms(use_true_random=False))
def test_merging_is_addition_in_any_order(rows, cut, shuffler):
    whole = merged([entries(rows)])
    mixed = shuffler.sample(rows, len(rows))
    parts = merged([merged([entries(mixed[:cut])]), entries(mixed[cut:])])
    assert [column.tolist() for column in whole] == [column.tolist() for column in parts]
    assert len({*zip(whole.owner.tolist(), whole.bucket.tolist(), strict=True)}) == len(whole.owner)


def test_nothing_measured():
    found = quantiles(merged([]), 2, 990_000)
    assert [column.tolist() for column in found] == [[NO_LATENCY] * 2, [NO_LATENCY] * 2, [0, 0]]
    assert [column.tolist() for column in quantiles(merged([]), 0, 990_000)] == [[], [], []]


@pytest.mark.parametrize("row", [(-1, 0, 1), (0, -1, 1), (0, BUCKETS, 1), (0, 0, 0)])
def test_what_is_no_histogram_is_refused(row):
    with pytest.raises(ValueError, match="expected"):
        merged([entries([row])])


def test_more_than_an_int64_counts_is_refused():
    with pytest.raises(OverflowError):
        merged([entries([(0, 0, 2**62), (1, 0, 2**62)])])


@pytest.mark.parametrize("share", [-1, M + 1])
def test_a_quantile_is_a_share(share):
    with pytest.raises(ValueError, match="quantiles"):
        quantiles(merged([]), 1, share)
