"""What a tenant's base is, now that the SLA loop moves tokens of it.

    declared     what the operator declared and rebalancing moved: `declared_base`
    effective    declared + boost - paid: what a tenant has of a period without auction and market

Both have the same sum, as boosts and loans have. Which of them counts where:

    auction, charge, delivery, rates    effective: a boost is of use only if it is allocated, and who lent tokens must be neither
    by which debts are measured         charged nor owed for them. The sum of all bases still fits the capacity.
    oversubscription: profiles, and     declared, as summed up in `promised`: loans come back, so what is declared is what is
    replicas of a token pool            promised, and the sum of all is the same.
    forward sales                       declared - paid: what is lent can't be sold, and a boost may be gone when its period comes.
                                        What is sold or offered forward is part of the floor: no loan takes it, either.
    lowering a base below what is       declared: a loan that a smaller base leaves no room for comes back at the period's end,
    sold forward (`sold_forward`)       before that base holds (`floor_raised`).
    KV cache, requests in flight        declared: a boost is of tokens; replicas have room for what was promised.
"""

import numpy as np

from processors.allocation.exact import Ints
from processors.entitlement import GUARANTEED
from processors.loops.state import NOT_CONTRACTED, Slots
from processors.market.tokens import promised_forward, promising
from processors.state import PoolState

LENT = ("boost", "paid")
"""Of what the SLA loop remembers: tokens that have moved between bases."""


def effective(pool: PoolState) -> Ints:
    """Each tenant's base with boosts and loans, by slot."""
    tenants = pool.tenants
    if pool.loops is None:
        return tenants["declared_base"]
    base: Ints = tenants["declared_base"] + tenants["sla_boost"] - tenants["sla_paid"]
    return base


def lent(pool: PoolState, slots: Slots) -> dict[str, list[int]]:
    """What some tenants' bases have by loans of others, `boost`, and what others have of theirs, `paid`; as in SlaMeasured."""
    if pool.loops is None:
        return {name: [0] * slots.size for name in LENT}
    return {name: pool.tenants[f"sla_{name}"][slots].tolist() for name in LENT}


def floors(pool: PoolState) -> Ints:
    """What of each tenant's base neither loop takes, by slot: what was contracted, and what is sold or offered forward.

    Where nothing was said, the whole base of dedicated and guaranteed tenants was contracted, as the operator declared it.
    """
    tenants = pool.tenants
    said, reserved = tenants["base_floor"], tenants["declared_tier"] <= GUARANTEED
    floor: Ints = np.where(said != NOT_CONTRACTED, said, np.where(reserved, tenants["contracted_base"], 0))
    for tenant in promising(pool):
        slot = tenants.slots[tenant]
        floor[slot] = max(int(floor[slot]), promised_forward(pool, tenant))
    return floor
