"""What a bot sees of one of its periods. Reading is all that it can do here."""

from processors import demand
from processors.bots.state import Bot
from processors.market.state import Instrument, Position
from processors.market.tokens import free, owned
from processors.orderbook import Order
from processors.state import PoolState
from processors.terms import MarketTerms
from schemas.trading import Side

_NOTHING = Position()


class View:
    """One period of a bot's tenant.

    Attributes:
        period: its number.
        present: whether it is the open one.
    """

    __slots__ = ("_slot", "bot", "period", "pool", "present")

    def __init__(self, pool: PoolState, bot: Bot, period: int) -> None:
        self.pool = pool
        self.bot = bot
        self.period = period
        self.present = pool.open is not None and period == pool.open.period
        self._slot = pool.tenants.slots[bot.tenant]

    @property
    def instrument(self) -> Instrument | None:
        """The period on the market; None while nobody trades it."""
        return self.pool.market.instruments.get(self.period)

    @property
    def terms(self) -> MarketTerms:
        """The grid and the fees that an order would have now."""
        instrument = self.instrument
        return self.pool.terms.market if instrument is None else instrument.terms

    def forecast(self) -> int:
        """Tokens that the tenant bids on of it: as when it opened; of a later one, as if it were the next to open."""
        if self.present:
            return int(self.pool.tenants["demand"][self._slot])
        return demand.bid_of(self.pool, self.period, self._slot)

    def allocated(self) -> int:
        """Tokens that the tenant has of it, used or offered ones too."""
        has = owned(self.pool, self.bot.tenant, self.period)
        return has + self.used() if self.present else has

    def free(self) -> int:
        """Tokens of it that the tenant may still sell; below zero where it used more than it has."""
        return free(self.pool, self.bot.tenant, self.period)

    def position(self) -> int:
        """Tokens of it that the tenant bought less those that it sold; transfers count."""
        if self.present:
            tenants = self.pool.tenants
            return int(tenants["bought"][self._slot]) - int(tenants["sold"][self._slot])
        instrument = self.instrument
        return (_NOTHING if instrument is None else instrument.positions.get(self.bot.tenant, _NOTHING)).net

    def inventory(self) -> int:
        """Tokens of it that the bot's own orders bought less those that they sold."""
        instrument = self.instrument
        return 0 if instrument is None else instrument.inventories.get(self.bot.known, 0)

    def price(self) -> int | None:
        """Of the last trade, nanocredits per token."""
        instrument = self.instrument
        return None if instrument is None else instrument.last_price

    def used(self) -> int:
        """Tokens used of the present period, whichever this one is."""
        return int(self.pool.tenants["used"][self._slot])

    def utilisation(self) -> int:
        """Whole percent, rounded down, of what is allocated of the present period that is used. Of nothing: 0, or what is used."""
        tenants = self.pool.tenants
        had = sum(int(tenants[column][self._slot]) for column in ("base_given", "surplus", "bought"))
        return 100 * self.used() // max(had - int(tenants["sold"][self._slot]), 1)

    def orders(self, side: Side | None = None) -> list[Order]:
        """The bot's open orders, of one side or of both, in the order of arrival."""
        ids = self.bot.orders.get(self.period)
        if not ids:
            return []
        book = self.pool.market.instruments[self.period].book
        return [order for order in map(book.orders.__getitem__, ids) if side is None or order.side is side]

    def open(self, side: Side) -> int:
        """Tokens that the bot's open orders of a side are for."""
        return sum(order.open for order in self.orders(side))
