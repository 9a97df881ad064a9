"""What a tenant may still use: what a gateway tells with every answer, so that clients pace themselves."""

from typing import NamedTuple

from processors.admission.space import Space
from processors.admission.tenant import NANO, Tenant
from processors.admission.throughput import Throughput


class Allowance(NamedTuple):
    """Of one tenant, now: of its own limits, and where it has none, of what the pool has open to it.

    Where its own limits are told the pool may have less left, which changes with everybody's requests.

    Attributes:
        tokens: at most in a burst.
        tokens_left: of them not spent.
        tokens_reset_ms: until all of them are back if nothing more is spent.
        requests: at most in flight.
        requests_left: of them free.
    """

    tokens: int
    tokens_left: int
    tokens_reset_ms: int
    requests: int
    requests_left: int


NOTHING = Allowance(0, 0, 0, 0, 0)
"""Of a tenant that has no limits in the pool: it may use nothing."""


def allowance(
    owner: Tenant, borrowable: int | None, borrow_rate: int, slots: int, *, pool_tokens: Throughput, pool_slots: Space
) -> Allowance:
    """Of a tenant that is up to date.

    Args:
        owner: the tenant.
        borrowable: nanotokens that it may have borrowed at once; None: no limit.
        borrow_rate: nanotokens per millisecond by which that comes back.
        slots: that it may use now, if that is limited.
        pool_tokens: of the pool.
        pool_slots: of the pool.
    """
    if borrowable is None:
        most, left = owner.kept_depth + pool_tokens.depth, max(0, pool_tokens.open_to(owner))
        fills = owner.kept_rate if pool_tokens.kept(owner) < owner.kept_depth else 0  # else it flows over already
        reset = _time(most - left, pool_tokens.rate + fills)
    else:
        most = owner.nominal_depth + borrowable
        left = max(0, owner.nominal_depth - owner.nominal_used) + max(0, borrowable - owner.borrowed)
        reset = max(_time(owner.nominal_used, owner.nominal_rate), _time(owner.borrowed, borrow_rate))
    if owner.slots.borrowing is None:
        requests, free = pool_slots.capacity, max(0, pool_slots.idle) + owner.slots.left
    else:
        requests, free = slots, max(0, slots - owner.slots.used)
    return Allowance(most // NANO, left // NANO, reset, requests, free)


def _time(spent: int, rate: int) -> int:
    """Milliseconds; 0 where nothing is spent, or nothing ever brings it back."""
    return -(-spent // rate) if rate else 0
