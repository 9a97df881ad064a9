"""Latencies that meters report are counted towards a period, each report once."""

from collections.abc import Iterator

from processors.broken import BrokenJournalError
from processors.histogram import BUCKETS
from processors.stamping import Stamp
from processors.state import PartitionState, PoolState
from processors.tenants import NO_CAP
from schemas.fact import Fact
from schemas.journal import LatencySums
from schemas.loop_facts import LatenciesCounted

MOST_REQUESTS = 2**40
"""In one bucket of one report; a meter counts requests one by one. Sums of 2^22 of these fit int64."""


def decide_latencies(state: PartitionState, sums: LatencySums, stamp: Stamp) -> Iterator[Fact]:
    """Count a meter's latencies unless they were counted before, of tenants that have an SLA; of others nothing follows.

    They count in the period in which they were metered, or in the open one if that is later (as usage does). 2,000 tenants of 20
    buckets each: 8 ms, and a fact of 150 KB.

    Raises:
        BrokenJournalError: the report's columns do not fit each other.
    """
    pool = state.pools.get(sums.pool)
    meter = (sums.meter_topic, sums.meter_partition)
    if sums.tick <= state.marks.get(meter, -1) or (*meter, sums.tick, sums.pool, sums.chunk) in state.reported:
        return
    _require_whole(sums)
    if pool is None or pool.loops is None or pool.loops.sla is None:
        return
    places = _watched(pool, sums.tenant)
    kept = [at for at, owner in enumerate(sums.owner) if owner in places]
    if not kept:
        return
    earliest = pool.open.period if pool.open else pool.declared.from_period
    yield stamp.fact(
        LatenciesCounted,
        sums.pool,
        meter_topic=meter[0],
        meter_partition=meter[1],
        tick=sums.tick,
        chunk=sums.chunk,
        period=max(earliest, pool.period_of_report(sums.tick)) if pool.tick_ms else earliest,
        tenant=[sums.tenant[owner] for owner in places],
        owner=[places[sums.owner[at]] for at in kept],
        bucket=[sums.bucket[at] for at in kept],
        count=[sums.count[at] for at in kept],
    )


def _watched(pool: PoolState, names: list[str]) -> dict[int, int]:
    """Place in the report -> place in the fact, of tenants that have an SLA."""
    sla = pool.tenants["declared_sla_ms"]
    slots = (pool.tenants.slots.get(name) for name in names)
    watched = [at for at, slot in enumerate(slots) if slot is not None and sla[slot] != NO_CAP]
    return {at: place for place, at in enumerate(watched)}


def _require_whole(sums: LatencySums) -> None:
    name = f"meter {sums.meter_topic}/{sums.meter_partition}, tick {sums.tick}, pool {sums.pool!r}, chunk {sums.chunk}"
    if not len(sums.owner) == len(sums.bucket) == len(sums.count):
        raise BrokenJournalError(f"{name}: columns of {len(sums.owner)}, {len(sums.bucket)} and {len(sums.count)} entries")
    for column, values, least, most in (
        ("owner", sums.owner, 0, len(sums.tenant) - 1),
        ("bucket", sums.bucket, 0, BUCKETS - 1),
        ("count", sums.count, 1, MOST_REQUESTS),
    ):
        if values and not (least <= min(values) and max(values) <= most):
            raise BrokenJournalError(f"{name}: {column}: {min(values)} to {max(values)}, not {least} to {most}")
