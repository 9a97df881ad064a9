"""Bots at a tick: in the byte order of pool, tenant and name, each on the state that the ones before it left.

A tick takes at most MOST_ACTIONS of a pool's bots. Where that is not enough, the next tick goes on with the bot that was next.
"""

from collections.abc import Iterator, Sequence

from processors.bots.acting import act
from processors.bots.desk import ActionRow, Desk
from processors.bots.state import Bot, Known
from processors.bots.waking import NO_SLOT, Nap, naps, reads_books, reads_used, wakes_ms
from processors.stamping import Stamp
from processors.state import OpenPeriod, PartitionState, PoolState
from schemas.bot_facts import BotActed
from schemas.bots import BotAction
from schemas.fact import CHUNK_ROWS, Fact

MOST_ACTIONS = 400
"""Orders placed, taken back or tried in vain, in a pool and tick. One costs 0.25 to 0.4 ms with its facts: some 0.1 s of a tick.
That is what a tenant's own order may wait for; 10,000 bots that all want to order as a period opens have done so after 25 ticks.
"""


def decide_bots(state: PartitionState, stamp: Stamp) -> Iterator[Fact]:
    """A tick came, and due periods have closed and opened. The facts must be recorded one by one as they come."""
    for name in sorted(state.pools):
        pool = state.pools[name]
        if pool.open is not None and pool.market.bots.held:
            yield from _let_act(state, pool, pool.open, stamp)


def _let_act(state: PartitionState, pool: PoolState, opened: OpenPeriod, stamp: Stamp) -> Iterator[Fact]:
    bots, used, now_ms = pool.market.bots, pool.tenants["used"], state.now_ms
    rows: list[ActionRow] = []
    actions = 0
    resume: Known | None = None
    for bot in bots.in_turn():
        # Before the nap, which is no state: where the tick's work ends must not depend on it.
        if actions >= MOST_ACTIONS:
            resume = bot.known
            break
        nap = bot.nap
        if nap is not None and naps(nap, bots.changes, bot.tenant, used, now_ms):
            continue
        desk = Desk(state, pool, bot, stamp)
        bot.nap = None
        yield from act(desk, opened.period)
        # A bot that naps has tried nothing in vain: so this does not depend on naps either.
        actions += desk.vain + sum(row.action is not BotAction.RESTS for row in desk.rows)
        rows += desk.rows
        if not desk.rows and not desk.vain:
            bot.nap = _nap(pool, bot, opened.period, now_ms)
    if rows or resume != bots.resume:
        yield from _told(pool, now_ms, rows, resume, stamp)


def _nap(pool: PoolState, bot: Bot, present: int, now_ms: int) -> Nap:
    settings = bot.settings
    slot = pool.tenants.slots[bot.tenant]
    return Nap(
        pool.market.bots.changes.count,
        wakes_ms(settings, bot.placed_ms, now_ms),
        slot if reads_used(settings) else NO_SLOT,
        pool.tenants["used"].item(slot),
        (present + settings.first_ahead, present + settings.last_ahead) if reads_books(settings) else None,
    )


def _told(pool: PoolState, now_ms: int, rows: Sequence[ActionRow], resume: Known | None, stamp: Stamp) -> Iterator[Fact]:
    """What bots did, in chunks; one without rows where only the next turn is to be told."""
    tenant, bot = resume or ("", "")
    for start in range(0, max(len(rows), 1), CHUNK_ROWS):
        chunk = rows[start : start + CHUNK_ROWS]
        columns = zip(*chunk, strict=True) if chunk else ([] for _ in ActionRow._fields)
        yield stamp.fact(
            BotActed,
            pool.name,
            time=now_ms,
            present=pool.present,
            next_tenant=tenant,
            next_bot=bot,
            **dict(zip(ActionRow._fields, map(list, columns), strict=True)),
        )
