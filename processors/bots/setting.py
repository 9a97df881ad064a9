"""A tenant sets a bot: the settings are refused with the field that is wrong, or hold from the next tick on.

A bot that is set anew takes its orders back first: they were placed under other limits. What it has spent, bought and sold goes on
counting, so that a budget can't be spent twice by publishing it again.
"""

from collections.abc import Iterator

from processors.bots.desk import ActionRow
from processors.bots.settings import fault
from processors.bots.state import Bot
from processors.bots.view import View
from processors.market.keys import Refusal
from processors.market.tokens import outcome_of
from processors.orderbook import Cancel, decide
from processors.stamping import Stamp
from processors.state import PartitionState, PoolState
from schemas.bot_facts import BotActed, BotSet
from schemas.bots import SETTINGS, BotAction
from schemas.fact import Fact
from schemas.market import BotCommand
from schemas.trading import Reject

MAX_BOTS = 32
"""Names of bots that one tenant may use in a pool: what 100,000 tenants can make every tick work through has an end."""


def decide_bot(state: PartitionState, pool: PoolState, command: BotCommand, stamp: Stamp) -> Iterator[Fact]:
    """The settings of an authentic tenant."""
    refusal = refuse_bot(pool, command)
    if refusal is not None:
        yield bot_refused(state, stamp, command, refusal)
        return
    former = pool.market.bots.get(command.tenant, command.name)
    if former is not None:
        yield from _take_all_back(state, pool, former, stamp)
    yield stamp.fact(
        BotSet,
        pool.name,
        **{name: getattr(command, name) for name in SETTINGS},
        tenant=command.tenant,
        time=state.now_ms,
        present=None if pool.open is None else pool.open.period,
        condition_on=[condition.on for condition in command.conditions],
        condition_op=[condition.op for condition in command.conditions],
        condition_value=[condition.value for condition in command.conditions],
        condition_upper=[condition.upper for condition in command.conditions],
    )


def refuse_bot(pool: PoolState, command: BotCommand) -> Refusal | None:
    """What is wrong with the settings, or with one bot more."""
    found = fault(command)
    if found is not None:
        return Refusal(Reject.INVALID_SETTINGS, *found)
    names = pool.market.bots.held.get(command.tenant, {})
    if command.name not in names and len(names) >= MAX_BOTS:
        return Refusal(Reject.INVALID_SETTINGS, "name", f"{MAX_BOTS} names are used already; each of them may be set anew")
    return None


def bot_refused(state: PartitionState, stamp: Stamp, command: BotCommand, refusal: Refusal) -> Fact:
    """The settings were refused: the bot, if there is one of this name, is as it was."""
    pool = state.pools.get(command.pool)
    row = ActionRow(command.tenant, command.name, BotAction.REJECTED, None, "", "", 0, 0, *refusal)
    return stamp.fact(
        BotActed,
        command.pool,
        time=state.now_ms,
        present=None if pool is None or pool.open is None else pool.open.period,
        next_tenant="",
        next_bot="",
        **{name: [value] for name, value in row._asdict().items()},
    )


def _take_all_back(state: PartitionState, pool: PoolState, bot: Bot, stamp: Stamp) -> Iterator[Fact]:
    for period in sorted(bot.orders):
        instrument = pool.market.instruments[period]
        outcome = outcome_of(pool, instrument)
        for order in View(pool, bot, period).orders():
            outcome.take(decide(instrument.book, Cancel(order.id, order.acct)))
        yield from outcome.facts(stamp, pool.name, pool.present, state.now_ms)
