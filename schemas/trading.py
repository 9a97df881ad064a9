"""The words of the market: what orders may say, and why one is refused or ends (spec/orderbook.md)."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from schemas.units import Count, Store, Unit

INT64_MAX = 2**63 - 1

Quantity = Annotated[int, Field(ge=-INT64_MAX - 1, le=INT64_MAX, strict=True), Unit("tokens"), Store("Int64", "T64, ZSTD(1)")]
"""Tokens of an order. Any int64 passes the door, so that the book can say what is wrong with it (`invalid_qty`)."""

OrderPrice = Annotated[
    int, Field(ge=-INT64_MAX - 1, le=INT64_MAX, strict=True), Unit("nanocredits per token"), Store("Int64", "T64, ZSTD(1)")
]
"""Price of an order, judged by the book."""

Amount = Annotated[Count, Unit("nanocredits"), Store("Int64")]


class Side(StrEnum):
    """Which way tokens go, seen from who submits the order."""

    BUY = "buy"
    SELL = "sell"


class OrderType(StrEnum):
    """A limit order names a price; a market order takes any."""

    LIMIT = "limit"
    MARKET = "market"


class TimeInForce(StrEnum):
    """How long an order stands: till its period closes, not at all, all or nothing at once, or until `expire`."""

    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"
    GTD = "GTD"


class SelfTrade(StrEnum):
    """What happens when an order meets one of the same account; the taker's mode rules."""

    NONE = "none"
    CANCEL_TAKER = "cancel_taker"
    CANCEL_MAKER = "cancel_maker"
    CANCEL_BOTH = "cancel_both"
    DECREMENT = "decrement"


class Phase(StrEnum):
    """Whether orders match as they come, or rest until an uncross."""

    CONTINUOUS = "continuous"
    AUCTION = "auction"


class Reject(StrEnum):
    """Why a tenant's command was refused. The first eleven are the order book's own (spec/orderbook.md)."""

    DUPLICATE_ID = "duplicate_id"
    INVALID_QTY = "invalid_qty"
    INVALID_PRICE = "invalid_price"
    INVALID_TIF = "invalid_tif"
    ALREADY_EXPIRED = "already_expired"
    POST_ONLY_WOULD_CROSS = "post_only_would_cross"
    FOK_NOT_FILLABLE = "fok_not_fillable"
    UNKNOWN_ORDER = "unknown_order"
    NOT_OWNER = "not_owner"
    NOT_IN_AUCTION = "not_in_auction"
    CLOSED = "closed"

    MALFORMED = "malformed"
    UNKNOWN_POOL = "unknown_pool"
    UNKNOWN_TENANT = "unknown_tenant"
    UNKNOWN_INSTRUMENT = "unknown_instrument"
    PERIOD_CLOSED = "period_closed"
    SIGNATURE_MISSING = "signature_missing"
    SIGNATURE_WRONG = "signature_wrong"
    KEY_UNKNOWN = "key_unknown"
    KEY_NOT_VALID = "key_not_valid"
    KEY_REVOKED = "key_revoked"
    SEQUENCE_REUSED = "sequence_reused"
    INSUFFICIENT_MONEY = "insufficient_money"
    INSUFFICIENT_TOKENS = "insufficient_tokens"
    EXCEEDS_MONEY = "exceeds_money"
    TOO_MANY_ORDERS = "too_many_orders"
    SELF_TRANSFER = "self_transfer"
    UNKNOWN_OFFER = "unknown_offer"
    INVALID_SETTINGS = "invalid_settings"


class CancelReason(StrEnum):
    """Why an order's open quantity was cancelled. The first five are the order book's own."""

    USER = "user"
    UNFILLED = "unfilled"
    SELF_TRADE = "self_trade"
    EXPIRED = "expired"
    PERIOD_CLOSED = "period_closed"

    TOKENS_USED = "tokens_used"
    """Its tenant used, meanwhile, the tokens that it offered."""


SideName = Annotated[Side, Unit("buy or sell"), Store("LowCardinality(String)")]
OrderTypeName = Annotated[OrderType, Unit("limit or market"), Store("LowCardinality(String)")]
TimeInForceName = Annotated[TimeInForce, Unit("time in force"), Store("LowCardinality(String)")]
SelfTradeName = Annotated[SelfTrade, Unit("self-trade prevention"), Store("LowCardinality(String)")]
