"""What a tenant is expected to need of a period."""

from processors.bots.view import View
from schemas.units import MILLION


def needed(view: View) -> int:
    """The forecast, the margin of it (rounded up) and what the tenant keeps besides; tokens."""
    settings = view.bot.settings
    forecast = view.forecast()
    return forecast - (-forecast * settings.margin // MILLION) + settings.keep
