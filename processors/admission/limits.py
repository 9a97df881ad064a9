"""Whether the limits of a tick can hold: what admission relies on, checked before anything changes."""

from collections.abc import Mapping

from processors.admission.tenant import RESERVED, Tenant
from processors.admission.values import Mistake, Rejected
from processors.entitlement import Capacity, Dimension, Quota, TenantLimits
from schemas.published import Tier

_NOTHING = Quota(0, 0, 0)
NO_LIMITS = TenantLimits(Tier.SPOT, (_NOTHING, _NOTHING, _NOTHING))
"""Of a tenant that has none any more, while its requests end."""


class Totals:
    """Sums over a pool's tenants, per dimension, kept up as limits change: a tick that changes little costs little.

    Attributes:
        kept: Σ kept.
        promised: Σ nominal of the reserved tiers.
        unlent: Σ kept of the dedicated tier, of throughput alone.
    """

    __slots__ = ("kept", "promised", "unlent")

    def __init__(self, kept: list[int] | None = None, promised: list[int] | None = None, unlent: int = 0) -> None:
        self.kept, self.promised, self.unlent = kept or [0, 0, 0], promised or [0, 0, 0], unlent

    def copy(self) -> "Totals":
        """Sums to try changes on."""
        return Totals(self.kept[:], self.promised[:], self.unlent)

    def add(self, limits: TenantLimits, sign: int) -> None:
        """Count a tenant's limits in (1) or out (-1)."""
        kept = self.kept
        throughput, kv, concurrency = limits.quotas
        kept[0] += sign * throughput.kept
        kept[1] += sign * kv.kept
        kept[2] += sign * concurrency.kept
        if limits.tier in RESERVED:
            promised = self.promised
            promised[0] += sign * throughput.nominal
            promised[1] += sign * kv.nominal
            promised[2] += sign * concurrency.nominal
            if limits.tier is Tier.DEDICATED:
                self.unlent += sign * throughput.kept


def changes(tenants: Mapping[str, Tenant], limits: Mapping[str, TenantLimits]) -> tuple[dict[str, TenantLimits], list[str]]:
    """The limits that are not in force yet, and the tenants that have none any more."""
    changed: dict[str, TenantLimits] = {}
    found = 0
    for name, wanted in limits.items():
        tenant = tenants.get(name)
        found += tenant is not None
        if tenant is None or tenant.limits != wanted:
            changed[name] = wanted
    return changed, sorted(tenants.keys() - limits.keys()) if found < len(tenants) else []


def refused_capacity(capacity: Capacity) -> Rejected | None:
    """Capacities are integers that are not negative."""
    for dimension, amount in zip(Dimension, capacity, strict=True):
        if type(amount) is not int or amount < 0:
            return Rejected(Mistake.INVALID_CAPACITY, f"{dimension.name.lower()} {amount!r}")
    return None


def refused_quota(name: str, limits: TenantLimits) -> Rejected | None:
    """Quotas are integers that are not negative; numbers of other libraries would overflow."""
    for dimension, (nominal, borrowing, kept) in enumerate(limits.quotas):
        above = 0 if borrowing is None else borrowing
        whole = type(nominal) is int and type(above) is int and type(kept) is int
        if not whole or nominal < 0 or above < 0 or kept < 0:
            told = f"nominal {nominal!r}, borrowing {borrowing!r}, kept {kept!r}"
            return Rejected(Mistake.INVALID_QUOTA, f"{name}: {Dimension(dimension).name.lower()} {told}")
    return None


def refused_totals(totals: Totals, capacity: Capacity) -> Rejected | None:
    """What is kept, and what is promised, must exist."""
    for dimension, amount in zip(Dimension, capacity, strict=True):
        for mistake, total in (
            (Mistake.KEPT_ABOVE_CAPACITY, totals.kept[dimension]),
            (Mistake.PROMISED_ABOVE_CAPACITY, totals.promised[dimension]),
        ):
            if total > amount:
                return Rejected(mistake, f"{dimension.name.lower()}: {total} of {amount}")
    return None
