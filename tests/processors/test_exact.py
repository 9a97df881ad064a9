"""Arithmetic beyond int64: shares, products and sums at every magnitude, against Python's own integers."""

import allocation_oracle as oracle
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.allocation import hamilton
from processors.allocation.exact import INT64_MAX, descending_order, exact_sum, first_above, times_millionths


def column(*values):
    return np.array(values, np.int64)


magnitudes = st.sampled_from((3, 2**20, 2**40, 2**53, INT64_MAX))
columns = magnitudes.flatmap(lambda largest: st.lists(st.integers(0, largest), min_size=1, max_size=12))


@given(columns, magnitudes.flatmap(lambda largest: st.integers(0, largest)))
@settings(max_examples=600, deadline=None)
def test_hamilton_is_the_plain_rule_at_every_magnitude(weights, total):
    assert hamilton.hamilton(total, column(*weights)).tolist() == oracle.hamilton(total, weights)


@given(st.lists(st.integers(0, 2**50), min_size=1, max_size=12).filter(any), st.integers(1, 2**51))
@settings(max_examples=300, deadline=None)
def test_both_arithmetics_of_quotas_agree(weights, total):
    """The narrow path is taken for speed alone; where both are valid they give the same floors and remainders."""
    whole = sum(weights)
    narrow = hamilton._single_word_quotas(total, column(*weights), whole)
    wide = hamilton._wide_quotas(total, column(*weights), whole)
    assert narrow.floor.tolist() == wide.floor.tolist() == [total * weight // whole for weight in weights]
    assert narrow.remainder.tolist() == wide.remainder.low.tolist() == [total * weight % whole for weight in weights]


@pytest.mark.parametrize(
    ("total", "weights"),
    [
        (187871401136185018, [19707425115077120] * 2),
        (802167066265663116, [6213215167665040747] * 3),
        (40333578624489894, [27324172455879254] * 2),
        (2251799812821450, [8316554587812385186, 790546616723180227]),
        (2251799812637475, [7570008672284510647, 1361305452139146790]),
    ],
)
def test_quotients_that_the_estimates_miss_by_most(total, weights):
    """Found by search: exact quotients two above the second estimate, and residues that need more than 64 bits."""
    whole = sum(weights)
    quotas = hamilton._quotas(total, column(*weights))
    assert quotas.floor.tolist() == [total * weight // whole for weight in weights]


@given(columns, magnitudes.flatmap(lambda largest: st.integers(0, largest)))
@settings(max_examples=300, deadline=None)
def test_products_in_millionths_and_their_order(values, factor):
    product = times_millionths(column(*values), factor)
    exact = [value * factor // 10**6 for value in values]
    shown = product.tolist() if isinstance(product, np.ndarray) else product.saturated().tolist()
    assert shown == [min(value, INT64_MAX) for value in exact]
    assert descending_order(product).tolist() == sorted(range(len(values)), key=lambda row: (-exact[row], row))


@given(columns)
def test_sums_and_running_sums_beyond_int64(values):
    assert exact_sum(column(*values)) == sum(values)
    limit = max(values)
    fits, total = first_above(column(*values), limit)
    assert total == sum(values[:fits]) <= limit
    assert fits == len(values) or total + values[fits] > limit
