"""The profile of a cycle: what a tenant, or the pool's mean tenant, used in each bucket of its days or weeks.

A bucket's value is the mean of its periods, averaged over days (or weeks) with a share for the newest. Columns of a cycle called
`day`: `day` (buckets), `day_sum` and `day_count` of the bucket that is open, `day_closed`, the mean of the bucket that closed last,
and `day_before`, what the profile had said of that one.
"""

import numpy as np

from processors.forecast.settings import DAY_SHARE
from processors.forecast.state import Columns, Floats, Mask


def at(columns: Columns, name: str, bucket: int) -> Floats:
    """What the profile says of a bucket; UNKNOWN where it was never seen."""
    return np.asarray(columns[name][bucket], np.float64)


def add(columns: Columns, name: str, tokens: Floats, observed: Mask) -> None:
    """Takes a period into the bucket that is open."""
    columns[f"{name}_sum"] += np.where(observed, tokens, 0.0)
    columns[f"{name}_count"] += observed


def close(columns: Columns, name: str, bucket: int) -> None:
    """Takes the open bucket, which is `bucket`, into the profile. Tenants without a period in it keep what they have."""
    count = columns[f"{name}_count"]
    some = count > 0
    mean = columns[f"{name}_sum"] / np.maximum(count, 1.0)
    before = at(columns, name, bucket)
    after = np.where(before >= 0, before + DAY_SHARE * (mean - before), mean)
    np.copyto(columns[name][bucket], after, where=some, casting="same_kind")
    np.copyto(columns[f"{name}_closed"], mean, where=some)
    np.copyto(columns[f"{name}_before"], before, where=some)
    columns[f"{name}_sum"][:] = 0.0
    count[:] = 0.0
