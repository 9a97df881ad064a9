"""Recording what was decided about bots: no judgement, so that folding recorded facts gives the bots that decided them."""

from processors.bots.dumping import settings_text
from processors.bots.finding import find_orders
from processors.bots.settings import Condition, settings_of
from processors.bots.state import NEVER, Bot
from processors.market.state import book_id
from processors.state import PoolState
from schemas.bot_facts import BotActed, BotSet
from schemas.bots import BotAction, BotReason
from schemas.market_facts import OrderEventKind, OrderEvents, Trades


def record_bot(pool: PoolState, fact: BotSet) -> None:
    """A bot as it is set from now on. What it has spent goes on counting, while the window is the same."""
    columns = (fact.condition_on, fact.condition_op, fact.condition_value, fact.condition_upper)
    settings = settings_of(fact, tuple(Condition(*row) for row in zip(*columns, strict=True)))
    former = pool.market.bots.get(fact.tenant, fact.name)
    bot = Bot(fact.tenant, settings, settings_text(settings), fact.time, NEVER if fact.present is None else fact.present)
    if former is not None:
        bot.placed_ms, bot.spent, bot.window = former.placed_ms, former.spent, former.window
        bot.reason = BotReason.NEW
    find_orders(pool.market.instruments, bot)
    pool.market.bots.put(bot)


def record_bot_orders(pool: PoolState, fact: OrderEvents) -> None:
    """Which orders of bots are open."""
    bots = pool.market.bots
    if not bots.held:
        return
    for tenant, order_id, event, left in zip(fact.tenant, fact.order_id, fact.event, fact.open, strict=True):
        bot = bots.of_order(tenant, order_id)
        if bot is None:
            continue
        if event is OrderEventKind.RESTED:
            bot.orders.setdefault(fact.period, {})[book_id(tenant, order_id)] = None
        elif not left and event is not OrderEventKind.REJECTED and fact.period in bot.orders:
            bot.orders[fact.period].pop(book_id(tenant, order_id), None)
            if not bot.orders[fact.period]:
                del bot.orders[fact.period]


def record_actions(pool: PoolState, fact: BotActed) -> None:
    """What bots did and told is what each did last; whose turn is next."""
    if fact.action == [BotAction.REJECTED]:
        return  # it left no trace
    bots = pool.market.bots
    bots.resume = (fact.next_tenant, fact.next_bot) if fact.next_tenant else None
    rows = zip(fact.tenant, fact.bot, fact.action, fact.reason, fact.field, strict=True)
    for tenant, name, action, reason, about in rows:
        bot = bots.held[tenant][name]
        bot.turn_ms, bot.turn_period = fact.time, NEVER if fact.present is None else fact.present
        if action is BotAction.PLACED:
            bot.placed_ms = fact.time
        elif action is BotAction.RESTS:
            bot.reason, bot.about = reason, about


def record_bot_trades(pool: PoolState, fact: Trades) -> None:
    """What bots' orders bought, sold and paid."""
    bots = pool.market.bots
    if not bots.held:
        return
    inventories = pool.market.instruments[fact.period].inventories
    rows = zip(fact.buyer, fact.buy_order, fact.seller, fact.sell_order, fact.price, fact.qty, fact.buyer_fee, strict=True)
    for buyer, buy_order, seller, sell_order, price, qty, fee in rows:
        bot = bots.of_order(buyer, buy_order)
        if bot is not None:
            _spend(bot, fact.time, price * qty + fee)
            inventories[bot.known] = inventories.get(bot.known, 0) + qty
        bot = bots.of_order(seller, sell_order)
        if bot is not None:
            inventories[bot.known] = inventories.get(bot.known, 0) - qty


def _spend(bot: Bot, time_ms: int, cost: int) -> None:
    bot.spent = bot.spent_at(time_ms) + cost
    bot.window = bot.window_at(time_ms)
