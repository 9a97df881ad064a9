"""Sell what the forecast says will be idle: what is free, less what is still needed, at the least price that the tenant takes."""

from processors.bots.need import needed
from processors.bots.view import View
from processors.bots.wants import Kept, Want, Wanted
from schemas.bots import BotReason
from schemas.trading import Side


def wanted(view: View) -> Wanted:
    """What the bot's own orders offer already counts as idle: it stands as long as it is.

    Of the present period nothing is offered any more once more was used than was needed by forecast: then nobody knows the rest.
    """
    settings = view.bot.settings
    need = needed(view)
    used = view.used() if view.present else 0
    if used > need:
        return Kept(
            BotReason.NOTHING_IDLE, "used", f"{used} tokens of period {view.period} are used, above the {need} of the forecast"
        )
    idle = view.free() + view.open(Side.SELL) - (need - used)
    if idle <= 0:
        return Kept(
            BotReason.NOTHING_IDLE, "forecast", f"{need} tokens of period {view.period} are needed, {-idle} more than are free"
        )
    return [Want(Side.SELL, settings.min_price or 0, idle)]
