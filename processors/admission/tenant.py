"""What admission knows of a tenant: its tier's rights, the tokens it has spent lately, and the space it holds.

Tokens are counted in nanotokens, as a rate of tokens per second scaled in millionths is a whole number of them per millisecond:
refill is exact however seldom it is computed. Python's integers have no largest value, so no product here can overflow.
"""

from processors.admission.space import Share
from processors.entitlement import TenantLimits
from schemas.published import Tier

NANO = 1_000_000_000
PER_MS = 1_000_000
"""Nanotokens per millisecond in a token per second."""

RESERVED = frozenset({Tier.DEDICATED, Tier.GUARANTEED})
"""Tiers whose nominal quota is a promise."""
RECALLING = frozenset({Tier.DEDICATED, Tier.GUARANTEED, Tier.ELASTIC})
"""Tiers for which preemptible requests are stopped."""


class Tenant:
    """State of one tenant in one pool, some 0.6 kB beside its limits.

    Attributes:
        number: order in which tenants came; breaks ties.
        nominal_rate: of its right, nanotokens per millisecond.
        nominal_depth: the most of it that may be spent at once, nanotokens.
        nominal_used: spent of its right and not yet made good by refill; above the depth by an overrun.
        borrow_rate: of what it may borrow, tokens per second, so nanotokens per millisecond and millionth of scale; None: no limit,
            so nothing is counted.
        borrow_depth: of what it may borrow, before scaling.
        borrowed: spent beyond its right and not yet made good.
        at: when (ms) the two were last brought up to date, and `scaled_at` the pool's scaled time then.
        kept_rate: of what is kept for it, nanotokens per millisecond.
        kept_depth: of what is kept for it.
        kept: what there is of it, at time `kept_at`.
        lends: whether what it leaves of that goes to others. Dedicated capacity is never lent.
        full_at: when what is kept will be all there if nothing is drawn, at the earliest; -1: it is, so that refill flows over.
        kv: blocks of the KV cache.
        slots: requests in flight.
        limited: whether it has a borrowing limit in any dimension.
        metered: whether its tokens are counted against limits of its own.
    """

    __slots__ = (
        "at", "borrow_depth", "borrow_rate", "borrowed", "ended", "excess", "full_at", "given_back", "kept", "kept_at",
        "kept_depth", "kept_rate", "kv", "lends", "limited", "limits", "metered", "name", "nominal_depth", "nominal_rate",
        "nominal_used", "number", "preemptible", "recalls", "refused", "right", "scaled_at", "slots",
    )  # fmt: skip

    def __init__(self, name: str, number: int, limits: TenantLimits, now_ms: int, scaled_ms: int) -> None:
        self.name, self.number, self.limits = name, number, limits
        self.nominal_rate = self.nominal_depth = self.nominal_used = self.borrow_depth = self.borrowed = 0
        self.borrow_rate: int | None = 0
        self.at, self.scaled_at = now_ms, scaled_ms
        self.kept_rate = self.kept_depth = self.kept = 0
        self.kept_at, self.full_at, self.lends = now_ms, -1, True
        self.kv, self.slots = (Share(quota) for quota in limits.quotas[1:])
        self.kv.kept = self.slots.kept = 0  # nothing is kept before the pool has set it aside
        self.refused = self.ended = self.given_back = self.excess = 0
        self.right = self.recalls = self.preemptible = self.limited = self.metered = False

    def refill(self, now_ms: int, scaled_ms: int) -> None:
        """Time makes good what was spent: the right at its rate, what was borrowed at its own, scaled as in each tick."""
        if self.nominal_used:
            left = self.nominal_used - self.nominal_rate * (now_ms - self.at)
            self.nominal_used = left if left > 0 else 0  # noqa: FURB136  a call costs more than the rest of the line
        if self.borrowed:
            left = self.borrowed - (self.borrow_rate or 0) * (scaled_ms - self.scaled_at)
            self.borrowed = left if left > 0 else 0  # noqa: FURB136  a call costs more than the rest of the line
        self.at, self.scaled_at = now_ms, scaled_ms

    def spend(self, nominal: int, borrowed: int) -> None:
        """So many nanotokens of its right and beyond it."""
        self.nominal_used += nominal
        if self.borrow_rate is not None:
            self.borrowed += borrowed

    def unspend(self, nominal: int, borrowed: int) -> None:
        """Give back; what refill has made good in the meantime can't be made good twice."""
        self.nominal_used = max(0, self.nominal_used - nominal)
        self.borrowed = max(0, self.borrowed - borrowed)

    def overrun(self, amount: int) -> None:
        """Charge what was used without being reserved: of its right, then borrowed, then of its right in advance.

        A tenant without a rate of its own has nothing to repay it from: only the pool pays then, as for what `grant` forgives.
        """
        if not self.nominal_rate:
            self.borrowed += amount if self.borrow_rate else 0
            return
        beyond = max(0, amount - max(0, self.nominal_depth - self.nominal_used))
        room = 0 if self.borrow_rate is None else max(0, self.borrow_depth - self.borrowed)
        borrowed = min(beyond, room)
        self.spend(amount - borrowed, borrowed)

    def grant(self, limits: TenantLimits, burst_ms: int, *, spent: bool = False) -> None:
        """Limits of a new tick for its right and what it may borrow (`refill` first; what is kept for it is the pool's to set).

        Spending that a lower limit no longer allows is forgiven, an overrun is not. `spent`: what grows counts as spent.
        """
        self.limits = limits
        self.right, self.recalls = limits.tier in RESERVED, limits.tier in RECALLING
        self.preemptible = limits.tier is Tier.PREEMPTIBLE
        (nominal, borrowing, _), kv, slots = limits.quotas
        self.limited = not (borrowing is None and kv.borrowing is None and slots.borrowing is None)
        depths = self.nominal_depth, self.borrow_depth
        overrun, over_borrowed = max(0, self.nominal_used - self.nominal_depth), max(0, self.borrowed - self.borrow_depth)
        self.nominal_rate, self.nominal_depth = nominal * PER_MS, nominal * PER_MS * burst_ms
        self.borrow_rate = borrowing
        self.metered = nominal > 0 or borrowing is not None
        self.borrow_depth = (borrowing or 0) * PER_MS * burst_ms
        if spent:
            self.nominal_used += max(0, self.nominal_depth - depths[0])
            self.borrowed += max(0, self.borrow_depth - depths[1])
        self.nominal_used = min(self.nominal_used, self.nominal_depth + overrun)
        self.borrowed = min(self.borrowed, self.borrow_depth + over_borrowed)
        if not nominal:  # no refill would ever make it good
            self.nominal_used, self.borrowed = 0, self.borrowed + self.nominal_used
        if not borrowing:
            self.borrowed = 0
