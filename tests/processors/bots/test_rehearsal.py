"""Dry runs: what a bot would have done is what it does where it is really set; what happened without it stays as it was."""

import pytest
from bot_world import BotWorld, actions, trades
from journal_world import of_kind, state_bytes
from market_world import fresh

from processors.bots.desk import ActionRow
from processors.bots.rehearsal import Account, Refused, Rehearsal, copied
from processors.engine import fold
from processors.state import PartitionState
from schemas.bot_facts import BotActed
from schemas.facts import AllocationsClosed
from schemas.journal import ClockTick
from schemas.market import BotCommand, DepositCommand
from schemas.market_facts import Trades


def a_history(periods=6):
    """Of a, b and c with 100 each: a uses 60 a period, b needs 130 and bids for some; another bot sells what c has."""
    world = BotWorld(used={"a": 60, "b": 130}, forward_periods=2, period_s=4, taker_fee_bp=500)
    world.bot("c", "other", "sell_idle", min_price=8, keep=40)
    for _ in range(periods):
        world.buy("b", 20, 7, period=world.present + 1)
        world.buy("b", 10, 4)
        world.use(a=60, b=130)
        world.step(2)
        world.buy("b", 10, 9)
        world.take(DepositCommand(id=fresh("d"), pool="llm", tenant="a", amount=1_000))
        world.close()
    return world


def command(**settings):
    fixed = {"id": "dry", "pool": "llm", "tenant": "a", "name": "x", "strategy": "sell_idle", "min_price": 5, "last_ahead": 1}
    return BotCommand(**{**fixed, **settings})


def rehearsed(world, bot, **options):
    rehearsal = Rehearsal(bot, **options)
    for offset, record in world.journal:
        rehearsal.take(record, offset)
    rehearsal.close()
    return rehearsal


def really(world, bot, from_ms):
    """The same journal with the command in it, after the tick at which a dry run sets the bot; facts from there on."""
    state, facts, begun = PartitionState(), [], False
    for offset, record in world.journal:
        here = fold(state, record, 2 * offset)
        facts += here if begun else []
        if (
            not begun
            and isinstance(record, ClockTick)
            and state.now_ms >= from_ms
            and state.pools
            and state.pools["llm"].tenants.slots
        ):
            begun = True
            fold(state, bot, 2 * offset + 1)
    return state, facts


def test_a_dry_run_tells_what_the_bot_really_does():
    world = a_history()
    from_ms = 16_000
    state, facts = really(world, command(), from_ms)
    rehearsal = rehearsed(world, command(), from_ms=from_ms)
    real = [row for row in actions(facts) if row[:2] == ("a", "x")]
    assert [tuple(did.row) for did in rehearsal.did] == real
    assert len(real) > 5
    assert [(trade.period, trade.price, trade.qty) for trade in rehearsal.trades] == [
        (period, price, qty) for period, _, seller, price, qty in trades(facts) if seller == "a"
    ]
    assert rehearsal.imagined.pool_tokens == sum(trade[4] for trade in trades(facts))
    assert [(order.period, order.open) for order in rehearsal.standing()] == [
        (period, order.open)
        for period, instrument in sorted(state.pools["llm"].market.instruments.items())
        for order in instrument.book.orders.values()
        if order.id.startswith("a\nbot/x/")
    ]


def test_what_happened_is_what_the_facts_say():
    world = a_history()
    rehearsal = rehearsed(world, command(tenant="b", strategy="buy_ahead", min_price=None, max_price=3))
    actual = rehearsal.actual
    bought = [trade for trade in trades(world.facts) if trade[1] == "b"]
    assert actual.bought == sum(trade[4] for trade in bought) > 0
    assert actual.pool_trades == len(trades(world.facts))
    closed = [fact for fact in of_kind(world.facts, AllocationsClosed) if "b" in fact.tenant]
    used = [(fact.allocated[fact.tenant.index("b")], fact.used[fact.tenant.index("b")]) for fact in closed]
    assert (actual.allocated, actual.used) == tuple(map(sum, zip(*used, strict=True)))
    assert actual.over == sum(max(used - allocated, 0) for allocated, used in used)
    fees = sum(sum(fact.buyer_fee) for fact in of_kind(world.facts, Trades))
    assert actual.paid == sum(price * qty for _, _, _, price, qty in bought) + fees
    assert rehearsal.periods == 7


def test_both_accounts_add_up():
    rehearsal = rehearsed(a_history(), command(), from_ms=16_000)
    for account in (rehearsal.actual, rehearsal.imagined):
        assert account.idle - account.over == account.allocated - account.used
    actual, imagined = rehearsal.actual, rehearsal.imagined
    assert actual.sold == 0
    assert imagined.sold == sum(trade.qty for trade in rehearsal.trades) > 0
    assert imagined.earned == sum(trade.money for trade in rehearsal.trades) > 0
    # Deposits count in both; what was sold ahead and is not delivered yet was not paid out yet.
    ahead = sum(trade.money for trade in rehearsal.trades if trade.period > 11)
    assert imagined.money - actual.money == imagined.earned - ahead
    assert imagined.idle < actual.idle
    assert imagined.used == actual.used


def test_a_bot_that_never_acts_changes_nothing():
    world = a_history()
    rehearsal = rehearsed(world, command(min_price=10**6, keep=500))
    assert rehearsal.imagined == rehearsal.actual
    assert [did.row.action for did in rehearsal.did] == ["rests"]
    assert rehearsal.reason() == ("nothing_idle", "forecast")
    assert rehearsal.standing() == rehearsal.trades == []


def test_only_the_range_counts():
    world = a_history()
    whole = rehearsed(world, command(), from_ms=16_000)
    part = rehearsed(world, command(), from_ms=20_500, to_ms=28_000)
    assert (part.begun_ms, part.ended_ms, part.over) == (21_000, 26_000, True)  # no tick lies between 26 and the end
    assert all(21_000 < did.time < 28_000 for did in part.did)
    assert 0 < part.periods < whole.periods
    assert 0 < part.actual.used < whole.actual.used


def test_the_bot_of_the_log_with_this_name_is_left_out():
    world = a_history(3)
    told = len(world.journal)
    world.bot("a", "x", "sell_idle", min_price=7)
    world.bot("a", "y", "sell_idle", min_price=50)
    world.step(3)
    world.bot("a", "x", "sell_idle", min_price=7, enabled=False)
    world.step(2)
    rehearsal = rehearsed(world, command())
    assert {did.row.price for did in rehearsal.did if did.row.action == "placed"} == {5}
    assert rehearsal.standing()
    # Set after the log's own bot was: that one takes its orders back first.
    late = rehearsed(world, command(), from_ms=1000 * (world.state.tick - 3))
    assert late.begun_ms is not None
    assert {order.price for order in late.standing()} == {5}
    assert len(world.journal) > told


def test_settings_that_would_be_refused_are_refused_where_the_range_begins():
    with pytest.raises(Refused) as refused:
        rehearsed(a_history(1), command(min_price=0))
    assert (refused.value.refusal.reason, refused.value.refusal.field) == ("invalid_settings", "min_price")


@pytest.mark.parametrize("changed", [{"tenant": "ghost"}, {"pool": "ghost"}])
def test_without_the_tenant_it_never_begins(changed):
    rehearsal = rehearsed(a_history(1), command(**changed))
    assert rehearsal.begun_ms is None
    assert rehearsal.actual == rehearsal.imagined == Account()


def test_a_copy_is_the_same_and_apart():
    world = a_history(2)
    before = state_bytes(world.state)
    other = copied(world.state)
    assert state_bytes(other) == before
    fold(other, command(id="more"), 10**6)
    fold(other, ClockTick(tick=10**6, tick_ms=1000, meter_partitions=1, grace_ticks=3), 10**6 + 1)
    assert state_bytes(world.state) == before
    assert state_bytes(other) != before


def test_rows_are_those_of_the_fact():
    assert set(ActionRow._fields) < set(BotActed.model_fields)
