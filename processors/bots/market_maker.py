"""Keep a bid and an offer, a spread apart, around a reference price.

That inventory stays within its limits, processors/bots/limits.py sees to: near a limit the quote that would exceed it gets smaller,
and then is none.
"""

from processors.bots.view import View
from processors.bots.wants import Kept, Want, Wanted
from schemas.bots import BotReason, Reference
from schemas.trading import Side


def wanted(view: View) -> Wanted:
    """The bid is half of the spread below the reference, rounded down to the grid; the offer is the spread above the bid."""
    settings = view.bot.settings
    around = reference_price(view)
    if around is None:
        return Kept(BotReason.NO_REFERENCE, "reference", f"period {view.period} has no price of the kind {settings.reference}")
    tick, qty = view.terms.price_tick, settings.qty or 0
    spread = (settings.spread_ticks or 0) * tick
    bid = (2 * around - spread) // 2 // tick * tick
    return [Want(Side.BUY, bid, qty), Want(Side.SELL, bid + spread, qty)]


def reference_price(view: View) -> int | None:
    """Nanocredits per token, rounded down; None where there is neither a price of the kind nor a given one."""
    settings = view.bot.settings
    found = None
    if settings.reference is Reference.LAST:
        found = view.price()
    elif settings.reference is Reference.MID:
        bid, ask = best_of_others(view, Side.BUY), best_of_others(view, Side.SELL)
        found = None if bid is None or ask is None else (bid + ask) // 2
    return settings.reference_price if found is None else found


def best_of_others(view: View, side: Side) -> int | None:
    """The best price at which somebody else's order rests: around its own quotes a bot would never find the market."""
    instrument = view.instrument
    if instrument is None:
        return None
    own: dict[int, int] = {}
    for order in view.orders(side):
        own[order.price] = own.get(order.price, 0) + order.open
    levels = instrument.book.side(side).levels()
    return next((level.price for level in levels if level.open > own.get(level.price, 0)), None)
