"""Bots at a tick: whose turn it is, how much a tick takes, what is told, and limits over time."""

import pytest
from bot_world import BotWorld, actions, trades
from journal_world import of_kind, profile, refold, state_bytes

from processors.bots import ticking
from processors.snapshot import dump_pool, load_pool
from schemas.bot_facts import BotActed, BotSet
from schemas.market import DepositCommand
from schemas.market_facts import OrderEvents
from schemas.trading import Side


def test_bots_act_in_the_byte_order_of_tenant_and_name():
    world = BotWorld(used={"a": 60, "b": 60, "c": 60})
    for tenant, name in (
        ("c", "m"),
        ("b", "z"),
        ("a", "é"),
        ("b", "A"),
        ("a", "b"),
        ("a", "a"),
        ("b", "\uffff"),
        ("b", "\U00010000"),
    ):
        world.bot(tenant, name, "sell_idle", min_price=3)
    expected = [("a", "a"), ("a", "b"), ("a", "é"), ("b", "A"), ("b", "z"), ("b", "\uffff"), ("b", "\U00010000"), ("c", "m")]
    assert list(dict.fromkeys(actions(world.step(), "tenant", "bot"))) == expected


def test_each_acts_on_what_those_before_it_left():
    world = BotWorld(used={"a": 60, "b": 150, "c": 150})
    world.sell("a", 60, 4)
    world.bot("b", "x", "buy_ahead", max_price=4)
    world.bot("c", "x", "buy_ahead", max_price=4)
    assert [trade[1:] for trade in trades(world.step())] == [("b", "a", 4, 50), ("c", "a", 4, 10)]


def test_only_what_is_new_is_told():
    world = BotWorld(used={"a": 60}, period_s=100)
    world.bot("a", "x", "sell_idle", min_price=3)
    world.bot("a", "y", "sell_idle", min_price=3, keep=500)
    assert actions(world.step(), "bot", "action", "reason") == [
        ("x", "placed", ""),
        ("x", "rests", ""),
        ("y", "rests", "nothing_idle"),
    ]
    assert actions(world.step(20)) == []
    world.buy("b", 10, 3)  # what it offered less of is sold: nothing is missing
    world.use(a=5)
    assert actions(world.step(20)) == []
    world.use(a=70)
    assert actions(world.step(20), "bot", "action", "reason", "field") == [
        ("x", "cancelled", "", ""),
        ("x", "rests", "nothing_idle", "used"),
    ]


def test_an_order_that_would_be_refused_is_not_placed_and_the_reason_is_told_once():
    world = BotWorld(used={"a": 60}, max_open_orders=1, period_s=50)
    world.sell("a", 5, 9)
    world.bot("a", "x", "sell_idle", min_price=3)
    came = world.step(10)
    assert not [fact for fact in of_kind(came, OrderEvents) if "rejected" in fact.event]
    assert actions(came, "action", "reason", "field") == [("rests", "too_many_orders", "id")]
    assert len(world.market.instruments[world.present].book.orders) == 1


def test_ids_of_orders_come_from_name_tick_and_number():
    world = BotWorld(used={"a": 60}, forward_periods=2)
    world.bot("a", "x y", "sell_idle", min_price=3, last_ahead=2)
    tick = world.state.tick + 1
    placed = [row for row in actions(world.step(), "action", "order_id") if row[0] == "placed"]
    assert placed == [("placed", f"bot/x y/{tick}/{number}") for number in range(3)]


def test_a_bot_waits_between_orders_but_not_to_take_one_back():
    world = BotWorld(used={"a": 60}, period_s=100)
    world.bot("a", "x", "sell_idle", min_price=3, wait_s=5)
    first = world.state.tick + 1
    world.step()
    world.transfer("b", "a", tokens=20)
    assert actions(world.step(4)) == []
    assert actions(world.step(), "action", "order_id") == [("placed", f"bot/x/{first + 5}/0")]
    world.use(a=61)
    world.step()
    assert world.orders("a", "x") == []


def test_a_quote_that_is_off_stands_while_the_bot_waits():
    world = BotWorld(period_s=100)
    fixed = {"reference": "last", "reference_price": 100, "spread_ticks": 10, "qty": 20, "min_position": -30, "max_position": 30}
    world.bot("c", "x", "market_maker", wait_s=3, **fixed)
    world.step()
    world.sell("a", 1, 97)
    world.buy("b", 1, 97)
    world.step(2)
    assert [price for _, price, _ in world.orders("c", "x")] == [95, 105]
    world.step()
    assert [price for _, price, _ in world.orders("c", "x")] == [92, 102]


def test_a_budget_is_for_each_window_and_what_is_open_counts():
    world = BotWorld(used={"a": 200}, period_s=100)
    world.jump(20 * (world.state.tick // 20 + 2))  # a multiple of the window
    world.bot("a", "x", "buy_ahead", max_price=5, budget=60, budget_window_s=20)
    world.step()
    assert world.orders("a", "x") == [("buy", 5, 12)]
    world.sell("b", 8, 5)  # 40 of 60 are spent, 20 are open
    world.step(3)
    assert world.orders("a", "x") == [("buy", 5, 4)]
    assert world.reason("a", "x") == ("budget", "budget")
    assert world.get("a", "x").spent == 40
    world.step(16)  # the next window: 60, of which 20 are open still
    assert [order[2] for order in world.orders("a", "x")] == [4, 8]
    world.sell("b", 12, 5)
    world.step(2)
    assert world.get("a", "x").spent == 60
    assert world.orders("a", "x") == []


def test_a_better_price_leaves_budget_for_more():
    world = BotWorld(used={"a": 200}, period_s=100)
    world.sell("b", 10, 2)
    world.bot("a", "x", "buy_ahead", max_price=5, budget=60)
    world.step()
    assert world.get("a", "x").spent == 20
    assert world.orders("a", "x") == [("buy", 5, 2)]
    world.step()
    assert [order[2] for order in world.orders("a", "x")] == [2, 6]
    world.sell("b", 50, 5)
    world.step(5)
    assert world.get("a", "x").spent == 60


def test_what_was_spent_and_bought_goes_on_counting_when_the_bot_is_set_anew():
    world = BotWorld(used={"a": 200}, period_s=100)
    world.sell("b", 10, 4)
    world.bot("a", "x", "buy_ahead", max_price=4, budget=40)
    world.step()
    world.sell("b", 50, 4)
    world.bot("a", "x", "buy_ahead", max_price=4, budget=60, max_position=14)
    world.step(3)
    assert world.get("a", "x").spent == 56
    assert world.reason("a", "x")[0] == "position"
    world.bot("a", "other", "buy_ahead", max_price=4, budget=8)
    world.step()
    assert world.get("a", "other").spent == 8


def test_fees_are_part_of_what_is_spent():
    world = BotWorld(used={"a": 200}, period_s=100, taker_fee_bp=1_000)
    world.sell("b", 10, 2)
    world.bot("a", "x", "buy_ahead", max_price=2, budget=21)
    world.step()
    assert world.get("a", "x").spent == 19  # 9 tokens and a fee of 1.8, floored; ten would have been 22
    assert [trade[4] for trade in trades(world.facts)] == [9]


def test_the_first_thing_that_keeps_it_is_told():
    world = BotWorld(used={"a": 60}, forward_periods=1)
    world.sell("b", 1, 9)
    world.buy("c", 1, 9)
    world.bot(
        "a", "x", "sell_idle", min_price=3, last_ahead=1, min_position=0, conditions=[{"on": "price", "op": "above", "value": 8}]
    )
    assert actions(world.step(), "reason", "period") == [("position", world.present)]


def test_another_bots_trades_are_not_counted():
    world = BotWorld(used={"a": 200}, period_s=100)
    world.bot("a", "x", "buy_ahead", max_price=4, max_position=5)
    world.buy("a", 20, 4, id="bot/y/1/0")
    world.buy("a", 20, 4, id="bot/x")
    world.step()
    world.sell("b", 45, 4)
    world.step()
    assert world.market.instruments[world.present].inventories == {("a", "x"): 5}


def test_a_tick_takes_so_many_actions_and_the_next_goes_on(monkeypatch):
    monkeypatch.setattr(ticking, "MOST_ACTIONS", 3)
    world = BotWorld(used={"a": 60, "b": 60, "c": 60}, period_s=100)
    for number in range(7):
        world.bot("abc"[number % 3], f"x{number}", "sell_idle", min_price=3, min_position=-1)
    placed, resumed = [], []
    for _ in range(4):
        came = world.step()
        placed.append([row[:2] for row in actions(came, "tenant", "bot", "action") if row[2] == "placed"])
        resumed.append(world.market.bots.resume)
    in_order = [("a", "x0"), ("a", "x3"), ("a", "x6"), ("b", "x1"), ("b", "x4"), ("c", "x2"), ("c", "x5")]
    assert placed == [in_order[:3], in_order[3:6], in_order[6:], []]
    assert resumed == [("b", "x1"), ("c", "x5"), None, None]
    assert state_bytes(refold(world.facts)) == state_bytes(world.state)


def test_orders_tried_in_vain_are_work_too(monkeypatch):
    monkeypatch.setattr(ticking, "MOST_ACTIONS", 2)
    world = BotWorld(used={"a": 60}, period_s=100, max_open_orders=1)
    world.sell("a", 1, 9)
    for number in range(5):
        world.bot("a", f"x{number}", "sell_idle", min_price=3)
    told = [sorted({row[0] for row in actions(world.step(), "bot")}) for _ in range(3)]
    assert told == [["x0", "x1"], ["x2", "x3"], ["x4"]]
    turns = []
    for _ in range(3):
        world.step()
        turns.append(world.market.bots.resume)
    assert turns == [("a", "x3"), ("a", "x0"), ("a", "x2")]  # round and round


def test_what_a_tenant_calls_as_its_bots_orders_is_the_bots():
    """Whether it was there before the bot, came after it, or is found in a snapshot."""
    world = BotWorld(used={"a": 60}, period_s=100)
    world.sell("a", 5, 9, id="bot/x/by hand")
    world.sell("a", 5, 9, id="bot/xy/other")
    world.bot("a", "x", "sell_idle", min_price=3, enabled=False)
    world.sell("a", 7, 9, id="bot/x/1/1")
    assert world.orders("a", "x") == [("sell", 9, 5), ("sell", 9, 7)]
    again = load_pool(dump_pool(world.pool()))
    assert again.market.bots.get("a", "x").orders == world.get("a", "x").orders != {}
    world.bot("a", "x", "sell_idle", min_price=3)
    assert world.orders("a", "x") == []
    world.step()
    assert world.orders("a", "x") == [("sell", 3, 35)]


def test_whose_turn_is_next_survives_a_snapshot_even_where_nothing_else_is_told(monkeypatch):
    monkeypatch.setattr(ticking, "MOST_ACTIONS", 1)
    world = BotWorld(used={"a": 60, "b": 60}, period_s=100)
    world.bot("a", "x", "sell_idle", min_price=3)
    world.bot("b", "x", "sell_idle", min_price=3)
    world.step()
    assert world.market.bots.resume == ("b", "x")
    world.state.pools["llm"] = load_pool(dump_pool(world.pool()))
    assert world.market.bots.resume == ("b", "x")
    world.step(2)
    assert world.market.bots.resume is None
    # The tick after the last action had nothing to tell but that everybody's turn is over.
    assert [(fact.next_tenant, fact.tenant) for fact in of_kind(world.facts, BotActed)][-2:] == [("a", ["b", "b"]), ("", [])]


def test_many_rows_are_told_in_chunks():
    names = [f"t{number:04}" for number in range(2_100)]
    world = BotWorld(capacity=0)
    world.take(*(profile(f"profile-{name}", name) for name in names))
    for name in names:
        world.bot(name, "x", "sell_idle", min_price=3)
    told = of_kind(world.step(), BotActed)
    assert [len(fact.tenant) for fact in told] == [2_000, 100]
    assert [name for fact in told for name in fact.tenant] == names


def test_nothing_is_decided_before_a_period_is_open():
    world = BotWorld(period_s=3600)
    world.bot("a", "x", "sell_idle", min_price=3)
    world.take(DepositCommand(id="d", pool="llm", tenant="a", amount=1))
    assert world.market.bots.get("a", "x") is not None
    assert actions(world.step())


@pytest.mark.parametrize("side", Side)
def test_in_an_opening_auction_a_bots_orders_rest_until_the_uncross(side):
    world = BotWorld(used={"a": 60, "b": 140}, opening_auction_s=3, period_s=50)
    if side is Side.SELL:
        world.bot("a", "x", "sell_idle", min_price=3)
        world.buy("b", 10, 5)
    else:
        world.bot("b", "x", "buy_ahead", max_price=5)
        world.sell("a", 10, 3)
    came = world.step(2)
    assert trades(came) == []
    came = world.step(3)
    assert [trade[4] for trade in trades(came)] == [10]


def test_taking_only_what_is_there():
    world = BotWorld(used={"a": 60}, period_s=50)
    world.bot("a", "x", "sell_idle", min_price=3, tif="IOC")
    world.step(2)
    assert world.reason("a", "x") == ("nothing_offered", "tif")
    world.buy("b", 10, 3)
    world.buy("c", 90, 2)
    came = world.step(3)
    assert [trade[1:] for trade in trades(came)] == [("b", "a", 3, 10)]
    assert world.orders("a", "x") == []


def test_settings_are_told_whole():
    world = BotWorld()
    conditions = [{"on": "price", "op": "between", "value": 1, "upper": 9}, {"on": "time_of_day", "op": "above", "value": "01:00"}]
    (told,) = of_kind(world.bot("a", "x", "sell_idle", min_price=3, margin="0.25", conditions=conditions), BotSet)
    assert (told.tenant, told.name, told.min_price, told.margin) == ("a", "x", 3, 250_000)
    assert (told.time, told.present) == (world.state.now_ms, world.present)
    columns = (told.condition_on, told.condition_op, told.condition_value, told.condition_upper)
    assert list(zip(*columns, strict=True)) == [("price", "between", 1, 9), ("time_of_day", "above", 3600, None)]
