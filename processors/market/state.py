"""State of one pool's market. Only processors/market/recording.py changes it.

Memory: an instrument 2 KB and what its book holds (processors/orderbook/book.py), a position 130 bytes, a key 250.
"""

from dataclasses import dataclass, field

from processors.bots.state import Bots
from processors.ledger import Ledger
from processors.orderbook import Book, Config
from processors.terms import MarketTerms
from schemas.trading import Phase

OPERATOR_TENANT = ""
"""The tenant of the operator's own orders: no tenant has an empty id."""


@dataclass(slots=True)
class Key:
    """One of a tenant's signing keys; times in milliseconds, None: without bound."""

    valid_from: int | None
    valid_until: int | None
    revoked: bool
    seq: int = -1
    """The highest sequence that was used with it."""


@dataclass(slots=True)
class Position:
    """What an owner's forward trades of one period come to: tokens bought and sold, nanocredits paid and earned, fees included."""

    bought: int = 0
    sold: int = 0
    paid: int = 0
    earned: int = 0

    @property
    def net(self) -> int:
        """Tokens to be received (or, negative, given) at delivery."""
        return self.bought - self.sold


@dataclass(slots=True)
class Instrument:
    """One delivery period's tokens on the market. Its grid and fees stay those with which it began.

    Attributes:
        uncross_at: when its call auction ends by itself, ms; None: when the operator says so, or there is none.
        positions: by tenant (OPERATOR_TENANT: fees and offers of the operator), till delivery.
        last_price: of the last trade; None before the first.
        volume: tokens traded.
        inventories: what bots' orders bought of it less what they sold, by (tenant, name of the bot).
    """

    period: int
    terms: MarketTerms
    book: Book
    uncross_at: int | None = None
    positions: dict[str, Position] = field(default_factory=dict)
    last_price: int | None = None
    volume: int = 0
    inventories: dict[tuple[str, str], int] = field(default_factory=dict)

    def position(self, tenant: str) -> Position:
        """The tenant's position, begun at zero."""
        return self.positions.setdefault(tenant, Position())


@dataclass(frozen=True, slots=True)
class Offer:
    """A transfer that waits for its exchange. What is given is held under `hold_id`."""

    tenant: str
    to: str
    id: str
    period: int
    tokens: int
    money: int
    for_tokens: int
    for_money: int


@dataclass(slots=True)
class Market:
    """Accounts, instruments by period, keys, open offers and bots by tenant and then by their ids."""

    ledger: Ledger = field(default_factory=Ledger)
    instruments: dict[int, Instrument] = field(default_factory=dict)
    keys: dict[str, dict[str, Key]] = field(default_factory=dict)
    key_owners: dict[str, str] = field(default_factory=dict)
    offers: dict[str, dict[str, Offer]] = field(default_factory=dict)
    bots: Bots = field(default_factory=Bots)

    def offer(self, tenant: str, transfer_id: str) -> Offer | None:
        """The tenant's open offer of this id."""
        return self.offers.get(tenant, {}).get(transfer_id)

    def offers_of(self, period: int) -> list[Offer]:
        """Open offers of a period, by tenant in byte order and then in the order in which they were made."""
        return [offer for tenant in sorted(self.offers) for offer in self.offers[tenant].values() if offer.period == period]


def new_instrument(period: int, terms: MarketTerms, phase: Phase, clock: int | None, uncross_at: int | None) -> Instrument:
    """An instrument as it begins."""
    book = Book(book_config(terms), phase)
    book.now = clock
    return Instrument(period, terms, book, uncross_at)


def book_config(terms: MarketTerms) -> Config:
    """What the book of an instrument that begins under these terms takes."""
    limits: dict[str, int] = {}
    if terms.max_order_tokens is not None:
        limits["max_qty"] = terms.max_order_tokens
    if terms.price_min:
        limits["pmin"] = terms.price_min
    if terms.price_max is not None:
        limits["pmax"] = terms.price_max
    return Config(tick=terms.price_tick, lot=terms.lot, **limits)


def book_id(tenant: str, order_id: str) -> str:
    """An order's id in its book: tenants choose ids without knowing each other's. No id holds a line feed."""
    return f"{tenant}\n{order_id}"


def parted(in_book: str) -> tuple[str, str]:
    """(tenant, order id); the inverse of `book_id`."""
    tenant, _, order_id = in_book.partition("\n")
    return tenant, order_id


def order_hold(period: int, in_book: str) -> str:
    """The id of an order's hold: ids are chosen anew in each instrument's book, the ledger is one for all of them."""
    return f"{period}\n{in_book}"


def transfer_post(tenant: str, transfer_id: str) -> str:
    """The id by which the ledger makes a transfer once."""
    return f"transfer\n{tenant}\n{transfer_id}"


def deposit_post(deposit_id: str) -> str:
    """The id by which the ledger makes a deposit once."""
    return f"deposit\n{deposit_id}"


def offer_hold(tenant: str, transfer_id: str) -> str:
    """The id of the hold of an offered transfer; no order's, as it begins with a line feed twice."""
    return f"\n\n{tenant}\n{transfer_id}"
