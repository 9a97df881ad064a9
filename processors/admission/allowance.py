"""What a tenant may still use of its own limits: what a gateway tells with every answer, so that clients pace themselves."""

from typing import NamedTuple

from processors.admission.tenant import NANO, Tenant


class Allowance(NamedTuple):
    """Of one tenant, now. What the pool has left is not in it: that may be less, and changes with everybody's requests.

    Attributes:
        tokens: at most in a burst; None: no limit of its own.
        tokens_left: of them not spent.
        tokens_reset_ms: until all of them are back if nothing more is spent.
        requests: at most in flight; None: no limit of its own.
        requests_left: of them free.
    """

    tokens: int | None
    tokens_left: int | None
    tokens_reset_ms: int
    requests: int | None
    requests_left: int | None


def allowance(owner: Tenant, borrowable: int | None, borrow_rate: int, slots: int) -> Allowance:
    """Of a tenant that is up to date.

    Args:
        owner: the tenant.
        borrowable: nanotokens that it may have borrowed at once; None: no limit.
        borrow_rate: nanotokens per millisecond by which that comes back.
        slots: that it may use now, if that is limited.
    """
    tokens = left = requests = free = None
    if borrowable is not None:
        tokens = (owner.nominal_depth + borrowable) // NANO
        left = (max(0, owner.nominal_depth - owner.nominal_used) + max(0, borrowable - owner.borrowed)) // NANO
    if owner.slots.borrowing is not None:
        requests, free = slots, max(0, slots - owner.slots.used)
    back = (_time(owner.nominal_used, owner.nominal_rate), _time(owner.borrowed, borrow_rate))
    return Allowance(tokens, left, max(back), requests, free)


def _time(spent: int, rate: int) -> int:
    """Milliseconds; 0 where nothing is spent, or nothing ever brings it back."""
    return -(-spent // rate) if rate else 0
