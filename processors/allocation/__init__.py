"""Division of one pool's capacity for one period: a guarantee for all, and a policy for what lies above it.

A policy is one file with `share_surplus(inp, supply)` and one line in `POLICIES`.
Figures of this code on one core: see tests/benchmarks/bench_allocation.py.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from processors.allocation import max_min, proportional, seed, uniform_price
from processors.allocation.exact import exact_sum
from processors.allocation.guarantee import give_bases
from processors.allocation.model import (
    UNLIMITED,
    AuctionInput,
    ChargeOverflowError,
    InputError,
    Outcome,
    SurplusShares,
    charge_ceiling,
)

__all__ = [
    "POLICIES",
    "UNLIMITED",
    "AuctionInput",
    "ChargeOverflowError",
    "InputError",
    "Outcome",
    "Policy",
    "SurplusShares",
    "allocate",
    "charge_ceiling",
]

Policy = Callable[[AuctionInput, int], SurplusShares]

POLICIES: Mapping[str, Policy] = MappingProxyType(
    {
        "seed": seed.share_surplus,
        "uniform_price": uniform_price.share_surplus,
        "max_min": max_min.share_surplus,
        "proportional": proportional.share_surplus,
    }
)


def allocate(policy: str, inp: AuctionInput) -> Outcome:
    """Divides a pool's capacity for one period.

    Args:
        policy: a name in `POLICIES`.
        inp: capacity, prices, and one row per tenant in the byte order of their ids.

    Returns:
        Tokens of base and surplus, shortfall and charge per tenant, the price, and what nobody got.

    Raises:
        InputError: there is no such policy.
        RuntimeError: a policy gave away more than there is: a fault in the policy.
    """
    if policy not in POLICIES:
        raise InputError("policy", f"unknown policy {policy!r}, known are {', '.join(POLICIES)}")
    guarantee = give_bases(inp)
    why = POLICIES[policy](inp, guarantee.surplus)
    unallocated = guarantee.surplus - exact_sum(why.surplus)
    if unallocated < 0 or why.surplus.min(initial=0) < 0:
        raise RuntimeError(f"policy {policy} divided a surplus of {guarantee.surplus} so that {unallocated} are left")
    return Outcome(why.price, inp.base_price, guarantee.base, why.surplus, guarantee.shortfall, unallocated, why)
