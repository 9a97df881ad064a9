"""What the market decided: order events, trades, settlements, deliveries, transfers. Facts as those of schemas/facts.py.

All facts of one journal record share its offset; together they say everything that recording needs, so that books, accounts and
positions are folded from them without judging again.
"""

from enum import StrEnum
from typing import Annotated, ClassVar

from schemas.bot_facts import BOT_FACTS
from schemas.fact import Fact, fact_table
from schemas.market import PublicKey
from schemas.model import Table
from schemas.trading import OrderType, SelfTrade, Side, TimeInForce
from schemas.units import EventId, Label, Money, Number, Period, PerRow, Store, TenantId, Text, Time, TokenSum, Unit

Signed64 = Annotated[int, Unit("tokens"), Store("Int64", "T64, ZSTD(1)")]
SignedMoney = Annotated[int, Unit("nanocredits"), Store("Int64", "T64, ZSTD(1)")]
"""Of what was refused, and may be any nonsense."""

Party = Annotated[str, Unit("id of the tenant"), Store("String")]
"""Who trades: a tenant, or (empty) the operator."""


class OrderEventKind(StrEnum):
    """What happened to an order."""

    ACCEPTED = "accepted"
    RESTED = "rested"
    FILLED = "filled"
    REDUCED = "reduced"
    REPLACED = "replaced"
    CANCELLED = "cancelled"
    REJECTED = "rejected"


class CommandTaken(Fact):
    """A tenant's command was authentic and new. Its digest and the key's sequence are used up, whatever then came of it."""

    KIND: ClassVar[str] = "command_taken"

    tenant: Annotated[str, Unit("id of the tenant"), Store("String")]
    """As far as it could be read, like the command's id."""
    command: Label
    command_id: Annotated[str, Unit("id, unique within its source"), Store("String")]
    digest: Annotated[str, Unit("BLAKE2b-128 of what was signed and the signature, hex"), Store("String")]
    key: PublicKey | None
    seq: Number | None


class KeySet(Fact):
    """A key with which a tenant signs, as it holds from now on."""

    KIND: ClassVar[str] = "key_set"
    TABLE: ClassVar[Table | None] = fact_table("keys", "one version of a tenant's signing key", "pool", "tenant", "key")

    id: EventId
    tenant: TenantId
    key: PublicKey
    valid_from: Time | None
    valid_until: Time | None
    revoked: bool
    """Whether it was taken back, whatever its times say."""


class OrderEvents(Fact):
    """What happened to orders of one instrument, in this order. An order's status is its last row.

    A row's `price` and `qty`: of the order itself when it is accepted, replaced or rejected; of the trade when it is filled; the
    quantity that was cancelled, or by which it was reduced. `open` is what is left open afterwards.
    """

    KIND: ClassVar[str] = "order_events"
    TABLE: ClassVar[Table | None] = fact_table("orders", "one event of an order's life", "pool", "period", "tenant", "order_id")

    period: Period
    tenant: Annotated[list[Annotated[str, Unit("id of the tenant"), Store("String")]], PerRow()]
    order_id: Annotated[list[Annotated[str, Unit("id of the order"), Store("String")]], PerRow()]
    event: Annotated[list[Annotated[OrderEventKind, Unit("what happened"), Store("LowCardinality(String)")]], PerRow()]
    side: Annotated[list[Annotated[Side, Unit("buy or sell"), Store("LowCardinality(String)")]], PerRow()]
    order_type: Annotated[list[Annotated[OrderType, Unit("limit or market"), Store("LowCardinality(String)")]], PerRow()]
    tif: Annotated[list[Annotated[TimeInForce, Unit("time in force"), Store("LowCardinality(String)")]], PerRow()]
    stp: Annotated[list[Annotated[SelfTrade, Unit("self-trade prevention"), Store("LowCardinality(String)")]], PerRow()]
    post_only: Annotated[list[Annotated[bool, Unit("only as a resting order"), Store("Bool")]], PerRow()]
    expire: Annotated[list[Time | None], PerRow()]
    price: Annotated[list[Annotated[int, Unit("nanocredits per token"), Store("Int64", "T64, ZSTD(1)")]], PerRow()]
    qty: Annotated[list[Signed64], PerRow()]
    open: Annotated[list[Signed64], PerRow()]
    kept_priority: Annotated[list[Annotated[bool, Unit("a replaced order kept its place"), Store("Bool")]], PerRow()]
    reason: Annotated[list[Annotated[str, Unit("why it was rejected or cancelled"), Store("LowCardinality(String)")]], PerRow()]
    field: Annotated[list[Annotated[str, Unit("the offending field"), Store("LowCardinality(String)")]], PerRow()]
    detail: Annotated[list[Text], PerRow()]


class BookPhase(Fact):
    """An instrument began, or its book's clock, phase and reference price changed, or it closed with its period."""

    KIND: ClassVar[str] = "book_phase"
    TABLE: ClassVar[Table | None] = fact_table(
        "instruments",
        "one change of an instrument: it began, its clock or phase changed, or it closed",
        "pool",
        "period",
        "journal_offset",
        "fact_index",
    )
    CLOSED: ClassVar[str] = "closed"

    period: Period
    phase: Label
    """continuous, auction or closed; empty: as it was, only the clock went on."""
    reference: Number | None
    clock: Time | None
    uncross_at: Time | None
    """When the auction with which it began ends by itself."""
    id: Annotated[str, Unit("id of the operator's command, empty where the rules did it"), Store("String")]


class Trades(Fact):
    """Trades of one instrument, in the order of execution. A trade is known by (journal_offset, fact_index, number)."""

    KIND: ClassVar[str] = "trades"
    TABLE: ClassVar[Table | None] = fact_table("trades", "one trade", "pool", "period", "journal_offset", "fact_index", "number")

    period: Period
    time: Time
    """Of the tick before the record that led to it."""
    number: Annotated[list[Number], PerRow()]
    buyer: Annotated[list[Party], PerRow()]
    seller: Annotated[list[Party], PerRow()]
    buy_order: Annotated[list[Annotated[str, Unit("id of the buyer's order"), Store("String")]], PerRow()]
    sell_order: Annotated[list[Annotated[str, Unit("id of the seller's order"), Store("String")]], PerRow()]
    taker: Annotated[list[Annotated[str, Unit("buy, sell, or auction"), Store("LowCardinality(String)")]], PerRow()]
    price: Annotated[list[Annotated[int, Unit("nanocredits per token"), Store("Int64", "T64, ZSTD(1)")]], PerRow()]
    qty: Annotated[list[TokenSum], PerRow()]
    buyer_fee: Annotated[list[Money], PerRow()]
    seller_fee: Annotated[list[Money], PerRow()]


class Settlements(Fact):
    """Trades settled on the ledger: money paid and tokens passed on at once, or (forward) both secured until delivery."""

    KIND: ClassVar[str] = "settlements"
    TABLE: ClassVar[Table | None] = fact_table(
        "settlements", "one settled trade", "pool", "period", "journal_offset", "fact_index", "number"
    )

    period: Period
    time: Time
    kind: Label
    """"delivered" (the present period) or "secured" (a forward one: delivered when it opens)."""
    number: Annotated[list[Number], PerRow()]
    buyer: Annotated[list[Party], PerRow()]
    seller: Annotated[list[Party], PerRow()]
    tokens: Annotated[list[TokenSum], PerRow()]
    paid: Annotated[list[Money], PerRow()]
    """What the buyer paid, its fee included."""
    earned: Annotated[list[Money], PerRow()]
    """What the seller gets, its fee taken off."""
    fees: Annotated[list[Money], PerRow()]


class Deliveries(Fact):
    """What forward trades of a period came to when it opened: a row for each tenant that traded it."""

    KIND: ClassVar[str] = "deliveries"
    TABLE: ClassVar[Table | None] = fact_table(
        "deliveries", "one tenant's forward trades of a period, delivered", "pool", "period", "tenant"
    )

    period: Period
    tenant: Annotated[list[Party], PerRow()]
    bought: Annotated[list[TokenSum], PerRow()]
    sold: Annotated[list[TokenSum], PerRow()]
    received: Annotated[list[TokenSum], PerRow()]
    """Tokens that a net buyer got."""
    given: Annotated[list[TokenSum], PerRow()]
    """Tokens that a net seller gave."""
    shortfall: Annotated[list[TokenSum], PerRow()]
    """Bought and not delivered, as capacity fell: owed to the tenant."""
    earned: Annotated[list[Money], PerRow()]
    """Paid out for what was sold."""
    refunded: Annotated[list[Money], PerRow()]
    """Paid back for what was not delivered."""


class TransferEventKind(StrEnum):
    """What happened to a transfer."""

    DONE = "done"
    OFFERED = "offered"
    ACCEPTED = "accepted"
    CANCELLED = "cancelled"
    REJECTED = "rejected"


class TransferEvents(Fact):
    """A transfer between two tenants was made, offered in exchange, accepted, or its offer ended."""

    KIND: ClassVar[str] = "transfer_events"
    TABLE: ClassVar[Table | None] = fact_table(
        "transfers", "one event of a transfer's life", "pool", "period", "tenant", "transfer_id"
    )

    period: Period
    tenant: Annotated[list[TenantId], PerRow()]
    to: Annotated[list[TenantId], PerRow()]
    transfer_id: Annotated[list[EventId], PerRow()]
    event: Annotated[list[Annotated[TransferEventKind, Unit("what happened"), Store("LowCardinality(String)")]], PerRow()]
    tokens: Annotated[list[Signed64], PerRow()]
    money: Annotated[list[SignedMoney], PerRow()]
    for_tokens: Annotated[list[Signed64], PerRow()]
    for_money: Annotated[list[SignedMoney], PerRow()]
    reason: Annotated[
        list[Annotated[str, Unit("why it was rejected, or an offer ended"), Store("LowCardinality(String)")]], PerRow()
    ]
    field: Annotated[list[Annotated[str, Unit("the offending field"), Store("LowCardinality(String)")]], PerRow()]
    detail: Annotated[list[Text], PerRow()]


MARKET_FACTS: tuple[type[Fact], ...] = (
    CommandTaken,
    KeySet,
    OrderEvents,
    BookPhase,
    Trades,
    Settlements,
    Deliveries,
    TransferEvents,
    *BOT_FACTS,
)
