"""State of a pool's bots. Only processors/bots/recording.py changes it.

A bot is 1.3 KB with its settings and its names (100,000: 130 MB); what it bought and sold of a period is 180 bytes more, and goes
with the period's instrument.
"""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field

from processors.bots.settings import Settings
from processors.bots.waking import Changes, Nap
from schemas.bots import BotReason

NEVER = -1

_ORDERS = "bot/"
"""Ids of bots' orders begin with it: bot/NAME/TICK/NUMBER. What a tenant itself calls so counts as its bot's."""

Known = tuple[str, str]
"""(tenant, name): what a bot is known by."""


@dataclass(slots=True)
class Bot:
    """One bot.

    Attributes:
        tenant: whose it is.
        settings: what it was told last.
        text: the same as snapshots keep it, made once: a hash of the state at each period's end takes in every bot.
        turn_ms: when it last did or told something, or was set, milliseconds.
        turn_period: the period that was open then; NEVER: none was.
        placed_ms: when it last placed an order; NEVER: not yet.
        spent: what its buys have cost in the budget window that `window` numbers (0 where the budget is in total), nanocredits.
        window: see `spent`.
        reason: why it acts no more, as was last told (BotReason, or an order's Reject).
        about: the field that this is about.
        orders: its open orders' ids in their books, by period, in the order of arrival. Not in snapshots: the books say it too.
        nap: no state, it is not in snapshots: see processors/bots/waking.py.
    """

    tenant: str
    settings: Settings
    text: str
    turn_ms: int = NEVER
    turn_period: int = NEVER
    placed_ms: int = NEVER
    spent: int = 0
    window: int = 0
    reason: str = BotReason.NEW
    about: str = ""
    orders: dict[int, dict[str, None]] = field(default_factory=dict, compare=False, repr=False)
    nap: Nap | None = field(default=None, compare=False, repr=False)

    @property
    def known(self) -> Known:
        """(tenant, name)."""
        return self.tenant, self.settings.name

    def window_at(self, time_ms: int) -> int:
        """The number of the budget window that a moment falls into."""
        seconds = self.settings.budget_window_s
        return 0 if seconds is None else time_ms // (1000 * seconds)

    def spent_at(self, time_ms: int) -> int:
        """What its buys have cost in that window, nanocredits."""
        return self.spent if self.window_at(time_ms) == self.window else 0


@dataclass(slots=True)
class Bots:
    """All bots of a pool.

    Attributes:
        held: by tenant, then by name; disabled ones too.
        resume: whose turn comes first at the next tick, where the last one had work enough.
        changes: no state, it is not in snapshots: see processors/bots/waking.py.
    """

    held: dict[str, dict[str, Bot]] = field(default_factory=dict)
    resume: Known | None = None
    changes: Changes = field(default_factory=Changes, compare=False)
    _enabled: list[Bot] | None = field(default=None, compare=False)

    def all(self) -> Iterator[Bot]:
        """Every bot, in the byte order of (tenant, name)."""
        for tenant in sorted(self.held):
            yield from (bot for _, bot in sorted(self.held[tenant].items()))

    def get(self, tenant: str, name: str) -> Bot | None:
        """A tenant's bot of this name."""
        return self.held.get(tenant, {}).get(name)

    def put(self, bot: Bot) -> None:
        """A bot is new, or set anew."""
        self.held.setdefault(bot.tenant, {})[bot.settings.name] = bot
        self._enabled = None

    def in_turn(self) -> Iterator[Bot]:
        """Enabled bots in the byte order of (tenant, name), from the one whose turn comes first on."""
        if self._enabled is None:
            self._enabled = [bot for bot in self.all() if bot.settings.enabled]
        bots = self._enabled
        first = 0 if self.resume is None else bisect_left(bots, self.resume, key=lambda bot: bot.known)
        yield from bots[first:]
        yield from bots[:first]

    def of_order(self, tenant: str, order_id: str) -> Bot | None:
        """The bot whose order it is."""
        if not order_id.startswith(_ORDERS):
            return None
        name, slash, _ = order_id[len(_ORDERS) :].partition("/")
        return self.get(tenant, name) if slash else None


def order_id(bot: Bot, tick: int, number: int) -> str:
    """The id of the bot's order number `number` of a tick."""
    return f"{_ORDERS}{bot.settings.name}/{tick}/{number}"


def orders_begin(bot: Bot) -> str:
    """What the ids of the bot's orders, and of no other's, begin with."""
    return f"{_ORDERS}{bot.settings.name}/"
