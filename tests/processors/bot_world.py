"""A pool with tenants and their bots, in the hands of a test."""

from journal_world import of_kind, usage
from market_world import MarketWorld, fresh

from processors.bots.view import View
from schemas.bot_facts import BotActed
from schemas.market import BotCommand
from schemas.market_facts import Trades


class BotWorld(MarketWorld):
    """Tenants a, b and c with 100 base each, which is all that there is; periods of two ticks of a second, unless said otherwise.

    `used`: what tenants used of the period before the open one, so what they are expected to use of all others.
    A period opens with the marks after its first tick: bots see it at the next one.
    """

    def __init__(self, *, used=None, capacity=300, **terms):
        super().__init__(capacity=capacity, **terms)
        if self.pool().open is None:
            self.jump(self.pool().last_tick(self.pool().declared.from_period - 1))
        if used is not None:
            self.take(usage(self.state.tick + 1, used))
            self.close()

    def jump(self, tick):
        """To a later tick; none lie between."""
        return self.run(tick, tick)

    def close(self):
        """The open period ends and the next one opens; bots have not seen it yet."""
        return self.jump(self.pool().last_tick(self.present))

    def bot(self, tenant, name, strategy, **settings):
        """The facts that follow from the command."""
        return self.take(BotCommand(id=fresh("bot"), pool="llm", tenant=tenant, name=name, strategy=strategy, **settings))

    def step(self, ticks=1):
        """The next ticks, all meters on time."""
        return self.run(self.state.tick + 1, self.state.tick + ticks)

    def use(self, **rows):
        """Usage, counted before the next tick."""
        return self.take(usage(self.state.tick + 1, rows, chunk=len(self.journal)))

    def get(self, tenant, name):
        return self.market.bots.held[tenant][name]

    def orders(self, tenant, name, ahead=0):
        """The bot's open orders of a period: (side, price, open)."""
        view = View(self.pool(), self.get(tenant, name), self.present + ahead)
        return [(str(order.side), order.price, order.open) for order in view.orders()]

    def all_orders(self, tenant, name):
        """By how far the period is ahead; periods without orders are left out."""
        found = {period - self.present: self.orders(tenant, name, period - self.present) for period in self.market.instruments}
        return {ahead: orders for ahead, orders in sorted(found.items()) if orders}

    def reason(self, tenant, name):
        """What was last told of why it acts no more: (reason, field)."""
        bot = self.get(tenant, name)
        return bot.reason, bot.about


ROW = ("tenant", "bot", "action", "period", "order_id", "side", "price", "qty", "reason", "field", "detail")


def actions(facts, *columns):
    """The rows of BotActed in their order: the named columns, all by default."""
    names = columns or ROW
    return [row for fact in of_kind(facts, BotActed) for row in zip(*(getattr(fact, name) for name in names), strict=True)]


def trades(facts):
    """(period, buyer, seller, price, qty) of each trade."""
    return [
        (fact.period, *row)
        for fact in of_kind(facts, Trades)
        for row in zip(fact.buyer, fact.seller, fact.price, fact.qty, strict=True)
    ]
