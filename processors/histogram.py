"""Latency histograms: log-spaced buckets with integer bounds and integer counts, mergeable in any order.

The layout is HdrHistogram's (http://hdrhistogram.org): every power of two is cut into 2**SUB_BITS equal buckets, found with
`int.bit_length` and shifts alone, so that every machine puts a value into the same bucket. Values below 2**(SUB_BITS + 1) have
a bucket each. A bucket [lower, upper] has upper - lower < lower / 2**SUB_BITS: whoever takes either bound for a value errs by
less than 1/64, that is 1.6 %.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from schemas.units import MAX_TOKENS, MILLION

SUB_BITS: Final = 6
"""Buckets of a power of two, as a power of two: 64."""

MAX_VALUE: Final = MAX_TOKENS
"""Largest value: the largest latency that a door takes, milliseconds."""

_SUB: Final = 1 << SUB_BITS
_MASK: Final = _SUB - 1
_LINEAR_BITS: Final = SUB_BITS + 1


def bucket_of(value: int) -> int:
    """The bucket of a value (both from 0).

    Raises:
        ValueError: the value is negative or above MAX_VALUE; a door refuses such values, so this is a broken invariant.
    """
    if not 0 <= value <= MAX_VALUE:
        raise ValueError(f"value {value} is not in 0..{MAX_VALUE}")
    shift = value.bit_length() - _LINEAR_BITS
    return value if shift <= 0 else (shift << SUB_BITS) + (value >> shift)


BUCKETS: Final = bucket_of(MAX_VALUE) + 1
"""How many buckets there are: 3,073. A tenant's histogram can't have more entries."""


def bounds_of(bucket: int) -> tuple[int, int]:
    """The smallest and the largest value of a bucket.

    Raises:
        ValueError: there is no such bucket.
    """
    if not 0 <= bucket < BUCKETS:
        raise ValueError(f"bucket {bucket} is not in 0..{BUCKETS - 1}")
    shift = max(0, (bucket >> SUB_BITS) - 1)
    lower = (bucket - (shift << SUB_BITS)) << shift
    return lower, lower + (1 << shift) - 1


LOWER_BOUNDS: Final[NDArray[np.int64]] = np.array([bounds_of(bucket)[0] for bucket in range(BUCKETS)], dtype=np.int64)
LOWER_BOUNDS.flags.writeable = False


def buckets_of(values: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """The buckets of an array of values, as `bucket_of` finds them; a binary search of 12 comparisons each.

    Raises:
        ValueError: a value is negative or above MAX_VALUE.
    """
    if values.size and not (int(values.min()) >= 0 and int(values.max()) <= MAX_VALUE):
        raise ValueError(f"values {values.min()}..{values.max()} are not in 0..{MAX_VALUE}")
    return np.searchsorted(LOWER_BOUNDS, values.astype(np.int64), side="right").astype(np.int64) - 1


@dataclass(slots=True)
class Histogram:
    """Counts per bucket, sparse. Merging is addition: associative, commutative, and exact at any size.

    Memory: about 100 bytes for each bucket in use, at most BUCKETS of them.
    """

    counts: dict[int, int] = field(default_factory=dict)

    @classmethod
    def of_entries(cls, entries: Iterable[tuple[int, int]]) -> Self:
        """A histogram of (bucket, count), as a journal record has them.

        Raises:
            ValueError: there is no such bucket, or a count is not positive.
        """
        histogram = cls()
        for bucket, count in entries:
            histogram.add_count(bucket, count)
        return histogram

    def add(self, value: int) -> None:
        """Count one value."""
        bucket = bucket_of(value)
        self.counts[bucket] = self.counts.get(bucket, 0) + 1

    def add_all(self, values: NDArray[np.integer[Any]]) -> None:
        """Count an array of values."""
        buckets, counts = np.unique(buckets_of(values), return_counts=True)
        for bucket, count in zip(buckets.tolist(), counts.tolist(), strict=True):
            self.counts[bucket] = self.counts.get(bucket, 0) + count

    def add_count(self, bucket: int, count: int) -> None:
        """Count `count` values of a bucket at once.

        Raises:
            ValueError: there is no such bucket, or the count is not positive.
        """
        if not 0 <= bucket < BUCKETS or count <= 0:
            raise ValueError(f"{count} in bucket {bucket}: a positive count in 0..{BUCKETS - 1} is expected")
        self.counts[bucket] = self.counts.get(bucket, 0) + count

    def merge(self, other: Self) -> None:
        """Add all of another histogram's counts to this one."""
        for bucket, count in other.counts.items():
            self.counts[bucket] = self.counts.get(bucket, 0) + count

    def entries(self) -> Iterator[tuple[int, int]]:
        """(bucket, count) in the order of the buckets."""
        return iter(sorted(self.counts.items()))

    @property
    def total(self) -> int:
        """How many values were counted."""
        return sum(self.counts.values())

    def quantile(self, millionths: int) -> tuple[int, int] | None:
        """Bounds of a quantile: the value of rank ceil(q·n), at least 1, is in [lower, upper]. None if nothing was counted.

        Args:
            millionths: the quantile: 990,000 is p99.

        Raises:
            ValueError: it is not in 0..1,000,000.
        """
        if not 0 <= millionths <= MILLION:
            raise ValueError(f"quantile {millionths} is not in 0..{MILLION}")
        rank = max(1, -(-self.total * millionths // MILLION))
        for bucket, count in self.entries():
            rank -= count
            if rank <= 0:
                return bounds_of(bucket)
        return None
