"""How far a bot may go: prices on the grid and within its limits, inventory, money. All rounding is to the safe side.

Each limit holds whatever happens to the bot's orders between two ticks: what is open counts as traded already.
"""

from processors.accounts import tenant_account
from processors.bots.state import Bot
from processors.bots.view import View
from processors.bots.wants import Kept, Want
from processors.market.outcome import BASIS, reserve
from processors.orderbook import Order
from processors.state import PoolState
from processors.terms import MarketTerms
from schemas.bots import BotReason
from schemas.ledgering import MONEY
from schemas.trading import Reject, Side


def price_on_grid(view: View, want: Want) -> int | None:
    """The price that the order gets, never worse for the tenant than its limit; None: the pool lets no such price trade."""
    settings, terms = view.bot.settings, view.terms
    tick, least = terms.price_tick, terms.price_min or 1
    if want.side is Side.BUY:
        ends = (want.price, settings.max_price, terms.price_max)
        price = min(end for end in ends if end is not None) // tick * tick
        return price if price >= least else None
    price = -(-max(want.price, settings.min_price or 0, least) // tick) * tick
    return price if terms.price_max is None or price <= terms.price_max else None


def room(view: View, side: Side) -> int | None:
    """Tokens that all of the bot's open orders of a side may be for, by the limits of its position; None: any number."""
    settings = view.bot.settings
    if side is Side.BUY:
        return None if settings.max_position is None else max(settings.max_position - view.inventory(), 0)
    return None if settings.min_position is None else max(view.inventory() - settings.min_position, 0)


def within_room(view: View, want: Want) -> tuple[Want, Kept | None]:
    """The want, cut down to what the position and the tenant's tokens allow and to whole lots; and what was in the way, if any."""
    qty, kept = want.qty, None
    allowed = room(view, want.side)
    if allowed is not None and allowed < qty:
        field = "max_position" if want.side is Side.BUY else "min_position"
        qty, kept = (
            allowed,
            Kept(BotReason.POSITION, field, f"{want.qty} to {want.side} of period {view.period}, {allowed} are allowed"),
        )
    if want.side is Side.SELL:
        has = max(view.free() + view.open(Side.SELL), 0)
        if has < qty:
            qty, kept = has, Kept(Reject.INSUFFICIENT_TOKENS, "qty", f"{has} tokens of period {view.period} are free")
    return want._replace(qty=qty // view.terms.lot * view.terms.lot), kept


def affordable(view: View, price: int, now_ms: int) -> tuple[int, Kept]:
    """Tokens that a buy at this price may be for, and what limits them: the budget or the account."""
    pool, bot = view.pool, view.bot
    wallet = pool.market.ledger.available(MONEY, tenant_account(bot.tenant))
    left = budget_left(pool, bot, now_ms)
    if left is not None and left < wallet:
        kept = Kept(BotReason.BUDGET, "budget", f"{left} nanocredits of it are left")
        return most_tokens(view.terms, price, left), kept
    kept = Kept(Reject.INSUFFICIENT_MONEY, "max_price", f"{wallet} nanocredits are available")
    return most_tokens(view.terms, price, wallet), kept


def most_tokens(terms: MarketTerms, price: int, money: int) -> int:
    """The most tokens whose purchase at this price, fees included, can't cost more than `money`."""
    # reserve() of q tokens is floor(price x q x (1 + fee)), which is at most `money` just where price x q x (1 + fee) < money + 1.
    fee = max(terms.maker_fee_bp, terms.taker_fee_bp)
    return max((money + 1) * BASIS - 1, 0) // (price * (BASIS + fee))


def budget_left(pool: PoolState, bot: Bot, now_ms: int) -> int | None:
    """What its next buys may cost: the budget, less what was spent in this window, less what its open buys can cost still."""
    if bot.settings.budget is None:
        return None
    reserved = sum(
        reserve(pool.market.instruments[period].terms, order.price, order.open)
        for period in bot.orders
        for order in View(pool, bot, period).orders(Side.BUY)
    )
    return bot.settings.budget - bot.spent_at(now_ms) - reserved


def is_off(view: View, order: Order, price: int) -> bool:
    """Whether a standing order's price is further from where it should be than is tolerated."""
    return abs(order.price - price) > view.bot.settings.tolerance_ticks * view.terms.price_tick
