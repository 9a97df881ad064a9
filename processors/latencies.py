"""The latencies of a pool's tenants in one period: all their histograms as three columns, and a quantile of each at once.

Entry i says that tenant `owner[i]` had `number[i]` requests in bucket `bucket[i]` of processors/histogram.py, as the journal's
records have them. Merging is addition, so the order of meters and ticks changes nothing.

100,000 tenants with 20 buckets each are 2,000,000 entries: 48 MB. Merging as many takes 0.6 s and 140 MB for a moment, a quantile
of all tenants 35 ms and 32 MB.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from processors.allocation.exact import INT64_MAX, MILLION, Ints, exact_sum
from processors.histogram import BUCKETS, LOWER_BOUNDS, SUB_BITS

NO_LATENCY = -1
"""In columns of latencies: nothing was measured."""

_KEY_BITS = (BUCKETS - 1).bit_length()

_FEW = 100_000
"""Entries that are not worth merging yet: 2.4 MB."""


class Entries(NamedTuple):
    """Histograms of many tenants: int64 columns of one length.

    Attributes:
        owner: whose, a row of the caller's columns.
        bucket: of processors/histogram.py.
        number: requests, at least 1.
    """

    owner: Ints
    bucket: Ints
    number: Ints


class Quantiles(NamedTuple):
    """One row for each tenant, milliseconds and requests.

    Attributes:
        lower: the quantile is at least this; NO_LATENCY where there was no request.
        upper: it is at most this, less than 1/64 more.
        requests: how many were measured.
    """

    lower: Ints
    upper: Ints
    requests: Ints


def merged(parts: Sequence[Entries]) -> Entries:
    """The sum of histograms: one entry for each owner and bucket, in their order. Time O(n log n) of all entries.

    Raises:
        ValueError: there is no such bucket or owner, or a number is not positive.
        OverflowError: there are more than 2^63−1 requests.
    """
    if not parts:
        nothing = np.empty(0, np.int64)
        return Entries(nothing, nothing, nothing)
    owner, bucket, number = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    if owner.size and (owner.min() < 0 or bucket.min() < 0 or bucket.max() >= BUCKETS or number.min() <= 0):
        raise ValueError(f"entries: owners from 0, buckets 0..{BUCKETS - 1} and positive numbers are expected")
    if exact_sum(number) > INT64_MAX:
        raise OverflowError("entries: more requests than an int64 counts")
    keys = (owner << _KEY_BITS) | bucket
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    first = np.flatnonzero(np.diff(keys, prepend=-1))
    counts = np.add.reduceat(number[order], first) if first.size else np.empty(0, np.int64)
    return Entries(keys[first] >> _KEY_BITS, keys[first] & ((1 << _KEY_BITS) - 1), counts)


class Collected:
    """Histograms as they come, one record after the other; the same whole, however often it was looked at.

    They are merged when asked for, and when as much has come as is merged already: so an entry is merged a few times in all, and at
    most twice what is needed is held.
    """

    __slots__ = ("_merged", "_parts", "_waiting")

    def __init__(self, merged_already: Entries | None = None) -> None:
        self._merged = merged([]) if merged_already is None else merged_already
        self._parts: list[Entries] = []
        self._waiting = 0

    def add(self, entries: Entries) -> None:
        """Count histograms."""
        self._parts.append(entries)
        self._waiting += entries.owner.size
        if self._waiting > max(self._merged.owner.size, _FEW):
            self.whole()

    def whole(self) -> Entries:
        """Everything that came, merged."""
        if self._parts:
            self._merged = merged([self._merged, *self._parts])
            self._parts, self._waiting = [], 0
        return self._merged


def quantiles(entries: Entries, tenants: int, millionths: Ints | int) -> Quantiles:
    """A quantile of every tenant: the value of rank ceil(q·n), at least 1, of its n requests lies in [lower, upper].

    Args:
        entries: as `merged` gives them.
        tenants: rows of the result; owners lie below.
        millionths: of each tenant, or of all: 990,000 is p99.

    Raises:
        ValueError: a quantile is not in 0..1,000,000.
    """
    share = np.broadcast_to(np.asarray(millionths, np.int64), tenants)
    if tenants and not (int(share.min()) >= 0 and int(share.max()) <= MILLION):
        raise ValueError(f"quantiles {share.min()}..{share.max()} are not in 0..{MILLION}")
    # All requests in one row, tenant after tenant: `through` is the last place of an entry's requests, `before` what precedes a
    # tenant's own. The request of a rank is then found by one search.
    through = np.cumsum(entries.number)
    ends = np.searchsorted(entries.owner, np.arange(tenants), side="right")
    total = np.concatenate((np.zeros(1, np.int64), through))[ends]
    before = np.concatenate((np.zeros(1, np.int64), total[:-1]))[:tenants]
    requests = total - before
    found = np.flatnonzero(requests)
    rank = np.maximum(_share_up(requests[found], share[found]), 1)
    bucket = entries.bucket[np.searchsorted(through, before[found] + rank, side="left")]
    lower, upper = np.full(tenants, NO_LATENCY, np.int64), np.full(tenants, NO_LATENCY, np.int64)
    lower[found] = LOWER_BOUNDS[bucket]
    upper[found] = lower[found] + (np.int64(1) << np.maximum((bucket >> SUB_BITS) - 1, 0)) - 1
    return Quantiles(lower, upper, requests)


def _share_up(number: Ints, millionths: Ints) -> Ints:
    """The share, rounded up, without leaving int64: what is above and below a million apart."""
    part: Ints = number // MILLION * millionths - (-(number % MILLION * millionths) // MILLION)
    return part
