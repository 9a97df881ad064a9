"""What a pool's scaling means to those who run its replicas, and which facts change it."""

from processors.scaling.demand import promised_amounts, used_amounts
from processors.sharing.state import DIMENSIONS
from processors.stamping import built
from processors.state import PoolState
from schemas.fact import Fact
from schemas.outputs import Scale
from schemas.scaling_facts import ScalingDecided, ScalingSet
from schemas.sharing_facts import CapacityShared, TokenPoolSet


def scale_of(pool: PoolState, journal_offset: int) -> Scale | None:
    """As it is now; None: the pool is not scaled."""
    scaling, sharing = pool.scaling, pool.sharing
    if scaling is None or scaling.told is None or sharing is None or sharing.terms is None:
        return None
    told, terms = scaling.told, sharing.terms
    amounts = {
        "capacity": terms.capacity,
        "promised": promised_amounts(pool, sharing.promised, terms),
        "used": used_amounts(pool, scaling),
        "needed": told.needed,
    }
    fields = {f"{what}_{name}": amount for what, each in amounts.items() for name, amount in zip(DIMENSIONS, each, strict=True)}
    return built(
        Scale,
        {
            **fields,
            "pool": pool.name,
            "at": scaling.told_ms,
            "replicas": terms.replicas,
            "wanted": scaling.memory.wanted,
            "reason": told.reason,
            "promised_replicas": told.promised,
            "journal_offset": journal_offset,
        },
    )


def scale_touched(fact: Fact) -> bool:
    """Whether a fact may change what is told of a pool's scaling, or whether it is scaled at all."""
    return isinstance(fact, ScalingDecided | ScalingSet | TokenPoolSet | CapacityShared)
