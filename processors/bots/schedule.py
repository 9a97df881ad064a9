"""Place an order at times of the day, or when every so many periods one opens. It stands by itself: the bot leaves it."""

from processors.bots.state import Bot
from processors.bots.wants import Want
from schemas.bots import DAY_S
from schemas.trading import Side


def is_due(bot: Bot, present: int, now_ms: int) -> bool:
    """Whether a scheduled moment has come since the bot's last turn, or since it was set. Of several, the last one counts.

    Args:
        bot: its turn is recorded with whatever it does or tells.
        present: the open period.
        now_ms: the tick's time, milliseconds.
    """
    settings = bot.settings
    if settings.every_periods is not None:
        return present > bot.turn_period and present % settings.every_periods == 0
    day = 1000 * DAY_S
    midnight = now_ms // day * day
    today = [midnight + 1000 * second for second in settings.at if midnight + 1000 * second <= now_ms]
    last = max(today) if today else midnight - day + 1000 * max(settings.at)
    return last > bot.turn_ms


def scheduled(bot: Bot) -> Want:
    """The order that is placed then, besides all that stand already."""
    settings = bot.settings
    side = settings.side or Side.BUY
    price = settings.max_price if side is Side.BUY else settings.min_price
    return Want(side, price or 0, settings.qty or 0)
