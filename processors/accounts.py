"""Who holds accounts on the ledger. An account is (asset, owner); an owner's name says what it is."""

from collections.abc import Iterable

OPERATOR = "operator"
"""Is paid for base, surplus and fees; offers unsold surplus."""

BANK = "bank"
"""The world outside: deposits come from it. Stands below zero by what was paid in."""

POOL = "pool"
"""Issues the tokens of a delivery period. Stands below zero by what was issued."""

_TENANT = "tenant/"
_BILLED = "billed/"
_ESCROW = "escrow/"

_OUTSIDE = frozenset({BANK, POOL})


def tenant_account(tenant: str) -> str:
    """Money that a tenant paid in and earned, or its tokens of a period. Never overdrawn."""
    return _TENANT + tenant


def billed_account(tenant: str) -> str:
    """What the auction bills a tenant, to be paid later; its budget limits it (processors/budgets.py). Stands below zero."""
    return _BILLED + tenant


def escrow_account(period: int) -> str:
    """Money paid for tokens of `period` until they are delivered."""
    return f"{_ESCROW}{period}"


def tenant_of(owner: str) -> str | None:
    """The tenant whose own account this is; None where it is nobody's."""
    return owner.removeprefix(_TENANT) if owner.startswith(_TENANT) else None


def billed_tenants_of(owners: Iterable[str]) -> list[str]:
    """The tenants that are billed; the inverse of `billed_account`."""
    return [owner.removeprefix(_BILLED) for owner in owners]


def may_be_overdrawn(owner: str) -> bool:
    """Whether the account stands for something outside of the market, and may be below zero."""
    return owner.startswith(_BILLED) or owner in _OUTSIDE


def all_may_be_overdrawn(owners: Iterable[str]) -> bool:
    """Whether all of many may; a third of a call for each where all are billed, as a period's are."""
    return all(owner in _OUTSIDE for owner in owners if not owner.startswith(_BILLED))
