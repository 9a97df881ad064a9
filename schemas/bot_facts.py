"""What the engine decided about trading bots (schemas/bots.py). Their orders and trades are the market's facts, as everybody's."""

from typing import Annotated, ClassVar

from schemas.bots import BotAction, BotName, BotSettings, ComparisonName, SubjectName, Threshold
from schemas.fact import Fact, fact_table
from schemas.model import Table
from schemas.units import Period, PerRow, Store, TenantId, Text, Time, Unit

Word = Annotated[str, Unit("one of a few words"), Store("LowCardinality(String)")]


class BotSet(BotSettings, Fact):
    """A tenant's bot as it is set from now on. Item i of each `condition_…` is of its i-th condition."""

    KIND: ClassVar[str] = "bot_set"
    TABLE: ClassVar[Table | None] = fact_table("bots", "one version of a bot's settings", "pool", "tenant", "name")

    tenant: TenantId
    time: Time
    """Of the tick before the command."""
    present: Period | None
    """The period that was open."""
    condition_on: list[SubjectName]
    condition_op: list[ComparisonName]
    condition_value: list[Threshold]
    condition_upper: list[Threshold | None]


class BotActed(Fact):
    """What bots did at a tick, and why one does nothing where that is news: a row each, in the order in which they acted.

    Without rows: only where the next tick begins (`next_tenant`, `next_bot`).
    """

    KIND: ClassVar[str] = "bot_acted"
    TABLE: ClassVar[Table | None] = fact_table(
        "bot_actions", "one action of a bot, or why it acts no more", "pool", "tenant", "bot"
    )

    time: Time
    """Of the tick."""
    present: Period | None
    """The open period; null: settings were refused before one was open."""
    next_tenant: Annotated[str, Unit("id of the tenant"), Store("String")]
    """Whose bot is evaluated first at the next tick, where this one had work enough; else empty."""
    next_bot: Annotated[str, Unit("name of the bot"), Store("String")]
    tenant: Annotated[list[TenantId], PerRow()]
    bot: Annotated[list[BotName], PerRow()]
    action: Annotated[list[Annotated[BotAction, Unit("what it did"), Store("LowCardinality(String)")]], PerRow()]
    period: Annotated[list[Period | None], PerRow()]
    """Of the order; of the first of its periods in which it is kept from acting."""
    order_id: Annotated[list[Annotated[str, Unit("id of the order"), Store("String")]], PerRow()]
    side: Annotated[list[Word], PerRow()]
    price: Annotated[list[Annotated[int, Unit("nanocredits per token"), Store("Int64", "T64, ZSTD(1)")]], PerRow()]
    qty: Annotated[list[Annotated[int, Unit("tokens"), Store("Int64", "T64, ZSTD(1)")]], PerRow()]
    """Placed, or taken back."""
    reason: Annotated[list[Word], PerRow()]
    field: Annotated[list[Word], PerRow()]
    detail: Annotated[list[Text], PerRow()]


BOT_FACTS: tuple[type[Fact], ...] = (BotSet, BotActed)
