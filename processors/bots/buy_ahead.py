"""Buy what the forecast says will be missing, up to a price."""

from processors.bots.need import needed
from processors.bots.view import View
from processors.bots.wants import Kept, Want, Wanted
from schemas.bots import BotReason
from schemas.trading import Side


def wanted(view: View) -> Wanted:
    """What is used already is needed, whatever the forecast says."""
    settings = view.bot.settings
    need = max(needed(view), view.used() if view.present else 0)
    has = view.allocated()
    if need <= has:
        return Kept(BotReason.NOTHING_MISSING, "forecast", f"{need} tokens of period {view.period} are needed, it has {has}")
    return [Want(Side.BUY, settings.max_price or 0, need - has)]
