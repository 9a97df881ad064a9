"""How a bot acts at a tick: it takes back what should not stand, then places what is missing, period by period."""

from collections.abc import Callable, Iterator

from processors.bots import buy_ahead, market_maker, sell_idle
from processors.bots.conditions import told, unmet
from processors.bots.desk import Desk
from processors.bots.limits import affordable, is_off, price_on_grid, within_room
from processors.bots.schedule import is_due, scheduled
from processors.bots.view import View
from processors.bots.wants import Kept, Want, Wanted
from processors.orderbook import Order
from schemas.bots import BotReason, Strategy
from schemas.fact import Fact
from schemas.trading import Side

_WANTED: dict[Strategy, Callable[[View], Wanted]] = {
    Strategy.SELL_IDLE: sell_idle.wanted,
    Strategy.BUY_AHEAD: buy_ahead.wanted,
    Strategy.MARKET_MAKER: market_maker.wanted,
}


def act(desk: Desk, present: int) -> Iterator[Fact]:
    """The bot's turn. `present` is the open period."""
    if desk.bot.settings.strategy is Strategy.SCHEDULE:
        yield from _follow_schedule(desk, present)
        return
    periods = _periods(desk, present)
    for left in sorted(period for period in desk.bot.orders if period not in periods):
        # Time has moved on: what was a period ahead is none that it looks after any more.
        view = View(desk.pool, desk.bot, left)
        yield from desk.take_back(view, [(order, order.open) for order in view.orders()])
    for period in periods:
        view = View(desk.pool, desk.bot, period)
        wanted = _unmet(desk, view) or _WANTED[desk.bot.settings.strategy](view)
        if isinstance(wanted, Kept):
            desk.keep(wanted, period)
            wanted = []
        yield from _steer(desk, view, wanted)
    desk.close()


def _periods(desk: Desk, present: int) -> range:
    """The periods that the bot looks after and that are traded."""
    settings = desk.bot.settings
    ahead = desk.pool.terms.market.forward_periods
    periods = range(present + settings.first_ahead, present + min(settings.last_ahead, ahead) + 1)
    if not periods:
        desk.keep(Kept(BotReason.NOT_TRADED, "first_ahead", f"{settings.first_ahead} periods ahead, {ahead} are traded"))
    return periods


def _unmet(desk: Desk, view: View) -> Kept | None:
    found = unmet(desk.bot.settings.conditions, view, desk.state.now_ms)
    return None if found is None else Kept(BotReason.CONDITION, found[0].on, told(*found))


def _follow_schedule(desk: Desk, present: int) -> Iterator[Fact]:
    """At a scheduled moment, an order in each period; what came of the moment is always told, so that it is past."""
    if not is_due(desk.bot, present, desk.state.now_ms):
        return
    want = scheduled(desk.bot)
    for period in _periods(desk, present):
        view = View(desk.pool, desk.bot, period)
        kept = _unmet(desk, view)
        if kept is not None:
            desk.keep(kept, period)
            continue
        # Its orders of before stand by themselves, but count for the limits.
        stands = view.open(want.side)
        whole = _allowed(desk, view, want._replace(qty=want.qty + stands))
        if whole is not None:
            yield from _top_up(desk, view, whole._replace(qty=max(whole.qty - stands, 0)), 0)
    if desk.kept is not None or not desk.rows:
        desk.tell(*(desk.kept or (Kept(BotReason.CONTENT), None)))


def _steer(desk: Desk, view: View, wanted: list[Want]) -> Iterator[Fact]:
    """What stands becomes what is wanted, with as few changes as that takes."""
    wants = [allowed for want in wanted if (allowed := _allowed(desk, view, want)) is not None]
    stands = view.orders()
    if stands:
        # First on both sides: a new bid must not meet the offer that is about to go.
        yield from desk.take_back(view, [part for side in Side for part in _too_much(desk, view, wants, stands, side)])
    for want in wants:
        yield from _top_up(desk, view, want, view.open(want.side))


def _allowed(desk: Desk, view: View, want: Want) -> Want | None:
    """The want at a price and in a quantity that limits allow; what is in the way is noted. None: nothing."""
    price = price_on_grid(view, want)
    if price is None:
        detail = (
            f"{want.price} to {want.side} of period {view.period}, the band is {view.terms.price_min} to {view.terms.price_max}"
        )
        desk.keep(Kept(BotReason.OUT_OF_BAND, "price", detail), view.period)
        return None
    allowed, kept = within_room(view, want._replace(price=price))
    if kept is None and not allowed.qty:
        kept = Kept(
            BotReason.TOO_SMALL, "lot", f"{want.qty} tokens to {want.side} of period {view.period}, a lot is {view.terms.lot}"
        )
    if kept is not None:
        desk.keep(kept, view.period)
    return allowed


def _too_much(desk: Desk, view: View, wants: list[Want], stands: list[Order], side: Side) -> Iterator[tuple[Order, int]]:
    """(order, tokens) to take back of one side: what is not wanted, what is off, and of the rest what is too much, newest first."""
    orders = [order for order in stands if order.side is side]
    want = next((want for want in wants if want.side is side), None)
    if want is None:
        yield from ((order, order.open) for order in orders)
        return
    if not desk.waits:  # while it may not place another, a quote that is off is better than none
        off = [order for order in orders if is_off(view, order, want.price)]
        yield from ((order, order.open) for order in off)
        orders = [order for order in orders if order not in off]
    excess = sum(order.open for order in orders) - want.qty
    for order in reversed(orders):
        if excess <= 0:
            return
        yield order, min(order.open, excess)
        excess -= order.open


def _top_up(desk: Desk, view: View, want: Want, stands: int) -> Iterator[Fact]:
    """An order for what is missing of what is wanted, as far as money goes."""
    terms, settings = view.terms, desk.bot.settings
    missing = want.qty - stands
    least = max(settings.min_qty, terms.lot)
    if missing < least:
        if not stands and want.qty:
            desk.keep(Kept(BotReason.TOO_SMALL, "min_qty", f"{missing} tokens to {want.side} of period {view.period}"), view.period)
        return
    if desk.waits:
        return  # no news: it is what it was
    if want.side is Side.BUY:
        paid_for, kept = affordable(view, want.price, desk.state.now_ms)
        if paid_for < missing:
            desk.keep(kept, view.period)
        missing = min(missing, paid_for)
    most = missing if terms.max_order_tokens is None else min(missing, terms.max_order_tokens)
    qty = most // terms.lot * terms.lot
    if qty >= least:
        yield from desk.place(view, want.side, want.price, qty)
