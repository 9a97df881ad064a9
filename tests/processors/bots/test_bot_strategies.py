"""What each strategy orders, as tables: the rule, its limits, and what it says where it orders nothing."""

import pytest
from bot_world import BotWorld, actions, trades

IDLE = [  # (case, settings, the bot's offers by how far their period is ahead, why no more)
    ("what is not forecast", {}, {0: [("sell", 3, 40)]}, ""),
    ("at its least price", {"min_price": 8}, {0: [("sell", 8, 40)]}, ""),
    ("less a margin, rounded up", {"margin": "0.11"}, {0: [("sell", 3, 33)]}, ""),
    ("less what it keeps", {"keep": 15}, {0: [("sell", 3, 25)]}, ""),
    ("with both nothing is left", {"margin": "0.5", "keep": 10}, {}, "nothing_idle"),
    ("of periods to come", {"first_ahead": 1, "last_ahead": 2}, {1: [("sell", 3, 40)], 2: [("sell", 3, 40)]}, ""),
    ("of all of them", {"last_ahead": 50}, {ahead: [("sell", 3, 40)] for ahead in range(4)}, ""),
    ("no period that is not traded", {"first_ahead": 4, "last_ahead": 9}, {}, "not_traded"),
    ("within its position", {"min_position": -15}, {0: [("sell", 3, 15)]}, "position"),
    ("a position of zero sells nothing", {"min_position": 0}, {}, "position"),
    ("nothing that is not worth it", {"min_qty": 41}, {}, "too_small"),
    ("what is worth it", {"min_qty": 40}, {0: [("sell", 3, 40)]}, ""),
    ("nobody bids for it now", {"tif": "IOC"}, {}, "nothing_offered"),
]


@pytest.mark.parametrize(("settings", "orders", "reason"), [case[1:] for case in IDLE], ids=[case[0] for case in IDLE])
def test_sell_idle(settings, orders, reason):
    world = BotWorld(used={"a": 60}, forward_periods=3)
    world.bot("a", "x", "sell_idle", **{"min_price": 3, **settings})
    world.step()
    assert world.all_orders("a", "x") == orders
    assert world.reason("a", "x")[0] == reason


AHEAD = [  # of b, which has 100, used 130, and may pay 1,000
    ("what is missing", {}, {0: [("buy", 5, 30)]}, ""),
    ("and a margin, rounded up", {"margin": "0.1"}, {0: [("buy", 5, 43)]}, ""),
    ("and what it keeps", {"keep": 7}, {0: [("buy", 5, 37)]}, ""),
    ("of periods to come", {"first_ahead": 2, "last_ahead": 3}, {2: [("buy", 5, 30)], 3: [("buy", 5, 30)]}, ""),
    ("up to its position", {"max_position": 12}, {0: [("buy", 5, 12)]}, "position"),
    ("up to its budget, fees included", {"budget": 100}, {0: [("buy", 5, 18)]}, ""),
    ("one budget for all periods", {"budget": 200, "last_ahead": 3}, {0: [("buy", 5, 30)], 1: [("buy", 5, 7)]}, "budget"),
    ("a budget below one token", {"budget": 4}, {}, "budget"),
    ("up to its account", {"max_price": 80}, {0: [("buy", 80, 11)]}, ""),
    ("dearer than its account", {"max_price": 2_000}, {}, "insufficient_money"),
    ("nothing that is not worth it", {"min_qty": 31}, {}, "too_small"),
    ("nobody offers it now", {"tif": "IOC"}, {}, "nothing_offered"),
]


@pytest.mark.parametrize(("settings", "orders", "reason"), [case[1:] for case in AHEAD], ids=[case[0] for case in AHEAD])
def test_buy_ahead(settings, orders, reason):
    world = BotWorld(used={"b": 130}, forward_periods=3, taker_fee_bp=800, money=1_000)
    world.bot("b", "x", "buy_ahead", **{"max_price": 5, **settings})
    world.step()
    assert world.all_orders("b", "x") == orders
    if reason:
        assert world.reason("b", "x")[0] == reason


def test_buy_ahead_buys_nothing_where_nothing_is_missing():
    world = BotWorld(used={"b": 100})
    world.bot("b", "x", "buy_ahead", max_price=5)
    world.step()
    assert world.all_orders("b", "x") == {}
    assert world.reason("b", "x") == ("nothing_missing", "forecast")


def test_buy_ahead_counts_what_is_used_already():
    world = BotWorld(used={"b": 20}, period_s=4)
    world.bot("b", "x", "buy_ahead", max_price=5)
    world.use(b=117)
    world.step()
    assert world.orders("b", "x") == [("buy", 5, 17)]


def test_idle_tokens_meet_missing_ones_and_then_nobody_wants_more():
    world = BotWorld(used={"a": 60, "b": 130}, forward_periods=1)
    world.bot("a", "seller", "sell_idle", min_price=3, last_ahead=1)
    world.bot("b", "buyer", "buy_ahead", max_price=5, last_ahead=1)
    came = world.step()
    present = world.present
    assert trades(came) == [(present, "b", "a", 3, 30), (present + 1, "b", "a", 3, 30)]
    assert world.all_orders("a", "seller") == {0: [("sell", 3, 10)], 1: [("sell", 3, 10)]}
    assert world.all_orders("b", "buyer") == {}
    world.use(a=60, b=130)
    world.close()
    came = world.step()
    # Delivered: the next period is as they wanted it, the one after it has become the next.
    assert world.value("b", "bought") == world.value("a", "sold") == 30
    assert trades(came) == [(present + 2, "b", "a", 3, 30)]


def test_sell_idle_takes_back_what_the_forecast_needs_now():
    world = BotWorld(used={"a": 60}, forward_periods=2)
    world.bot("a", "x", "sell_idle", min_price=3, first_ahead=1, last_ahead=2)
    world.step()
    assert world.all_orders("a", "x") == {1: [("sell", 3, 40)], 2: [("sell", 3, 40)]}
    world.use(a=75)
    world.close()
    world.step()
    # What was the next period is the present one, of which it offers nothing.
    assert world.all_orders("a", "x") == {1: [("sell", 3, 25)], 2: [("sell", 3, 25)]}


def test_sell_idle_takes_the_newest_back_first_and_leaves_the_rest_in_its_place():
    world = BotWorld(used={"a": 60}, forward_periods=2, period_s=10)
    world.bot("a", "x", "sell_idle", min_price=3, first_ahead=1, last_ahead=2)
    world.step()
    world.transfer("b", "a", period=world.present + 2, tokens=20)
    assert actions(world.step(), "action", "qty", "reason") == [("placed", 20, "")]
    assert world.orders("a", "x", ahead=2) == [("sell", 3, 40), ("sell", 3, 20)]
    first = actions(world.facts, "action", "order_id")[1]
    world.use(a=85)
    world.close()
    came = world.step()
    # First all of what is the present period now, then the excess of what is the next.
    assert actions(came, "action", "qty")[:3] == [("cancelled", 40), ("cancelled", 20), ("reduced", 5)]
    assert actions(came, "order_id")[2] == first[1:]
    assert world.orders("a", "x", ahead=1) == [("sell", 3, 35)]


def test_sell_idle_offers_nothing_once_more_is_used_than_forecast():
    world = BotWorld(used={"a": 60}, period_s=10)
    world.bot("a", "x", "sell_idle", min_price=3)
    world.step()
    assert world.orders("a", "x") == [("sell", 3, 40)]
    world.use(a=60)
    world.step()
    assert world.orders("a", "x") == [("sell", 3, 40)]
    world.use(a=1)
    world.step()
    assert world.orders("a", "x") == []
    assert world.reason("a", "x") == ("nothing_idle", "used")


def test_sell_idle_leaves_what_the_tenant_offers_itself_alone():
    world = BotWorld(used={"a": 60})
    world.sell("a", 25, 9)
    world.bot("a", "x", "sell_idle", min_price=3)
    world.step()
    assert world.orders("a", "x") == [("sell", 3, 15)]
    assert len(world.market.instruments[world.present].book.orders) == 2


QUOTES = [  # the reference is 100 where the last trade was, mid 96; spread 6 ticks of 2
    ("last", {}, [("buy", 94, 10), ("sell", 106, 10)]),
    ("mid", {"reference": "mid"}, [("buy", 90, 10), ("sell", 102, 10)]),
    ("given", {"reference": "given", "reference_price": 50}, [("buy", 44, 10), ("sell", 56, 10)]),
    ("an odd reference goes down", {"reference": "given", "reference_price": 51}, [("buy", 44, 10), ("sell", 56, 10)]),
    ("an odd spread goes down", {"spread_ticks": 5}, [("buy", 94, 10), ("sell", 104, 10)]),
    ("never dearer than", {"max_price": 91}, [("buy", 90, 10), ("sell", 106, 10)]),
    ("never cheaper than", {"min_price": 109}, [("buy", 94, 10), ("sell", 110, 10)]),
    ("short of its limit", {"min_position": -4}, [("buy", 94, 10), ("sell", 106, 4)]),
    ("at its limit it only sells", {"max_position": 0}, [("sell", 106, 10)]),
    ("within its budget", {"budget": 500}, [("buy", 94, 5), ("sell", 106, 10)]),
    ("no more than it has", {"qty": 500, "min_position": -500}, [("buy", 94, 500), ("sell", 106, 100)]),
    ("below the band there is no bid", {"reference": "given", "reference_price": 24}, [("sell", 30, 10)]),
    ("above the band there is no offer", {"reference": "given", "reference_price": 397}, [("buy", 390, 10)]),
]


@pytest.mark.parametrize(("settings", "quotes"), [case[1:] for case in QUOTES], ids=[case[0] for case in QUOTES])
def test_market_maker(settings, quotes):
    world = BotWorld(price_tick=2, price_min=20, price_max=400)
    world.sell("a", 1, 100)
    world.buy("b", 1, 100)
    if settings.get("reference") == "mid":
        world.buy("a", 1, 70)
        world.sell("b", 1, 122)
    world.bot("c", "x", "market_maker", **{
        "reference": "last", "spread_ticks": 6, "qty": 10, "min_position": -1_000, "max_position": 1_000, **settings
    })  # fmt: skip
    world.step()
    assert world.orders("c", "x") == quotes


def quoting(**settings):
    world = BotWorld(period_s=100, used={})
    fixed = {"reference": "last", "reference_price": 100, "spread_ticks": 10, "qty": 20, "min_position": -30, "max_position": 30}
    world.bot("c", "x", "market_maker", **{**fixed, **settings})
    world.step()
    assert world.orders("c", "x") == [("buy", 95, 20), ("sell", 105, 20)]
    return world


def traded_at(world, price):
    """Others trade at a price between the quotes."""
    world.sell("a", 1, price)
    world.buy("b", 1, price)


def test_quotes_stand_as_long_as_they_are_right():
    world = quoting(tolerance_ticks=3)
    traded_at(world, 103)
    assert actions(world.step(3)) == []
    traded_at(world, 104)
    came = world.step()
    assert actions(came, "action", "side", "price", "qty") == [
        ("cancelled", "buy", 95, 20),
        ("cancelled", "sell", 105, 20),
        ("placed", "buy", 99, 20),
        ("placed", "sell", 109, 20),
    ]


def test_a_quote_that_is_filled_in_part_is_topped_up_where_it_is_worth_it():
    world = quoting(min_qty=5, reference="given")
    world.buy("a", 4, 105)
    assert actions(world.step(2)) == []
    assert world.orders("c", "x") == [("buy", 95, 20), ("sell", 105, 16)]
    world.buy("a", 1, 105)
    world.step()
    assert world.orders("c", "x") == [("buy", 95, 20), ("sell", 105, 15), ("sell", 105, 5)]


def test_inventory_stays_within_its_limits_and_the_quotes_show_it():
    world = quoting(reference="given")
    for qty in (20, 20, 20):
        world.sell("a", qty, 95, tif="IOC")
        world.step()
    assert world.market.instruments[world.present].inventories == {("c", "x"): 30}
    assert world.orders("c", "x") == [("sell", 105, 20)]
    assert world.reason("c", "x") == ("position", "max_position")
    world.buy("a", 20, 105)
    world.step()
    assert world.orders("c", "x") == [("buy", 95, 20), ("sell", 105, 20)]


def test_without_any_price_nothing_is_quoted():
    world = BotWorld()
    world.bot("c", "x", "market_maker", reference="mid", spread_ticks=2, qty=5, min_position=-5, max_position=5)
    world.step()
    assert world.orders("c", "x") == []
    assert world.reason("c", "x") == ("no_reference", "reference")


def test_quotes_go_when_the_reference_does():
    world = BotWorld(period_s=10)
    world.buy("a", 5, 90, id="bid")
    world.sell("b", 5, 110)
    world.bot("c", "x", "market_maker", reference="mid", spread_ticks=4, qty=5, min_position=-5, max_position=5)
    world.step(3)
    # Its own quotes are the best of the book, and move nothing.
    assert world.orders("c", "x") == [("buy", 98, 5), ("sell", 102, 5)]
    world.cancel("a", "bid")
    world.step()
    assert world.orders("c", "x") == []


def test_orders_of_the_own_tenant_are_never_met():
    world = quoting(reference="given")
    world.cancel("c", actions(world.facts, "order_id")[0][0])
    world.sell("c", 5, 94)
    came = world.step(3)
    assert trades(came) == []
    assert world.orders("c", "x") == [("sell", 105, 20)]
    assert world.reason("c", "x") == ("self_trade", "")
    assert len(actions(came)) == 1


DAY = 86_400


def scheduled(**settings):
    """A world at 01:00 of a day, periods of an hour, and a bot of tenant a."""
    world = BotWorld(period_s=3600, forward_periods=3)
    world.bot("a", "x", "schedule", **{"side": "buy", "qty": 5, "max_price": 7, **settings})
    return world


MOMENTS = [  # (settings, ticks, at which of them something was placed)
    ({"at": ["02:30"]}, [3601, 8999, 9000, 9001, 9002], [9000]),
    ({"at": ["02:30"]}, [3601, 9007, 9008], [9007]),
    ({"at": ["00:30"]}, [3601, 3602, 40_000, DAY + 1799, DAY + 1800, DAY + 1801], [DAY + 1800]),
    ({"at": ["02:30", "03:30", "03:45"]}, [9000, 9001, 13_600, 13_601, DAY + 9000], [9000, 13_600, DAY + 9000]),
    ({"at": ["02:30", "23:00"]}, [9000, DAY + 10, DAY + 9000], [9000, DAY + 10, DAY + 9000]),
    ({"at": ["23:59:59", "00:00"]}, [DAY - 2, DAY - 1, DAY, DAY + 1], [DAY - 1, DAY]),
    ({"every_periods": 1}, [3601, 7199, 7200, 7201, 7202, 10_800, 10_805], [7201, 10_805]),
    ({"every_periods": 3}, [3601, 7200, 7201, 10_800, 10_801, 14_400, 14_401, 21_600, 21_601], [10_801, 21_600]),
    ({"every_periods": 2}, [3601, 7205, 7206, 7207, 10_800, 14_400, 14_401], [7205, 14_401]),
]


@pytest.mark.parametrize(("settings", "ticks", "placed"), MOMENTS, ids=[str(case[0]) for case in MOMENTS])
def test_schedule(settings, ticks, placed):
    world = scheduled(**settings)
    done = [number for number in ticks if ("placed",) in actions(world.run(number, number), "action")]
    assert done == placed


def test_a_scheduled_order_stands_by_itself():
    world = scheduled(at=["02:30", "02:40"], first_ahead=1, last_ahead=2)
    world.run(9000, 9001)
    assert world.all_orders("a", "x") == {1: [("buy", 7, 5)], 2: [("buy", 7, 5)]}
    world.run(9600, 9600)
    assert world.all_orders("a", "x") == {1: [("buy", 7, 5)] * 2, 2: [("buy", 7, 5)] * 2}
    world.run(10_800, 10_800)
    assert world.all_orders("a", "x") == {0: [("buy", 7, 5)] * 2, 1: [("buy", 7, 5)] * 2}


SCHEDULED = [
    ({}, [("buy", 7, 5)] * 3, None),
    ({"max_position": 12}, [("buy", 7, 5), ("buy", 7, 5), ("buy", 7, 2)], ("position", "max_position")),
    ({"max_position": 10}, [("buy", 7, 5)] * 2, ("position", "max_position")),
    ({"budget": 80}, [("buy", 7, 5), ("buy", 7, 5), ("buy", 7, 1)], ("budget", "budget")),
    ({"side": "sell", "max_price": None, "min_price": 9, "qty": 45}, [("sell", 9, 45), ("sell", 9, 45), ("sell", 9, 10)],
     ("insufficient_tokens", "qty")),
    ({"side": "sell", "max_price": None, "min_price": 9, "min_position": -7}, [("sell", 9, 5), ("sell", 9, 2)],
     ("position", "min_position")),
    ({"tif": "IOC"}, [], ("nothing_offered", "tif")),
    ({"conditions": [{"on": "time_of_day", "op": "above", "value": "02:35"}]}, [("buy", 7, 5)] * 2, None),
]  # fmt: skip


@pytest.mark.parametrize(("settings", "orders", "reason"), SCHEDULED, ids=[str(case[0]) for case in SCHEDULED])
def test_scheduled_orders_count_for_the_limits(settings, orders, reason):
    world = scheduled(at=["02:30", "02:40", "02:50"], **settings)
    for number in (9000, 9600, 10_200):
        told = actions(world.run(number, number), "action", "reason", "field")
        assert told  # what came of a moment is always told
    assert world.orders("a", "x") == orders
    if reason is not None:
        assert told[-1] == ("rests", *reason)
