"""What admission answers: admitted, refused, settled, or asked wrongly. All of them values; nothing here is raised."""

from enum import StrEnum
from typing import NamedTuple

from processors.entitlement import Dimension


class Whose(StrEnum):
    """Whose limit refused a request."""

    OWN = "own"
    """The tenant's: its nominal quota and what it may borrow above it while the pool is as full as it is."""
    POOL = "pool"
    """The pool's: what is idle in it, beyond what is kept for others."""


class Mistake(StrEnum):
    """Why a call was not even judged. Nothing has changed, not even the time."""

    TIME_BACKWARDS = "time_backwards"
    UNKNOWN_TENANT = "unknown_tenant"
    REQUEST_IN_USE = "request_in_use"
    """A request of this id is in flight."""
    UNKNOWN_REQUEST = "unknown_request"
    """No request of this id is in flight: it was never admitted, or is settled already."""
    INVALID_COST = "invalid_cost"
    """Tokens that are no integers, negative, or (to be reserved) none at all."""
    INVALID_CAPACITY = "invalid_capacity"
    INVALID_QUOTA = "invalid_quota"
    KEPT_ABOVE_CAPACITY = "kept_above_capacity"
    PROMISED_ABOVE_CAPACITY = "promised_above_capacity"
    """The nominal quotas of the dedicated and guaranteed tiers exceed the capacity."""


class Admitted(NamedTuple):
    """The request may run: its tokens, blocks and slot are reserved.

    Attributes:
        stop: preemptible requests to be stopped for it, newest first. They hold what they have until they are settled.
    """

    stop: tuple[str, ...] = ()


class Refused(NamedTuple):
    """The request may not run now: `use` + `need` would exceed `limit`.

    Attributes:
        dimension: the first, in the order of `Dimension`, in which it doesn't fit.
        whose: limit it is.
        limit: of the dimension: tokens within the burst, blocks, or requests.
        use: what is used of it, and, of the pool's, kept for others.
        need: of the request.
        retry_after_ms: when this dimension lets it in if nothing else happens. For throughput: from refill, and sure. For space: an
            estimate from what is in flight. None: no request has ended yet from which to tell, or nothing that is known will help.
        never: no waiting helps while the limits are as they are.
    """

    dimension: Dimension
    whose: Whose
    limit: int
    use: int
    need: int
    retry_after_ms: int | None
    never: bool


class Settled(NamedTuple):
    """The request has ended and paid what it really used.

    Attributes:
        tenant: whose it was.
        given_back: tokens that were reserved and not used.
        excess: tokens used beyond the reservation: charged, and repaid from later refill.
    """

    tenant: str
    given_back: int
    excess: int


class Rejected(NamedTuple):
    """The call was wrong, and nothing has changed."""

    mistake: Mistake
    detail: str


class Used(NamedTuple):
    """What a tenant uses at the moment: tokens of its burst that refill has not yet made good, blocks, requests in flight."""

    throughput: int
    kv: int
    concurrency: int


class Counts(NamedTuple):
    """Tokens of a tenant since it was first given limits.

    Attributes:
        refused: of all that was refused, again and again if it was asked for so.
        ended: reserved by the requests that have ended. What they used is `ended` − `given_back` + `excess`.
        given_back: of those, reserved and not used.
        excess: of those, used beyond the reservation.
    """

    refused: int
    ended: int
    given_back: int
    excess: int
