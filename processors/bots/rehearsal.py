"""A dry run: what a bot would have done, by folding a recorded journal twice, as it is and with the bot's settings in it.

Both states are folded from the same records, from the moment at which the bot is set. Everything that was recorded stands as it
is: what people and outside programs ordered, what was used, paid in and changed. They would perhaps have acted otherwise in a
market with the bot in it; nobody knows. Other bots of the log do act on what they would have seen. Commands that set a bot of this
very name are left out of the imagined run.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from processors.accounts import billed_account, tenant_account
from processors.bots.desk import ActionRow
from processors.bots.setting import decide_bot, refuse_bot
from processors.bots.state import Bot
from processors.bots.view import View
from processors.engine import facts_of
from processors.market.keys import Refusal
from processors.recording import evolve
from processors.snapshot import (
    dump_commands,
    dump_partition,
    dump_pool,
    load_commands,
    load_partition,
    load_pool,
)
from processors.stamping import Stamp
from processors.state import PartitionState, PoolState
from schemas.bot_facts import BotActed
from schemas.fact import Fact
from schemas.facts import AllocationsClosed, PeriodClosed
from schemas.journal import ClockTick
from schemas.ledgering import MONEY
from schemas.market import BotCommand
from schemas.market_facts import Deliveries, OrderEventKind, OrderEvents, Trades
from schemas.model import Event

FOREVER = 2**63 - 1


class Did(NamedTuple):
    """Something that the bot did or told; `time` in milliseconds."""

    time: int
    row: ActionRow


class Traded(NamedTuple):
    """A trade of one of the bot's orders. Price in nanocredits per token, `money` in nanocredits: paid with fees, or earned."""

    time: int
    period: int
    side: str
    order: str
    price: int
    qty: int
    money: int


@dataclass(slots=True)
class Account:
    """What a range came to for the tenant, in one of the two runs. Tokens, and nanocredits.

    Attributes:
        money: what its account stands at in the end, less what it stood at.
        bought: tokens that it bought, of any period.
        sold: tokens that it sold.
        paid: for what it bought, fees included, whether delivered yet or not.
        earned: for what it sold, fees taken off, likewise.
        refunded: paid back, as tokens were not delivered.
        billed: by the auction.
        allocated: of the periods that closed.
        used: of them.
        idle: of them: allocated and not used.
        over: of them: used beyond what was allocated.
        refused: orders of its own that were rejected.
        pool_trades: trades of everybody.
        pool_tokens: tokens that they traded.
    """

    money: int = 0
    bought: int = 0
    sold: int = 0
    paid: int = 0
    earned: int = 0
    refunded: int = 0
    billed: int = 0
    allocated: int = 0
    used: int = 0
    idle: int = 0
    over: int = 0
    refused: int = 0
    pool_trades: int = 0
    pool_tokens: int = 0


@dataclass(slots=True)
class Standing:
    """An order of the bot that is open in the end."""

    period: int
    side: str
    price: int
    open: int


class Refused(Exception):  # noqa: N818  it carries a refusal out of a fold; who runs it tells it
    """The settings are refused where the range begins."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(f"{refusal.field}: {refusal.detail}")
        self.refusal = refusal


@dataclass(slots=True)
class Rehearsal:
    """One dry run of one journal partition: the pool's. Give it the records in their order.

    Attributes:
        command: the bot as it would be set.
        from_ms: it is set at the first tick from then on at which its tenant has a profile; milliseconds.
        to_ms: the first tick from then on ends the run; milliseconds.
        begun_ms: when it was set; None: not yet.
        ended_ms: the last tick that counts.
        over: no further record counts.
        did: what it did and told.
        trades: of its orders.
        periods: closed in the range.
        actual: what really happened to its tenant.
        imagined: what would have.
    """

    command: BotCommand
    from_ms: int = 0
    to_ms: int = FOREVER
    begun_ms: int | None = None
    ended_ms: int = 0
    over: bool = False
    did: list[Did] = field(default_factory=list)
    trades: list[Traded] = field(default_factory=list)
    periods: int = 0
    actual: Account = field(default_factory=Account)
    imagined: Account = field(default_factory=Account)
    _real: PartitionState = field(default_factory=PartitionState)
    _other: PartitionState = field(default_factory=PartitionState)

    def take(self, record: Event, offset: int) -> None:
        """The next journal record.

        Raises:
            Refused: the settings are refused at the moment at which they would be set.
            BrokenJournalError: as the engine does.
        """
        if self.over:
            return
        if isinstance(record, ClockTick) and record.tick * record.tick_ms >= self.to_ms:
            self.over = True
            return
        if self.begun_ms is None:
            for _ in facts_of(self._real, record, offset):
                pass
            if isinstance(record, ClockTick) and self._real.now_ms >= self.from_ms and self._knows_tenant():
                self._begin(offset)
            return
        for fact in facts_of(self._real, record, offset):
            self._count(self.actual, fact)
            self.periods += isinstance(fact, PeriodClosed) and fact.pool == self.command.pool
        self.ended_ms = self._real.now_ms
        if not self._sets_the_bot(record):
            for fact in facts_of(self._other, record, offset):
                self._count(self.imagined, fact)
                self._note(fact)

    def close(self) -> None:
        """All records were given: what accounts stand at is reckoned up."""
        for account, state in ((self.actual, self._real), (self.imagined, self._other)):
            if self.begun_ms is not None:
                account.money += _money(state.pools[self.command.pool], self.command.tenant)
                account.billed -= _billed(state.pools[self.command.pool], self.command.tenant)

    def standing(self) -> list[Standing]:
        """The bot's orders that are open in the end."""
        bot = self._bot()
        if bot is None:
            return []
        pool = self._other.pools[self.command.pool]
        views = (View(pool, bot, period) for period in sorted(bot.orders))
        return [Standing(view.period, str(order.side), order.price, order.open) for view in views for order in view.orders()]

    def reason(self) -> tuple[str, str]:
        """Why the bot did no more in the end, and the field that this is about."""
        bot = self._bot()
        return ("", "") if bot is None else (str(bot.reason), bot.about)

    def _bot(self) -> Bot | None:
        pool = self._other.pools.get(self.command.pool)
        return None if pool is None else pool.market.bots.get(self.command.tenant, self.command.name)

    def _knows_tenant(self) -> bool:
        pool = self._real.pools.get(self.command.pool)
        slot = None if pool is None else pool.tenants.slots.get(self.command.tenant)
        return pool is not None and slot is not None and bool(pool.tenants["declared_version"][slot])

    def _begin(self, offset: int) -> None:
        self._other = copied(self._real)
        pool = self._other.pools[self.command.pool]
        refusal = refuse_bot(pool, self.command)
        if refusal is not None:
            raise Refused(refusal)
        self.begun_ms = self.ended_ms = self._real.now_ms
        for account in (self.actual, self.imagined):
            account.money -= _money(pool, self.command.tenant)
            account.billed += _billed(pool, self.command.tenant)
        for fact in decide_bot(self._other, pool, self.command, Stamp(offset)):
            evolve(self._other, fact)

    def _sets_the_bot(self, record: Event) -> bool:
        mine = (self.command.pool, self.command.tenant, self.command.name)
        return isinstance(record, BotCommand) and (record.pool, record.tenant, record.name) == mine

    def _note(self, fact: Fact) -> None:
        """What the bot does, and what it trades."""
        if fact.pool != self.command.pool:
            return
        if isinstance(fact, BotActed):
            rows = (ActionRow(*row) for row in zip(*(getattr(fact, name) for name in ActionRow._fields), strict=True))
            self.did += [Did(fact.time, row) for row in rows if (row.tenant, row.bot) == (self.command.tenant, self.command.name)]
        elif isinstance(fact, Trades):
            self.trades += self._of_bot(fact)

    def _of_bot(self, fact: Trades) -> Iterator[Traded]:
        bots = self._other.pools[fact.pool].market.bots
        bot = self._bot()
        for side, tenants, orders, fees, sign in (
            ("buy", fact.buyer, fact.buy_order, fact.buyer_fee, 1),
            ("sell", fact.seller, fact.sell_order, fact.seller_fee, -1),
        ):
            for tenant, order, price, qty, fee in zip(tenants, orders, fact.price, fact.qty, fees, strict=True):
                if bot is not None and bots.of_order(tenant, order) is bot:
                    yield Traded(fact.time, fact.period, side, order, price, qty, price * qty + sign * fee)

    def _count(self, account: Account, fact: Fact) -> None:
        """What a fact means to the tenant."""
        if fact.pool != self.command.pool:
            return
        tenant = self.command.tenant
        match fact:
            case Trades():
                account.pool_trades += len(fact.qty)
                account.pool_tokens += sum(fact.qty)
                rows = zip(fact.buyer, fact.seller, fact.price, fact.qty, fact.buyer_fee, fact.seller_fee, strict=True)
                for buyer, seller, price, qty, buyer_fee, seller_fee in rows:
                    if buyer == tenant:
                        account.bought += qty
                        account.paid += price * qty + buyer_fee
                    if seller == tenant:
                        account.sold += qty
                        account.earned += price * qty - seller_fee
            case Deliveries() if tenant in fact.tenant:
                account.refunded += fact.refunded[fact.tenant.index(tenant)]
            case AllocationsClosed() if tenant in fact.tenant:
                at = fact.tenant.index(tenant)
                allocated, used = fact.allocated[at], fact.used[at]
                account.allocated += allocated
                account.used += used
                account.idle += max(allocated - used, 0)
                account.over += max(used - allocated, 0)
            case OrderEvents() if fact.event == [OrderEventKind.REJECTED]:
                account.refused += fact.tenant == [tenant]
            case _:
                return


def copied(state: PartitionState) -> PartitionState:
    """The same state once more, by way of a snapshot."""
    other = load_partition(dump_partition(state))
    load_commands(other, dump_commands(state))
    other.pools = {name: load_pool(dump_pool(pool)) for name, pool in state.pools.items()}
    return other


def _money(pool: PoolState, tenant: str) -> int:
    return pool.market.ledger.balance(MONEY, tenant_account(tenant))


def _billed(pool: PoolState, tenant: str) -> int:
    """Below zero by what it was billed."""
    return pool.market.ledger.balance(MONEY, billed_account(tenant))
