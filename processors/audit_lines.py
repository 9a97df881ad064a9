"""What an audit reads and what it finds (processors/auditor.py).

Postings and order events as they were published, line by line, and findings with the numbers that do not fit.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, TypeAlias

from schemas.ledgering import MONEY

KEPT_FINDINGS = 1_000
"""Most findings that a report lists; it counts all. One fault at the beginning of a journal may be found again in every line."""

LARGEST = 2**63 - 1

At = tuple[int, int, int]
"""(journal offset, fact index, row of the fact): where a line was published."""


class PostingLine(NamedTuple):
    """One row of a posting, as it was published; words are plain strings."""

    entry: str
    code: str
    asset: int
    hold: str
    debit: str
    credit: str
    amount: int
    at: At | None = None


class OrderLine(NamedTuple):
    """One event of an order's life, as it was published.

    Attributes:
        event: accepted, rested, filled, reduced, replaced, cancelled or rejected.
        hold: id of the hold that the order binds.
        owner: account of who gave the order.
        period: whose tokens are traded.
        side: buy or sell.
        price: the order's, when it is accepted or replaced, in nanocredits per token; 0 for a market order.
        qty: tokens: of the order; filled, cancelled, or by which it was reduced.
        open: tokens that are left open afterwards.
        fee_bp: the highest fee that the order may pay, in basis points, when it is accepted or replaced.
    """

    event: str
    hold: str
    owner: str
    period: int
    side: str
    price: int
    qty: int
    open: int
    fee_bp: int = 0
    at: At | None = None


class OfferLine(NamedTuple):
    """What the offer of an exchange binds from now on: `amount` of `asset` on the account `owner`, 0 when it is over."""

    hold: str
    owner: str
    asset: int
    amount: int
    at: At | None = None


class Checkpoint(NamedTuple):
    """A moment at which everything fits together, and optionally all balances and holds that somebody says stand then.

    Attributes:
        closed: the period that closed now: neither it nor an earlier one may leave anything behind.
        balances: (asset, owner, balance) of all accounts that are not at zero.
        holds: (id, asset, owner, amount) of all holds.
    """

    closed: int | None = None
    balances: Iterable[tuple[int, str, int]] | None = None
    holds: Iterable[tuple[str, int, str, int]] | None = None
    at: At | None = None


Line: TypeAlias = PostingLine | OrderLine | OfferLine | Checkpoint


class Opening(NamedTuple):
    """What stood when the first line was written, where an audit does not begin with the first line of all.

    Attributes:
        balances: (asset, owner, balance) of all accounts that are not at zero.
        issued: (period, tokens) granted and not given back.
        holds: (id, asset, owner, amount) of all holds.
        orders: the open ones, as if accepted with what is open of them.
        offers: the open ones.
    """

    balances: Iterable[tuple[int, str, int]]
    issued: Iterable[tuple[int, int]]
    holds: Iterable[tuple[str, int, str, int]]
    orders: Iterable[OrderLine]
    offers: Iterable[OfferLine]


class Fault(StrEnum):
    """What does not hold. Each says what `subject`, `expected` and `found` of its findings are."""

    MALFORMED = "malformed"
    """The line can't be read as what it says it is; subject: the line's field. It counts as far as it can be read."""
    OUT_OF_ORDER = "out_of_order"
    """The line stands behind one that was published later (expected: its row, found: this one's). It counts."""
    REPEATED = "repeated"
    """The line stands where the line before it does. It counts once."""
    LINE_MISSING = "line_missing"
    """A fact's rows begin after 0, or leave one out: rows expected and found."""
    ID_REPEATED = "id_repeated"
    """A post's id was there before; subject: the id."""
    MISPLACED = "misplaced"
    """A posting of this code does not go between such accounts, or is not of this asset; subject: code, debit and credit."""
    BELOW_ZERO = "below_zero"
    """An account is overdrawn, holds included; found: what is available."""
    HOLD_UNKNOWN = "hold_unknown"
    """A capture or void of what is not held; found: its amount."""
    HOLD_ELSEWHERE = "hold_elsewhere"
    """A hold is on another account than the row says; subject: the id."""
    HOLD_EXCEEDED = "hold_exceeded"
    """More is captured or voided than is held: what is held, what is taken."""
    HOLD_WITHOUT_ORDER = "hold_without_order"
    """Held, but no open order or offer binds it; found: what is held."""
    ORDER_WITHOUT_HOLD = "order_without_hold"
    """Bound by an open order or offer, but not held; expected: what should be."""
    HOLD_DIFFERS = "hold_differs"
    """What the open order or offer binds, and what is held (the same, if it is on another account)."""
    ORDER_UNKNOWN = "order_unknown"
    """Something happens to an order that is not open; found: the quantity."""
    ORDER_MISNAMED = "order_misnamed"
    """An event names another owner, side or period than its order was accepted with: that period, and the event's."""
    ORDER_DIFFERS = "order_differs"
    """What must be open after the event, and what the event says."""
    UNBALANCED = "unbalanced"
    """An asset's debits (expected) and credits (found)."""
    TOKENS_NOT_CONSERVED = "tokens_not_conserved"
    """What was granted less what was given back, and what owners hold."""
    LEFT_BEHIND = "left_behind"
    """An account of a closed period's tokens, or its escrow, is not at zero; found: its balance."""
    BALANCE_DIFFERS = "balance_differs"
    """What the postings make of an account, and what was declared."""
    DECLARED_HOLD_DIFFERS = "declared_hold_differs"
    """What the postings make of a hold, and what was declared (the same, if it is on another account)."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that does not hold. `line` counts the lines from 1; `asset` is -1 for money, None where no asset is concerned."""

    fault: Fault
    line: int
    at: At | None
    subject: str
    asset: int | None = None
    expected: int | None = None
    found: int | None = None

    def __str__(self) -> str:
        where = f"line {self.line}" if self.at is None else "offset {}, fact {}, row {}".format(*self.at)
        asset = "" if self.asset is None else ", money" if self.asset == MONEY else f", tokens of {self.asset}"
        expected = "" if self.expected is None else f", expected {self.expected:,}"
        found = "" if self.found is None else f", found {self.found:,}"
        return f"{self.fault}: {self.subject}{asset}{expected}{found} ({where})"


@dataclass(slots=True)
class Report:
    """What an audit found, the first KEPT_FINDINGS of it, and how much it looked at."""

    findings: list[Finding] = field(default_factory=list)
    counts: Counter[Fault] = field(default_factory=Counter)
    postings: int = 0
    order_events: int = 0
    checkpoints: int = 0

    @property
    def clean(self) -> bool:
        """Whether everything holds."""
        return not self.counts


_TEXTS: dict[type, dict[str, frozenset[str]]] = {  # and the words that each may be; none: any text
    PostingLine: {
        "entry": frozenset({"post", "hold", "capture", "void"}),
        "code": frozenset(),
        "hold": frozenset(),
        "debit": frozenset(),
        "credit": frozenset(),
    },
    OrderLine: {
        "event": frozenset({"accepted", "rested", "filled", "reduced", "replaced", "cancelled"}),
        "hold": frozenset(),
        "owner": frozenset(),
        "side": frozenset({"buy", "sell"}),
    },
    OfferLine: {"hold": frozenset(), "owner": frozenset()},
}
_NUMBERS: dict[type, dict[str, int]] = {  # and the least that each may be
    PostingLine: {"asset": MONEY, "amount": 1},
    OrderLine: {"period": 0, "price": 0, "qty": 0, "open": 0, "fee_bp": 0},
    OfferLine: {"asset": MONEY, "amount": 0},
}


def unreadable(line: PostingLine | OrderLine | OfferLine) -> str:
    """The first field, and its value, that makes no sense by itself; "" if all do."""
    for name, words in _TEXTS[type(line)].items():
        text = getattr(line, name)
        if not isinstance(text, str) or (words and text not in words):
            return shown(name, text)
    for name, least in _NUMBERS[type(line)].items():
        number = getattr(line, name)
        if type(number) is not int or not least <= number <= LARGEST:
            return shown(name, number)
    if isinstance(line, PostingLine) and line.entry != "post" and not line.hold:
        return shown("hold", line.hold)
    return ""


def shaped(row: object, types: tuple[type, ...]) -> bool:
    """Whether a row is a tuple (a list, where it was JSON) of these types."""
    if not isinstance(row, tuple | list) or len(row) != len(types):
        return False
    return all(type(value) is kind for value, kind in zip(row, types, strict=True))


def shown(name: str, value: object) -> str:
    """A field and its value, as much of it as tells what it is."""
    return f"{name}: {value!r:.100}"
