"""What a strategy answers for one period: the orders that it wants to stand, or why it wants none."""

from typing import NamedTuple

from schemas.bots import BotReason
from schemas.trading import Reject, Side


class Want(NamedTuple):
    """An order that shall stand, whole: what is open of the bot's orders of this side counts as a part of it.

    Attributes:
        side: buy or sell.
        price: nanocredits per token, not yet on the grid, nor held against the bot's limits.
        qty: tokens, at least 1.
    """

    side: Side
    price: int
    qty: int


class Kept(NamedTuple):
    """What keeps a bot from acting.

    Attributes:
        reason: why.
        field: the field, or the condition, that it is about.
        detail: values, for the tenant to see; only what is told when the reason is new.
    """

    reason: BotReason | Reject
    field: str = ""
    detail: str = ""


Wanted = list[Want] | Kept
