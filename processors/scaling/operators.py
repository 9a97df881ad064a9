"""What operators say of scaling, and what whoever runs the replicas reports of them.

A scaled pool may promise as much as its most replicas can do: what is asked for rises with the promise, at once. So what is
promised never exceeds both what there is and what is asked for. Whatever would break that is refused: a promise that does not fit
`max_replicas` (processors/sharing/operators.py), and a version of the pool under which promises do not fit any more.
"""

from collections.abc import Iterator
from dataclasses import asdict

from processors.autoscale import ScalingSettings, need_of
from processors.entitlement import Capacity
from processors.scaling.demand import declared_amounts
from processors.sharing.state import SharingTerms, all_promised
from processors.stamping import Stamp
from processors.state import PartitionState, PoolState, command_key
from schemas.fact import Fact
from schemas.facts import CommandRefused, Reason
from schemas.published import PoolCommand
from schemas.scaling import ReplicasCommand, Scaling
from schemas.scaling_facts import ScalingSet
from schemas.sharing_facts import TokenPoolSet

Refusal = tuple[Reason, str]


def refuse_scaling(pool: PoolState | None, command: PoolCommand) -> Refusal | None:
    """Why a version of a pool is not taken: it may not be scaled to what is promised already."""
    said = _said(command)
    if pool is None or said is None:
        return None
    promised = all_promised(pool.tenants) if pool.sharing is None else pool.sharing.promised
    replica = Capacity(command.replica_tokens_per_s or 0, command.replica_kv_blocks or 0, command.replica_concurrency or 0)
    needed = need_of(replica, declared_amounts(promised, replica, command.period_s), Capacity(0, 0, 0)).promised
    if needed <= said.max_replicas:
        return None
    return Reason.ABOVE_MAX_REPLICAS, f"scaling.max_replicas: {said.max_replicas}, but {needed} are needed for what is promised"


def set_scaling(pool: PoolState | None, command: PoolCommand, version: int, stamp: Stamp) -> Iterator[Fact]:
    """What a version of a pool says of scaling; nothing where it says what holds already.

    Args:
        pool: as it was before the command.
        command: accepted.
        version: of the pool.
        stamp: of the record.
    """
    now = None if pool is None or pool.scaling is None else pool.scaling.settings
    if _said(command) == now:
        return
    yield stamp.fact(ScalingSet, command.pool, id=command.id, version=version, **dict(command.scaling or Scaling()))


def decide_replicas(state: PartitionState, command: ReplicasCommand, stamp: Stamp) -> Iterator[Fact]:
    """So many replicas run now, or a refusal. A command id that was seen before changes nothing."""
    if command_key(command.pool, command.id) in state.commands:
        return
    pool = state.pools.get(command.pool)
    if pool is None:
        yield _refused(stamp, command, Reason.UNKNOWN_POOL, f"pool: {command.pool!r} is not defined")
    elif pool.sharing is None or pool.sharing.terms is None:
        yield _refused(stamp, command, Reason.NO_TOKEN_POOL, f"pool: of {command.pool!r} nobody has said what a replica does")
    else:
        yield _replicas(state, pool, pool.sharing.terms, command, stamp)


def _replicas(state: PartitionState, pool: PoolState, terms: SharingTerms, command: ReplicasCommand, stamp: Stamp) -> Fact:
    """A version of the pool's capacity in which nothing else is new."""
    fields = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(terms).items()}
    return stamp.fact(
        TokenPoolSet,
        command.pool,
        **{**fields, "replicas": command.replicas},
        id=command.id,
        version=pool.declared.version,
        tick=max(state.tick, 0),
        at=state.now_ms,
    )


def _said(command: PoolCommand) -> ScalingSettings | None:
    said = command.scaling
    if said is None or not said.enabled:
        return None
    return ScalingSettings(*(getattr(said, name) for name in ScalingSettings._fields))


def _refused(stamp: Stamp, command: ReplicasCommand, reason: Reason, detail: str) -> Fact:
    return stamp.fact(
        CommandRefused,
        command.pool,
        command=command.KIND,
        command_id=command.id,
        tenant="",
        reason=reason,
        detail=detail,
    )
