"""When refill lets a refused request in."""

from processors.admission.tenant import Tenant
from processors.admission.throughput import Throughput

_NEVER = 1 << 80
"""Milliseconds beyond all that quotas can lead to."""


def own_throughput(owner: Tenant, need: int, limit: int, scaled_rate: int) -> int | None:
    """When its right and what it may borrow (`limit`), refilled at `scaled_rate`, hold `need`, or its right alone does."""
    used = owner.nominal_used
    alone = _time(used + need - owner.nominal_depth, owner.nominal_rate) if need <= owner.nominal_depth else _NEVER
    goal = limit + owner.nominal_depth - need
    both = _both(used, owner.nominal_rate, owner.borrowed, scaled_rate, goal)
    return _told(min(alone, both))


def pool_throughput(pool: Throughput, owner: Tenant, need: int) -> int | None:
    """When what is kept for the tenant and what is idle hold `need` (which both can), if nobody draws any of it until then."""
    if not owner.kept_depth and pool.rate:
        return max(1, -((pool.level - need) // pool.rate))
    missing_kept, missing_idle = owner.kept_depth - pool.kept(owner), pool.depth - pool.level
    kept_rate = owner.kept_rate if missing_kept else 0
    goal = owner.kept_depth + pool.depth - need
    if kept_rate + pool.rate:
        # A share that is lent flows over into what is idle when it is full: only the sum counts then.
        apart = 0 if owner.lends else _time(missing_idle - goal, pool.rate)
        together = _time(missing_kept + missing_idle - goal, kept_rate + pool.rate)
        return _told(max(together, apart, _time(missing_kept - goal, kept_rate)))
    flow = pool.next_flow()
    if flow is None:
        return None
    at, rate = flow
    return _told(at - pool.at + _time(missing_kept + missing_idle - goal, rate))


def _both(first: int, first_rate: int, second: int, second_rate: int, goal: int) -> int:
    """When the sum of two that drain to 0 is at most `goal`: exactly when the sum without the floor at 0, and each alone, are."""
    if goal < 0:
        return _NEVER
    together = _time(first + second - goal, first_rate + second_rate)
    return max(together, _time(first - goal, first_rate), _time(second - goal, second_rate))


def _time(amount: int, rate: int) -> int:
    if amount <= 0:
        return 0
    return -(-amount // rate) if rate else _NEVER


def _told(wait: int) -> int | None:
    return None if wait >= _NEVER else max(1, wait)
