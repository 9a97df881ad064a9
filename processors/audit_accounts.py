"""What an auditor knows of accounts: which there are, which may be overdrawn, and between which a posting goes.

Said here a second time, on purpose: what processors/accounts.py allowed by mistake would otherwise pass.
"""

from processors.audit_lines import PostingLine
from schemas.ledgering import MONEY

Account = tuple[int, str]
"""(asset, owner)."""

_TRADERS = frozenset({"tenant", "operator"})
_PLACES: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    "allocation": (frozenset({"billed"}), frozenset({"operator"})),
    "deposit": (frozenset({"bank"}), frozenset({"tenant"})),
    "withdrawal": (frozenset({"tenant"}), frozenset({"bank"})),
    "trade": (_TRADERS, _TRADERS | {"escrow"}),
    "fee": (_TRADERS, frozenset({"operator"})),
    "transfer": (_TRADERS, _TRADERS),
    "grant": (frozenset({"pool"}), _TRADERS),
    "return": (_TRADERS, frozenset({"pool"})),
    "delivery": (frozenset({"escrow"}), _TRADERS),
    "refund": (frozenset({"escrow"}), _TRADERS),
}
"""Between which kinds of accounts a posting of a code goes."""

_TOKEN_CODES = frozenset({"trade", "transfer", "grant", "return"})
_MONEY_CODES = frozenset(_PLACES) - {"grant", "return"}

_OVERDRAWN = frozenset({"bank", "pool", "billed"})
"""Kinds of accounts that may stand below zero."""


def is_placed(line: PostingLine) -> bool:
    """Whether a posting of this code goes between such accounts."""
    givers, takers = _PLACES.get(line.code, (frozenset(), frozenset()))
    known = line.code in (_MONEY_CODES if line.asset == MONEY else _TOKEN_CODES)
    return known and line.debit != line.credit and _kind(line.debit) in givers and _kind(line.credit) in takers


def may_be_below_zero(owner: str) -> bool:
    """Whether the account stands for something outside of the market."""
    return _kind(owner) in _OVERDRAWN


def period_of(account: Account) -> int | None:
    """The period with which the account ends; None if it goes on."""
    asset, owner = account
    if asset != MONEY:
        return asset
    number = owner.removeprefix("escrow/")
    return int(number) if number != owner and number.isdecimal() and len(number) < 20 else None


def _kind(owner: str) -> str:
    """What an account is; "" if it is nothing that the market knows."""
    head, slash, name = owner.partition("/")
    if slash:
        return head if name and head in {"tenant", "billed", "escrow"} else ""
    return owner if owner in {"bank", "pool", "operator"} else ""
