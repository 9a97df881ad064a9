"""Hamilton shares (largest remainders), exact for every int64 input, and the repeated sharing that policies and limits build on.

Shares of R by weights w: each gets R·w_i // Σw; the units left over go one each to the largest remainders R·w_i mod Σw, ties to
the smaller row; with Σw = 0 all weights count as 1 (spec: allocation, "Hamilton shares").
"""

from typing import NamedTuple

import numpy as np

from processors.allocation.exact import INT64_MAX, Ints, Wide, Words, exact_sum, exceeds, wide_product

_BLOCK = 2**13  # rows: the dozens of columns of a wide division then fit a second-level cache of 2 MB


class _Quotas(NamedTuple):
    floor: Ints
    remainder: Ints | Wide


def hamilton(total: int, weights: Ints) -> Ints:
    """Divides `total` units by `weights`.

    Args:
        total: units to divide, 0 to 2^63−1.
        weights: one non-negative int64 per row.

    Returns:
        int64 units per row, which sum to `total` (all zero rows if there is no row).
    """
    quotas = _quotas(total, weights)
    _hand_out_leftovers(total, quotas)
    return quotas.floor


def water_fill(total: int, weights: Ints, limits: Ints) -> Ints:
    """Hamilton shares in which nobody gets more than its limit.

    Round by round, everybody whose share reaches its limit is given its limit and leaves, and the rest is shared anew among the
    others; when nobody's share reaches, the shares stand. Rows whose limit is 0 take no part.

    A round of n rows takes O(n) and there are few: let the level be rest / Σw, and φ its rise times the Σw that stays. Then
    φ_next <= φ · (1 − Σw that stays / Σw before): a round halves Σw or φ. Pools of a million tenants, also with shares near one
    token, took at most 21 rounds; the longest chain that we can build takes 39 (0.6 s, tests/benchmarks/bench_allocation.py).

    Returns:
        int64 units per row; they sum to `total` unless every limit was reached first.
    """
    filled = np.zeros(limits.size, np.int64)
    rows = np.flatnonzero(limits > 0)
    weight, limit, present = weights[rows], limits[rows], np.ones(rows.size, np.bool_)
    rest, gone = total, 0
    while rows.size and rest:
        share, leaving = _shares_and_leavers(rest, weight, limit)
        if not leaving.size:
            filled[rows] += share
            break
        filled[rows[leaving]] = limit[leaving]
        rest -= exact_sum(limit[leaving])
        # Who left weighs nothing from now on and so gets nothing (leftover units are fewer than remainders above zero). Taking
        # rows out of the columns costs as much as a round, so it waits until they are many, or nobody else weighs anything.
        weight[leaving], limit[leaving], present[leaving] = 0, INT64_MAX, False
        gone += leaving.size
        if gone > rows.size // 8 or not weight.any():
            staying = np.flatnonzero(present)
            rows, weight, limit, present = rows[staying], weight[staying], limit[staying], np.ones(staying.size, np.bool_)
            gone = 0
    return filled


def shares_in_turn(total: int, wanted: Ints, turn: Ints) -> Ints:
    """Everybody has what it wants as far as the total goes, those of the lowest turn first.

    The first group for which too little is left has Hamilton shares of it, by what each wants; those behind it have nothing.

    Args:
        total: units to divide, 0 to 2^63−1.
        wanted: non-negative int64 units per row.
        turn: few different numbers, one per row.
    """
    given = wanted.copy()
    for each in np.unique(turn).tolist():
        rows = np.flatnonzero(turn == each)
        together = exact_sum(wanted[rows])
        if together > total:
            given[rows] = hamilton(total, wanted[rows])
        total -= min(together, total)
    return given


def _shares_and_leavers(rest: int, weight: Ints, limit: Ints) -> tuple[Ints, Ints]:
    """One round: the shares, and the rows whose share reaches their limit. The shares are complete where nobody leaves.

    A leftover unit decides about leaving only where the floor is one short of a limit; in other rounds with leavers the search
    for the largest remainders is saved.
    """
    quotas = _quotas(rest, weight)
    reached = quotas.floor >= limit
    if not reached.any() or (quotas.floor == limit - 1).any():
        _hand_out_leftovers(rest, quotas)
        reached = quotas.floor >= limit
    return quotas.floor, np.flatnonzero(reached)


def _quotas(total: int, weights: Ints) -> _Quotas:
    """Floors and remainders of total·w / Σw, by the cheapest arithmetic that is exact for these magnitudes."""
    whole = exact_sum(weights)
    if not whole:
        weights = np.ones(weights.size, np.int64)
        whole = weights.size
    if not total or not weights.size:
        return _Quotas(np.zeros(weights.size, np.int64), np.zeros(weights.size, np.int64))
    if total * int(weights.max()) <= INT64_MAX and whole <= INT64_MAX:
        product = weights * total
        floor = product // whole
        return _Quotas(floor, product - floor * whole)
    if total <= 2**51 and whole <= 2**60:
        return _single_word_quotas(total, weights, whole)
    return _wide_quotas(total, weights, whole)


def _single_word_quotas(total: int, weights: Ints, whole: int) -> _Quotas:
    """Products of up to 114 bits whose quotient is known but for one or two units.

    The float estimate has a relative error below 2^-51 and the quotient is at most total <= 2^51, so it errs by at most 2 after
    truncation. What is left of the product then lies within 3·whole < 2^62 of zero: computed modulo 2^64 it is exact, and one
    more division mends the estimate.
    """
    floor = (weights * (total / whole)).astype(np.int64)
    remainder = weights * total - floor * whole
    correction = remainder // whole
    floor += correction
    remainder -= correction * whole
    return _Quotas(floor, remainder)


def _wide_quotas(total: int, weights: Ints, whole: int) -> _Quotas:
    """Any int64 total and weights. In blocks that stay in the processor's cache: a third of the time of whole columns."""
    floor = np.empty_like(weights)
    remainder = Wide(np.empty(weights.size, np.uint64), np.empty(weights.size, np.uint64))
    for start in range(0, weights.size, _BLOCK):
        block = slice(start, start + _BLOCK)
        floor[block], residue = _wide_block(total, weights[block], whole)
        remainder.high[block], remainder.low[block] = residue
    return _Quotas(floor, remainder)


def _wide_block(total: int, weights: Ints, whole: int) -> tuple[Ints, Wide]:
    """Quotients and remainders from estimates that never exceed the quotient, so that residues stay unsigned.

    1. The float estimate errs by less than 4,096 (2^63 · 2^-51), so 4,096 less is at most 2^13 below the quotient.
    2. The residue over whole, estimated again and lowered by 1, is at most 2 below.
    3. Two comparisons mend that.
    """
    product = wide_product(weights, total)
    estimate = np.maximum(weights * (total / whole) - 4096.0, 0.0).astype(np.uint64)
    residue = product.minus(_times_whole(estimate, whole))
    second = (residue.high * 2.0**64 + residue.low) / float(whole)
    estimate += np.maximum(second - 1.0, 0.0).astype(np.uint64)
    residue = product.minus(_times_whole(estimate, whole))
    once = _times_whole(np.ones(1, np.uint64), whole)
    for _ in range(2):
        short = exceeds(residue, whole - 1)
        estimate += short
        residue = residue.minus(Wide(np.where(short, once.high, 0), np.where(short, once.low, 0)))
    return estimate.astype(np.int64), residue


def _times_whole(column: Words, whole: int) -> Wide:
    """`column · whole` modulo 2^128, for a whole that may itself exceed 64 bits."""
    product = wide_product(column, whole & (2**64 - 1))
    return Wide(product.high + column * np.uint64(whole >> 64), product.low)


def _hand_out_leftovers(total: int, quotas: _Quotas) -> None:
    """Adds one unit to each of the largest remainders until the floors sum to the total. Fewer units than rows are left over."""
    if not quotas.floor.size:
        return
    units = total - int(quotas.floor.sum())
    remainder = quotas.remainder
    keys: tuple[Ints | Words, ...] = tuple(remainder) if isinstance(remainder, Wide) else (remainder,)
    if units:
        quotas.floor[_largest(keys, units)] += 1


def _largest(keys: tuple[Ints | Words, ...], count: int) -> Ints:
    """The `count` rows with the largest keys, the first key deciding before the next, ties to the smaller row."""
    key = keys[0]
    cut = np.partition(key, key.size - count)[key.size - count]
    above = np.flatnonzero(key > cut)
    tied = np.flatnonzero(key == cut)
    missing = count - above.size
    if len(keys) > 1 and missing < tied.size:
        tied = tied[_largest(tuple(later[tied] for later in keys[1:]), missing)]
    return np.concatenate((above, tied[:missing]))
