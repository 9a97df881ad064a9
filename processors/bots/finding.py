"""Finds a bot's open orders in the books, where nobody has followed its order events: after a snapshot, or as it is set."""

from collections.abc import Mapping

from processors.accounts import tenant_account
from processors.bots.state import Bot, orders_begin
from processors.market.state import Instrument, book_id


def find_orders(instruments: Mapping[int, Instrument], bot: Bot) -> None:
    """Fills the bot's `orders`: those of its tenant's whose ids begin as the bot's do, by whomever they were placed."""
    begin, owner = book_id(bot.tenant, orders_begin(bot)), tenant_account(bot.tenant)
    for period, instrument in instruments.items():
        found = [order_id for order_id in instrument.book.accounts.get(owner, ()) if order_id.startswith(begin)]
        if found:
            bot.orders[period] = dict.fromkeys(found)
