"""What a trading bot is told: its strategy, when it acts, and its limits (ATP-8c). A tenant publishes it as a signed command.

The settings are evaluated in the log at each tick (processors/bots): who has the journal knows what every bot does, and why.
"""

import re
from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from schemas.model import Event
from schemas.trading import INT64_MAX, Amount, OrderPrice, Quantity, SideName, TimeInForce, TimeInForceName
from schemas.units import Decimal6, Name, Seconds, Store, Unit

MAX_BOT_NAME_BYTES = 64
"""The ids of a bot's orders hold its name, a tick and a number: with it they stay below the 128 bytes of an id."""

DAY_S = 86_400
MAX_CONDITIONS = 16


class Strategy(StrEnum):
    """What a bot does with the tokens of the periods that it looks after."""

    SELL_IDLE = "sell_idle"
    """Offers what the forecast says will not be used."""
    BUY_AHEAD = "buy_ahead"
    """Bids for what the forecast says will be missing."""
    MARKET_MAKER = "market_maker"
    """Keeps a bid and an offer, a spread apart, around a reference price."""
    SCHEDULE = "schedule"
    """Places an order at times of the day, or every so many periods."""


class Reference(StrEnum):
    """The price around which a market maker quotes. Where there is none of the kind yet, `reference_price`."""

    LAST = "last"
    """Of the last trade."""
    MID = "mid"
    """In the middle of the best bid and the best offer of everybody else."""
    GIVEN = "given"
    """`reference_price`."""


class Subject(StrEnum):
    """What a condition is about. All but the last three are of the period that the bot looks after."""

    FORECAST = "forecast"
    """Tokens that the tenant is expected to use."""
    ALLOCATED = "allocated"
    """Tokens that the tenant has: its base (of the present period what it was given, surplus too), bought and sold counted."""
    POSITION = "position"
    """Tokens that the tenant bought less those that it sold."""
    PRICE = "price"
    """Nanocredits per token, of the last trade; while nothing was traded, no condition on it holds."""
    USED = "used"
    """Tokens used of the present period."""
    UTILISATION = "utilisation"
    """Percent: what is used of what is allocated, of the present period."""
    TIME_OF_DAY = "time_of_day"
    """Seconds since midnight UTC, or text such as "08:30"."""


class Comparison(StrEnum):
    """How a condition compares."""

    ABOVE = "above"
    """More than `value`."""
    BELOW = "below"
    """Less than `value`."""
    BETWEEN = "between"
    """From `value` to `upper`, both included; a time of day may go past midnight."""


class BotAction(StrEnum):
    """What a bot did."""

    PLACED = "placed"
    REDUCED = "reduced"
    CANCELLED = "cancelled"
    RESTS = "rests"
    """Nothing more, for a reason that is new; without a reason: its orders are as it wants them."""
    REJECTED = "rejected"
    """Its settings were refused: the bot is as it was."""


class BotReason(StrEnum):
    """Why a bot does nothing. Where an order would be refused, the reason is the order's (schemas/trading.py, Reject)."""

    CONTENT = ""
    """Its orders are as it wants them."""
    NEW = "new"
    """It has not been evaluated yet."""
    NOT_TRADED = "not_traded"
    """None of its periods is traded yet."""
    CONDITION = "condition"
    """A condition does not hold; the field says which."""
    NOTHING_IDLE = "nothing_idle"
    """The forecast leaves nothing to sell."""
    NOTHING_MISSING = "nothing_missing"
    """The forecast is within what the tenant has."""
    NO_REFERENCE = "no_reference"
    """There is no price yet to quote around."""
    BUDGET = "budget"
    """The budget does not allow it."""
    POSITION = "position"
    """`max_position` or `min_position` does not allow it."""
    TOO_SMALL = "too_small"
    """What it would order is less than `min_qty` or the pool's lot."""
    NOTHING_OFFERED = "nothing_offered"
    """Its order would trade nothing at once and may not rest."""
    SELF_TRADE = "self_trade"
    """Its order would meet one of its own tenant first."""
    OUT_OF_BAND = "out_of_band"
    """Its price is outside of what the pool lets trade."""


_TIME_OF_DAY = re.compile(r"([01]\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?", re.ASCII)
_TIME_OF_DAY_JSON = {"type": "string", "pattern": r"^([01]\d|2[0-3]):[0-5]\d(:[0-5]\d)?$"}
_INTEGER_OR_TIME = {"anyOf": [{"type": "integer"}, _TIME_OF_DAY_JSON]}


def _seconds_of_day(value: Any) -> Any:
    """A text such as "08:30" or "08:30:15" -> seconds since midnight; all else as it is."""
    if not isinstance(value, str):
        return value
    found = _TIME_OF_DAY.fullmatch(value)
    if found is None:
        raise ValueError("is neither an integer nor a time of day such as 08:30")
    hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return (hours * 60 + minutes) * 60 + seconds


def _is_bot_name(value: str) -> str:
    if len(value.encode()) > MAX_BOT_NAME_BYTES:
        raise ValueError(f"is longer than {MAX_BOT_NAME_BYTES} bytes")
    if "/" in value:
        raise ValueError("holds a slash, which parts it from the rest in the ids of its orders")
    return value


BotName = Annotated[Name, AfterValidator(_is_bot_name), Unit("name of the bot, unique among its tenant's"), Store("String")]
StrategyName = Annotated[Strategy, Unit("strategy"), Store("LowCardinality(String)")]
ReferenceName = Annotated[Reference, Unit("price to quote around"), Store("LowCardinality(String)")]
SubjectName = Annotated[Subject, Unit("what the condition is about"), Store("LowCardinality(String)")]
ComparisonName = Annotated[Comparison, Unit("how it compares"), Store("LowCardinality(String)")]
Ahead = Annotated[int, Field(ge=0, le=10_080, strict=True), Unit("periods after the present one"), Store("Int64")]
Steps = Annotated[int, Field(ge=0, le=1_000_000_000, strict=True), Unit("steps of the price grid"), Store("Int64")]
Wait = Annotated[int, Field(ge=0, le=366 * DAY_S, strict=True), Unit("seconds"), Store("Int64")]
SecondOfDay = Annotated[
    int,
    BeforeValidator(_seconds_of_day),
    Field(ge=0, lt=DAY_S, strict=True),
    WithJsonSchema(_INTEGER_OR_TIME, mode="validation"),
    Unit("seconds since midnight UTC"),
    Store("Int64"),
]
Threshold = Annotated[
    int,
    BeforeValidator(_seconds_of_day),
    Field(ge=-INT64_MAX - 1, le=INT64_MAX, strict=True),
    WithJsonSchema(_INTEGER_OR_TIME, mode="validation"),
    Unit("tokens, nanocredits per token, percent, or seconds since midnight UTC"),
    Store("Int64"),
]
EveryPeriods = Annotated[int, Field(ge=1, le=1_000_000, strict=True), Unit("periods"), Store("Int64")]


class Condition(Event):
    """A bot acts only where all of its conditions hold."""

    KIND: ClassVar[str] = "condition"

    on: SubjectName
    op: ComparisonName
    value: Threshold
    upper: Threshold | None = None
    """The end of `between`."""


class BotSettings(Event):
    """What a bot is told, but for its conditions. `processors/bots/settings.py` says which field each strategy needs and takes."""

    name: BotName
    enabled: bool = True
    """False: the bot takes its orders back and does nothing."""
    strategy: StrategyName
    first_ahead: Ahead = 0
    """The first period that it looks after: 0 is the present one, 1 the next."""
    last_ahead: Ahead = 0
    """The last one."""
    wait_s: Wait = 0
    """The least time from one order to the next. To take an order back, a bot never waits."""
    min_price: OrderPrice | None = None
    """It never sells below."""
    max_price: OrderPrice | None = None
    """It never buys above."""
    min_position: Quantity | None = None
    """Of each period, what its orders bought less what they sold never falls below; -100: it sells up to 100 tokens."""
    max_position: Quantity | None = None
    """Of each period, what its orders bought less what they sold never exceeds it."""
    budget: Amount | None = None
    """What its buys may cost, fees included."""
    budget_window_s: Seconds | None = None
    """The budget is for each window of this length, from multiples of it since 1970; null: in total."""
    min_qty: Quantity = 1
    """Less than this is not worth an order."""
    tif: TimeInForceName = TimeInForce.GTC
    """GTC: its orders rest; IOC: they take only what is there."""
    margin: Decimal6 = 0
    """A part of the forecast that is kept, or bought, besides: 0.2 means that 120 % of it is needed."""
    keep: Quantity = 0
    """Tokens that are kept, or bought, besides."""
    reference: ReferenceName | None = None
    reference_price: OrderPrice | None = None
    spread_ticks: Steps | None = None
    """From its bid to its offer."""
    tolerance_ticks: Steps = 0
    """A quote stands as long as it is no further from where it should be."""
    qty: Quantity | None = None
    """Of each quote, or each scheduled order."""
    side: SideName | None = None
    """Of scheduled orders."""
    at: Annotated[list[SecondOfDay], Field(max_length=48)] = Field(default_factory=list)
    """When scheduled orders are placed, each day."""
    every_periods: EveryPeriods | None = None
    """Scheduled orders are placed when a period opens whose number is a multiple of it."""


SETTINGS: tuple[str, ...] = tuple(BotSettings.model_fields)
