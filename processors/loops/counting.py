"""Latencies that meters report are counted towards a period, each report once."""

from collections.abc import Iterator
from itertools import compress

import numpy as np

from processors.allocation.exact import Flags, Ints
from processors.broken import BrokenJournalError
from processors.histogram import BUCKETS
from processors.stamping import Stamp
from processors.state import PartitionState, PoolState
from processors.tenants import NO_CAP
from processors.told import Longs
from schemas.fact import Fact
from schemas.journal import LatencySums
from schemas.loop_facts import LatenciesCounted

_UNKNOWN = -1
"""In place of a slot: no tenant of the pool."""

MOST_REQUESTS = 2**40
"""In one bucket of one report; a meter counts requests one by one. Sums of 2^22 of these fit int64."""


def decide_latencies(state: PartitionState, sums: LatencySums, stamp: Stamp) -> Iterator[Fact]:
    """Count a meter's latencies unless they were counted before, of tenants that have an SLA; of others nothing follows.

    They count in the period in which they were metered, or in the open one if that is later (as usage does). 2,000 tenants of 20
    buckets each: 4 ms, and a fact of 150 KB.

    Raises:
        BrokenJournalError: the report's columns do not fit each other.
    """
    pool = state.pools.get(sums.pool)
    meter = (sums.meter_topic, sums.meter_partition)
    if sums.tick <= state.marks.get(meter, -1) or (*meter, sums.tick, sums.pool, sums.chunk) in state.reported:
        return
    owner, bucket, count = _whole_columns(sums)
    if pool is None or pool.loops is None or pool.loops.sla is None:
        return
    watched = _watched(pool, sums.tenant)
    kept = watched[owner]
    if not kept.any():
        return
    place = np.cumsum(watched) - 1  # in the fact
    earliest = pool.open.period if pool.open else pool.declared.from_period
    yield stamp.fact(
        LatenciesCounted,
        sums.pool,
        meter_topic=meter[0],
        meter_partition=meter[1],
        tick=sums.tick,
        chunk=sums.chunk,
        period=max(earliest, pool.period_of_report(sums.tick)) if pool.tick_ms else earliest,
        tenant=list(compress(sums.tenant, watched.tolist())),
        owner=Longs(place[owner[kept]]),
        bucket=Longs(bucket[kept]),
        count=Longs(count[kept]),
    )


def _watched(pool: PoolState, names: list[str]) -> Flags:
    """Who in a report has an SLA."""
    known = pool.tenants.slots
    slots = np.array([known.get(name, _UNKNOWN) for name in names], np.intp)
    watched: Flags = slots != _UNKNOWN
    watched[watched] = pool.tenants["declared_sla_ms"][slots[watched]] != NO_CAP
    return watched


def _whole_columns(sums: LatencySums) -> tuple[Ints, Ints, Ints]:
    """Owners, buckets and counts of a report that doesn't contradict itself."""
    name = f"meter {sums.meter_topic}/{sums.meter_partition}, tick {sums.tick}, pool {sums.pool!r}, chunk {sums.chunk}"
    if not len(sums.owner) == len(sums.bucket) == len(sums.count):
        raise BrokenJournalError(f"{name}: columns of {len(sums.owner)}, {len(sums.bucket)} and {len(sums.count)} entries")
    owner, bucket, count = (np.asarray(column, np.int64) for column in (sums.owner, sums.bucket, sums.count))
    for column, values, least, most in (
        ("owner", owner, 0, len(sums.tenant) - 1),
        ("bucket", bucket, 0, BUCKETS - 1),
        ("count", count, 1, MOST_REQUESTS),
    ):
        if values.size and not (least <= values.min() and values.max() <= most):
            raise BrokenJournalError(f"{name}: {column}: {values.min()} to {values.max()}, not {least} to {most}")
    return owner, bucket, count
