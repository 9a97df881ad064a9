"""What tenants publish to `orders`, and what operators publish to `profiles` for the market (spec/interface.md, "Topics").

A signed command carries `key` (the public key), `seq` and `signature`. What is signed is the command's canonical form
(streams/signatures.py): any client can build it, in any language and encoding.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from schemas.bots import MAX_CONDITIONS, BotSettings, Condition
from schemas.model import Event
from schemas.trading import (
    INT64_MAX,
    OrderPrice,
    OrderType,
    OrderTypeName,
    Quantity,
    SelfTrade,
    SelfTradeName,
    SideName,
    TimeInForceName,
)
from schemas.units import Count, EventId, Label, Period, PoolId, Store, TenantId, Time, Unit

Sequence = Annotated[Count, Unit("grows with each command signed with the same key"), Store("Int64")]
# The last character of base64 holds bits that mean nothing: they must be zero, so that a key or signature has one text only.
PublicKey = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$", strict=True),
    Unit("Ed25519 public key, base64"),
    Store("String"),
]
Signature = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9+/]{85}[AQgw]==$", strict=True),
    Unit("Ed25519 signature of the canonical form, base64"),
    Store("String"),
]


MAX_MOMENT = 10_413_791_999_999
"""2299-12-31, the last day that a DateTime64 of ClickHouse shows."""

Moment = Annotated[Time, Field(ge=0, le=MAX_MOMENT)]
"""A time that a command names; unlike an event's own, nothing else limits it."""


class TenantCommand(Event):
    """What every command of a tenant says. Unsigned where `key`, `seq` and `signature` are null."""

    id: EventId
    pool: PoolId
    tenant: TenantId
    key: PublicKey | None = None
    seq: Sequence | None = None
    signature: Signature | None = None


class OrderCommand(TenantCommand):
    """A tenant offers to buy or sell tokens of a delivery period. `id` is the order's, unique among its tenant's of the period."""

    KIND: ClassVar[str] = "order"

    type: Annotated[Literal["order"], Unit("order"), Store("LowCardinality(String)")] = "order"
    period: Period
    side: SideName
    qty: Quantity
    price: OrderPrice | None = None
    """Null for a market order."""
    order_type: OrderTypeName = OrderType.LIMIT
    tif: TimeInForceName | None = None
    """Null: GTC for a limit order, IOC for a market order."""
    post_only: bool = False
    """Refused instead of traded at once."""
    stp: SelfTradeName = SelfTrade.CANCEL_TAKER
    expire: Moment | None = None
    """With GTD: from this moment on the order's open part is cancelled."""


class CancelCommand(TenantCommand):
    """A tenant takes an order, or an offered transfer, back."""

    KIND: ClassVar[str] = "cancel"

    type: Annotated[Literal["cancel"], Unit("cancel"), Store("LowCardinality(String)")] = "cancel"
    period: Period
    order: EventId


class ReduceCommand(TenantCommand):
    """A tenant lowers an order's open part, which keeps its priority."""

    KIND: ClassVar[str] = "reduce"

    type: Annotated[Literal["reduce"], Unit("reduce"), Store("LowCardinality(String)")] = "reduce"
    period: Period
    order: EventId
    by: Quantity


class ReplaceCommand(TenantCommand):
    """A tenant changes an order's price and total quantity, the filled part included."""

    KIND: ClassVar[str] = "replace"

    type: Annotated[Literal["replace"], Unit("replace"), Store("LowCardinality(String)")] = "replace"
    period: Period
    order: EventId
    price: OrderPrice
    qty: Quantity


class TransferCommand(TenantCommand):
    """A tenant gives tokens of a period, or money, to another: at once, or (with `for_tokens` or `for_money`) only in exchange.

    An exchange is an offer: what is given is held until the other tenant accepts (AcceptCommand), its giver cancels, or the period
    closes. Both legs are posted or neither.
    """

    KIND: ClassVar[str] = "transfer"

    type: Annotated[Literal["transfer"], Unit("transfer"), Store("LowCardinality(String)")] = "transfer"
    to: TenantId
    period: Period
    """Whose tokens are given or asked for; an offer stands until it closes."""
    tokens: Quantity = 0
    """What is given: tokens of `period`, or money; exactly one of them."""
    money: OrderPrice = 0
    for_tokens: Quantity = 0
    """What must come back in the same instant; both zero: a gift."""
    for_money: OrderPrice = 0


class AcceptCommand(TenantCommand):
    """A tenant accepts the exchange that another has offered to it: both legs are posted, or neither."""

    KIND: ClassVar[str] = "accept"

    type: Annotated[Literal["accept"], Unit("accept"), Store("LowCardinality(String)")] = "accept"
    period: Period
    offered_by: TenantId
    offer: EventId


class BotCommand(BotSettings, TenantCommand):
    """A tenant sets a trading bot: new, or in place of the one of this name, which takes its orders back first."""

    KIND: ClassVar[str] = "bot"

    type: Annotated[Literal["bot"], Unit("bot"), Store("LowCardinality(String)")] = "bot"
    conditions: Annotated[list[Condition], Field(max_length=MAX_CONDITIONS)] = Field(default_factory=list)
    """It acts only where all of them hold; where one does not, it takes its orders back."""


class DepositCommand(Event):
    """An operator books money that a tenant has paid in (or, negative, that was paid out to it). Identified by `id`."""

    KIND: ClassVar[str] = "deposit"

    type: Annotated[Literal["deposit"], Unit("deposit"), Store("LowCardinality(String)")] = "deposit"
    id: EventId
    pool: PoolId
    tenant: TenantId
    amount: Annotated[int, Field(ge=-INT64_MAX, le=INT64_MAX, strict=True), Unit("nanocredits"), Store("Int64")]


class KeyCommand(Event):
    """An operator registers, limits or revokes a key with which a tenant signs. Holds at once. Identified by `id`."""

    KIND: ClassVar[str] = "key"

    type: Annotated[Literal["key"], Unit("key"), Store("LowCardinality(String)")] = "key"
    id: EventId
    pool: PoolId
    tenant: TenantId
    key: PublicKey
    valid_from: Moment | None = None
    valid_until: Moment | None = None
    """Not valid from this moment on."""
    revoked: bool = False
    """Taken back: not valid any more, whatever its times say."""


class CallCommand(Event):
    """An operator calls an instrument to auction (orders rest without matching), or ends the call with the uncross."""

    KIND: ClassVar[str] = "call"

    type: Annotated[Literal["call"], Unit("call"), Store("LowCardinality(String)")] = "call"
    id: EventId
    pool: PoolId
    period: Period
    action: Annotated[Literal["to_auction", "uncross"], Unit("what is called"), Store("LowCardinality(String)")]


class TurnedAway(Event):
    """Journal: intake could not take a tenant's command (unreadable, or its signature is wrong); the engine states the rejection.

    Every field is as far as it could be read; the bytes are in `dead-letters` where the command was unreadable.
    """

    KIND: ClassVar[str] = "turned_away"

    pool: Annotated[str, Unit("id of the pool, empty where it could not be read"), Store("LowCardinality(String)")]
    tenant: Annotated[str, Unit("id of the tenant, empty where it could not be read"), Store("String")]
    command: Label
    id: Annotated[str, Unit("id of the command, empty where it could not be read"), Store("String")]
    period: Period | None = None
    source_topic: Label
    source_partition: Annotated[Count, Unit("partition number"), Store("Int64")]
    source_offset: Annotated[Count, Unit("offset in the topic's partition"), Store("Int64")]
    """Topic, partition and offset identify the record: appended twice after a crash, it is stated once."""
    reason: Label
    field: Label
    detail: Annotated[str, Unit("field and value"), Store("String")]


TENANT_COMMANDS: tuple[type[TenantCommand], ...] = (
    OrderCommand,
    CancelCommand,
    ReduceCommand,
    ReplaceCommand,
    TransferCommand,
    AcceptCommand,
    BotCommand,
)
OperatorCommand = DepositCommand | KeyCommand | CallCommand
OPERATOR_COMMANDS: tuple[type[OperatorCommand], ...] = (DepositCommand, KeyCommand, CallCommand)
