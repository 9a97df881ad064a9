"""Space: what a request holds while it runs and frees when it ends (blocks of the KV cache, slots)."""

from processors.admission.scaling import MILLION, Knots, scale
from processors.entitlement import Quota


class Share:
    """One tenant's part of a space: its quota, and what it uses."""

    __slots__ = ("borrowing", "kept", "nominal", "used")

    def __init__(self, quota: Quota) -> None:
        self.nominal, self.borrowing, self.kept = quota
        self.used = 0

    @property
    def left(self) -> int:
        """What is kept for the tenant and not used by it."""
        return self.kept - self.used if self.kept > self.used else 0


class Space:
    """One space of a pool.

    Attributes:
        capacity: of the pool.
        idle: capacity − Σ max(kept, used) over the tenants: neither used nor kept for anybody. Below 0 while an owner has taken
            back more than others have freed yet.
        coming: what requests that were named to be stopped still hold.
        stoppable: what the other preemptible requests hold.
    """

    __slots__ = ("capacity", "coming", "idle", "stoppable")

    def __init__(self, capacity: int) -> None:
        self.capacity = self.idle = capacity
        self.coming = self.stoppable = 0

    @property
    def fill(self) -> int:
        """How much of the capacity is used or kept, in millionths."""
        taken = self.capacity - self.idle
        return MILLION if taken >= self.capacity else taken * MILLION // self.capacity

    def limit(self, share: Share, knots: Knots) -> int:
        """How much a tenant may use now, whose borrowing is limited."""
        return share.nominal + (share.borrowing or 0) * scale(knots, self.fill) // MILLION

    def free(self, share: Share, amount: int) -> None:
        """A request of the tenant ends: what is beyond what is kept for the tenant is idle again."""
        used, kept = share.used, share.kept
        share.used = left = used - amount
        if used > kept:
            self.idle += amount if left >= kept else used - kept

    def requota(self, share: Share, quota: Quota) -> None:
        """The tenant's quota changes: what is kept for it, and so what is idle."""
        self.idle += max(share.kept, share.used) - max(quota.kept, share.used)
        share.nominal, share.borrowing, share.kept = quota

    def resize(self, capacity: int) -> None:
        """The pool's capacity changes; a cut may leave it overdrawn until requests end."""
        self.idle += capacity - self.capacity
        self.capacity = capacity
