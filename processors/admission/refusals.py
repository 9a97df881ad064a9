"""What a request is told that may not run: the limit it met, how much of that is used, and when to try again.

`never` says that no waiting helps: the request is larger than the limit is at its best. A wait of None: nobody can tell.
"""

from processors.admission import retry
from processors.admission.recent import Recent
from processors.admission.scaling import MILLION, Knots
from processors.admission.space import Share, Space
from processors.admission.tenant import NANO, Tenant
from processors.admission.throughput import Throughput
from processors.admission.values import Refused, Whose
from processors.entitlement import Dimension

THROUGHPUT, *_ = Dimension
OWN, POOL = Whose
"""Names of this module: to look a member up in its enumeration costs a refusal more."""


def by_own_throughput(owner: Tenant, tokens: int, borrowable: int, scale: int, knots: Knots) -> Refused:
    """More than the tenant's right and what it may have borrowed now (nanotokens) at this scale of its borrowing limit."""
    need = tokens * NANO
    never = need > owner.nominal_depth + _at_best(owner.borrow_depth, knots)
    wait = None if never else retry.own_throughput(owner, need, borrowable, (owner.borrow_rate or 0) * scale)
    used = -(-(owner.nominal_used + owner.borrowed) // NANO)
    return Refused(THROUGHPUT, OWN, (owner.nominal_depth + borrowable) // NANO, used, tokens, wait, never)


def by_own_space(dimension: Dimension, share: Share, need: int, limit: int, *, knots: Knots, recent: Recent) -> Refused:
    """More blocks or slots than the tenant may use now."""
    never = need > share.nominal + _at_best(share.borrowing or 0, knots)
    wait = None if never else recent.until_free(share.used + need - limit, share.used)
    return Refused(dimension, OWN, limit, share.used, need, wait, never)


def by_pool_throughput(pool: Throughput, owner: Tenant, tokens: int) -> Refused:
    """More tokens than are idle or kept for the tenant."""
    need, left, most = tokens * NANO, pool.open_to(owner), owner.kept_depth + pool.depth
    never = need > most
    wait = None if never else retry.pool_throughput(pool, owner, need)
    return Refused(THROUGHPUT, POOL, most // NANO, -((left - most) // NANO), tokens, wait, never)


def by_pool_space(dimension: Dimension, space: Space, share: Share, need: int, wait: int | None) -> Refused:
    """More blocks or slots than are idle or kept for the tenant; `wait` until what is missing is free."""
    never = need > space.capacity
    used = space.capacity - space.idle - share.left
    return Refused(dimension, POOL, space.capacity, used, need, None if never else wait, never)


def _at_best(borrowing: int, knots: Knots) -> int:
    """What may be borrowed while the pool is empty."""
    return borrowing * knots[0][1] // MILLION
