"""One bot at work at one tick: what it does becomes facts at once, and rows that tell of it at the tick's end."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from processors.accounts import tenant_account
from processors.bots.state import NEVER, Bot, order_id
from processors.bots.view import View
from processors.bots.wants import Kept
from processors.market.instruments import begin
from processors.market.keys import Refusal
from processors.market.orders import attempt
from processors.market.outcome import Outcome
from processors.market.state import book_id, parted
from processors.market.tokens import outcome_of
from processors.orderbook import Cancel, New, Order, Reduce, decide
from processors.stamping import Stamp
from processors.state import PartitionState, PoolState
from schemas.bots import BotAction, BotReason
from schemas.fact import Fact
from schemas.market_facts import OrderEventKind
from schemas.trading import CancelReason, SelfTrade, Side, TimeInForce


class ActionRow(NamedTuple):
    """One row of BotActed, in the order of its columns."""

    tenant: str
    bot: str
    action: BotAction
    period: int | None
    order_id: str
    side: str
    price: int
    qty: int
    reason: str
    field: str
    detail: str


@dataclass(slots=True)
class Desk:
    """What a bot works with.

    Attributes:
        rows: what it did and told at this tick.
        kept: the first thing that kept it from acting, and the period; None where nothing did.
        vain: orders that it tried and that came to nothing: that may be otherwise at the next tick.
    """

    state: PartitionState
    pool: PoolState
    bot: Bot
    stamp: Stamp
    rows: list[ActionRow] = field(default_factory=list)
    kept: tuple[Kept, int | None] | None = None
    vain: int = 0

    @property
    def waits(self) -> bool:
        """Whether it may not place an order yet."""
        return self.bot.placed_ms != NEVER and self.state.now_ms < self.bot.placed_ms + 1000 * self.bot.settings.wait_s

    def keep(self, kept: Kept, period: int | None = None) -> None:
        """Something keeps it from acting in a period, or at all."""
        if self.kept is None:
            self.kept = kept, period

    def place(self, view: View, side: Side, price: int, qty: int) -> Iterator[Fact]:
        """An order, if it would be accepted and trade or rest: refusing it again at each tick would tell nobody anything."""
        bot = self.bot
        if bot.settings.tif is TimeInForce.IOC and not _is_met(view, side, price):
            self.keep(Kept(BotReason.NOTHING_OFFERED, "tif", f"at {price} of period {view.period}"), view.period)
            return
        number = sum(row.action is BotAction.PLACED for row in self.rows)
        name = order_id(bot, self.state.tick, number)
        op = New(
            book_id(bot.tenant, name),
            tenant_account(bot.tenant),
            side,
            price,
            qty,
            tif=bot.settings.tif,
            stp=SelfTrade.CANCEL_TAKER,
        )
        outcome = attempt(self.state, self.pool, view.period, op)
        if isinstance(outcome, Refusal):
            self.vain += 1
            self.keep(Kept(outcome.reason, outcome.field, outcome.detail), view.period)
            return
        idle = _comes_to_nothing(outcome)
        if idle is not None:
            self.vain += 1
            self.keep(Kept(idle, "", f"{qty} tokens to {side} at {price} of period {view.period}"), view.period)
            return
        self._note(BotAction.PLACED, view.period, name, (side, price, qty))
        yield from begin(self.state, self.pool, view.period, self.stamp)
        yield from outcome.facts(self.stamp, self.pool.name, self.pool.present, self.state.now_ms)

    def take_back(self, view: View, orders: Sequence[tuple[Order, int]]) -> Iterator[Fact]:
        """Of each order this much of what is open: all of it, or a part."""
        instrument = view.instrument
        if instrument is None or not orders:
            return
        outcome = outcome_of(self.pool, instrument)
        for order, qty in orders:
            whole = qty >= order.open
            outcome.take(decide(instrument.book, Cancel(order.id, order.acct) if whole else Reduce(order.id, order.acct, qty)))
            action = BotAction.CANCELLED if whole else BotAction.REDUCED
            self._note(action, view.period, parted(order.id)[1], (order.side, order.price, min(qty, order.open)))
        yield from outcome.facts(self.stamp, self.pool.name, self.pool.present, self.state.now_ms)

    def close(self) -> None:
        """The bot has done what it does at this tick: what keeps it from more is told where it is news."""
        kept, period = self.kept or (Kept(BotReason.CONTENT), None)
        if (kept.reason, kept.field) != (self.bot.reason, self.bot.about):
            self.tell(kept, period)

    def tell(self, kept: Kept, period: int | None) -> None:
        """What keeps it from more."""
        self._note(BotAction.RESTS, period, "", ("", 0, 0), kept)

    def _note(
        self,
        action: BotAction,
        period: int | None,
        name: str,
        order: tuple[str, int, int],
        kept: Kept = Kept(BotReason.CONTENT),  # noqa: B008  immutable
    ) -> None:
        bot = self.bot
        self.rows.append(ActionRow(bot.tenant, bot.settings.name, action, period, name, *order, *kept))


def _is_met(view: View, side: Side, price: int) -> bool:
    """Whether anybody's order rests at this price or a better one."""
    instrument = view.instrument
    return instrument is not None and instrument.book.opposite(side).crosses(price)


def _comes_to_nothing(outcome: Outcome) -> BotReason | None:
    """Why a new order would neither trade nor rest; None where it would."""
    ends = [row for rows in outcome.orders for row in rows]
    if outcome.trades or any(row.event is OrderEventKind.RESTED for row in ends):
        return None
    own = any(row.reason == CancelReason.SELF_TRADE for row in ends)
    return BotReason.SELF_TRADE if own else BotReason.NOTHING_OFFERED
