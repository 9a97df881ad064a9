"""What gateways report of admission is demand, each report counted once."""

from collections.abc import Iterator

from processors.stamping import Stamp
from processors.state import PartitionState
from schemas.fact import Fact
from schemas.journal import AdmissionSums
from schemas.sharing_facts import AdmissionsCounted

MOST = 2**62 - 1


def decide_admissions(state: PartitionState, sums: AdmissionSums, stamp: Stamp) -> Iterator[Fact]:
    """Count a meter's sums unless they were counted before.

    Reports of pools that are no token pools, and of tenants that the pool does not know, decide nothing: ClickHouse has them.
    What a tenant wanted of a space is what it used at most, and what it was refused besides.
    """
    meter = (sums.meter_topic, sums.meter_partition)
    if sums.tick <= state.marks.get(meter, -1) or (*meter, sums.tick, sums.pool, sums.chunk) in state.reported:
        return
    pool = state.pools.get(sums.pool)
    if pool is None or pool.sharing is None or pool.sharing.terms is None:
        return
    known = [at for at, tenant in enumerate(sums.tenant) if tenant in pool.tenants.slots]
    yield stamp.fact(
        AdmissionsCounted,
        sums.pool,
        meter_topic=meter[0],
        meter_partition=meter[1],
        tick=sums.tick,
        chunk=sums.chunk,
        tenant=[sums.tenant[at] for at in known],
        refused_tokens=[sums.refused_tokens[at] for at in known],
        wanted_kv=[min(sums.peak_kv_blocks[at] + sums.refused_kv_blocks[at], MOST) for at in known],
        wanted_concurrency=[min(sums.peak_concurrency[at] + sums.refused[at], MOST) for at in known],
    )
