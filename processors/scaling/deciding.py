"""Each tick, and after each command that changes promises or replicas: how many replicas are asked for."""

from collections.abc import Iterator
from typing import NamedTuple

from processors.autoscale import NEVER, Memory, decide, need_of, with_headroom
from processors.entitlement import Capacity
from processors.scaling.demand import expected_amounts, promised_amounts, replica_of
from processors.scaling.state import Told
from processors.sharing.state import DIMENSIONS
from processors.stamping import Stamp
from processors.state import PartitionState, PoolState
from schemas.fact import Fact
from schemas.scaling_facts import ScalingDecided


class _Decision(NamedTuple):
    """What was decided of a pool, and by which sums of each dimension."""

    memory: Memory
    told: Told
    promised: Capacity
    elastic: Capacity


def decide_scalings(state: PartitionState, stamp: Stamp) -> Iterator[Fact]:
    """Of every scaled pool; pools in byte order."""
    for name in sorted(state.pools):
        yield from decide_scaling(state, state.pools[name], stamp)


def decide_scaling(state: PartitionState, pool: PoolState, stamp: Stamp) -> Iterator[Fact]:
    """Of one pool; nothing where it is not scaled, or all is as it was told."""
    scaling, sharing = pool.scaling, pool.sharing
    if scaling is None or scaling.settings is None or sharing is None or sharing.terms is None:
        return
    terms = sharing.terms
    promised = promised_amounts(pool, sharing.promised, terms)
    elastic = with_headroom(expected_amounts(pool, scaling), scaling.settings.headroom)
    need = need_of(replica_of(terms), promised, elastic)
    memory, reason = decide(state.now_ms, need, scaling.memory, scaling.settings)
    decided = _Decision(memory, Told(terms.replicas, reason, need.promised, need.needed), promised, elastic)
    if (decided.told, memory) != (scaling.told, scaling.memory):
        yield _fact(state, pool, scaling.memory.wanted, decided, stamp)


def _fact(state: PartitionState, pool: PoolState, before: int, decided: _Decision, stamp: Stamp) -> Fact:
    memory, told, promised, elastic = decided
    return stamp.fact(
        ScalingDecided,
        pool.name,
        at=state.now_ms,
        tick=max(state.tick, 0),
        period=pool.present,
        replicas=told.replicas,
        before=before,
        wanted=memory.wanted,
        reason=told.reason,
        promised_replicas=told.promised,
        changed_at=_or_none(memory.changed_ms),
        low_since=_or_none(memory.low_since_ms),
        low_most=memory.low_most,
        **{f"needed_{name}": count for name, count in zip(DIMENSIONS, told.needed, strict=True)},
        **{f"promised_{name}": amount for name, amount in zip(DIMENSIONS, promised, strict=True)},
        **{f"elastic_{name}": amount for name, amount in zip(DIMENSIONS, elastic, strict=True)},
    )


def _or_none(moment: int) -> int | None:
    return None if moment == NEVER else moment
