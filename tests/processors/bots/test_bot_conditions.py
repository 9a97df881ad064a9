"""Conditions, each at its edges: a bot acts in a period only where all of its conditions hold there."""

import pytest
from bot_world import BotWorld, actions

from processors.bots.conditions import holds
from processors.bots.settings import Condition
from schemas.bots import Comparison, Subject

COMPARED = [  # (subject, op, value, upper, found, holds)
    ("price", "above", 5, None, 6, True),
    ("price", "above", 5, None, 5, False),
    ("price", "below", 5, None, 4, True),
    ("price", "below", 5, None, 5, False),
    ("price", "between", 5, 7, 5, True),
    ("price", "between", 5, 7, 7, True),
    ("price", "between", 5, 7, 4, False),
    ("price", "between", 5, 7, 8, False),
    ("position", "below", -3, None, -4, True),
    ("position", "between", -3, -3, -3, True),
    ("time_of_day", "between", 100, 200, 150, True),
    ("time_of_day", "between", 100, 200, 201, False),
    ("time_of_day", "between", 80_000, 100, 79_999, False),
    ("time_of_day", "between", 80_000, 100, 80_000, True),
    ("time_of_day", "between", 80_000, 100, 0, True),
    ("time_of_day", "between", 80_000, 100, 100, True),
    ("time_of_day", "between", 80_000, 100, 101, False),
]


@pytest.mark.parametrize("case", COMPARED, ids=lambda case: "-".join(map(str, case)))
def test_a_comparison(case):
    on, op, value, upper, found, expected = case
    assert holds(Condition(Subject(on), Comparison(op), value, upper), found) is expected


def a_world():
    """Of the present period a is expected to use 60 of 100, has used 35, bought 20 and sold 5, the last at a price of 9."""
    world = BotWorld(used={"a": 60}, period_s=10, forward_periods=2)
    world.use(a=35)
    world.sell("b", 20, 8)
    world.buy("a", 20, 8)
    world.buy("b", 5, 9)
    world.sell("a", 5, 9)
    return world


FOUND = {"forecast": 60, "allocated": 115, "position": 15, "price": 9, "used": 35, "utilisation": 30, "time_of_day": 21}


@pytest.mark.parametrize("subject", Subject)
@pytest.mark.parametrize(
    ("op", "off", "expected"), [("above", -1, True), ("above", 0, False), ("below", 1, True), ("below", 0, False)]
)
def test_a_condition_on_the_present_period(subject, op, off, expected):
    world = a_world()
    assert world.state.tick == 20
    world.bot("a", "x", "sell_idle", min_price=50, conditions=[{"on": subject, "op": op, "value": FOUND[subject] + off}])
    world.step()
    assert bool(world.orders("a", "x")) is expected
    assert world.reason("a", "x") == (("", "") if expected else ("condition", subject))


AHEAD = {"forecast": 60, "allocated": 93, "position": -7, "price": 4, "used": 35, "utilisation": 30}


@pytest.mark.parametrize("subject", AHEAD)
@pytest.mark.parametrize(("off", "expected"), [(-1, True), (0, False)])
def test_a_condition_on_a_period_to_come(subject, off, expected):
    world = a_world()
    world.buy("b", 7, 4, period=world.present + 1)
    world.sell("a", 7, 4, period=world.present + 1)
    condition = {"on": subject, "op": "above", "value": AHEAD[subject] + off}
    world.bot("a", "x", "sell_idle", min_price=50, first_ahead=1, last_ahead=1, conditions=[condition])
    world.step()
    assert bool(world.all_orders("a", "x")) is expected


def test_while_nothing_was_traded_no_condition_on_the_price_holds():
    world = BotWorld(used={"a": 60})
    conditions = [{"on": "price", "op": "between", "value": -(2**63), "upper": 2**63 - 1}]
    world.bot("a", "x", "sell_idle", min_price=3, conditions=conditions)
    came = world.step()
    assert actions(came, "reason", "field") == [("condition", "price")]
    assert "unknown" in actions(came, "detail")[0][0]


def test_each_period_is_judged_by_itself():
    world = BotWorld(used={"a": 60}, forward_periods=3)
    for ahead, price in ((0, 7), (2, 9)):
        world.buy("b", 1, price, period=world.present + ahead)
        world.sell("c", 1, price, period=world.present + ahead)
    world.bot("a", "x", "sell_idle", min_price=50, last_ahead=3, conditions=[{"on": "price", "op": "above", "value": 8}])
    world.step()
    assert list(world.all_orders("a", "x")) == [2]
    assert world.reason("a", "x") == ("condition", "price")


def test_all_conditions_must_hold_and_the_first_that_does_not_is_told():
    world = a_world()
    good = {"on": "forecast", "op": "above", "value": 1}
    world.bot("a", "x", "sell_idle", min_price=50, conditions=[good, good])
    bad = {"on": "used", "op": "above", "value": 35}
    world.bot("a", "y", "sell_idle", min_price=50, conditions=[good, bad, {"on": "price", "op": "above", "value": 99}])
    world.step()
    assert world.orders("a", "x")
    assert not world.orders("a", "y")
    assert world.reason("a", "y") == ("condition", "used")


def test_orders_go_back_when_a_condition_ceases_to_hold_and_come_again():
    world = a_world()
    conditions = [{"on": "time_of_day", "op": "between", "value": 22, "upper": 23}]
    world.bot("a", "x", "sell_idle", min_price=50, conditions=conditions)
    stood = [bool(world.orders("a", "x")) for tick in range(21, 26) if world.step()]
    assert stood == [False, True, True, False, False]
    world.jump(86_400 + 22)
    assert world.orders("a", "x")


def test_a_quantity_that_is_zero_makes_no_utilisation_of_nothing():
    world = BotWorld(base=0, capacity=0)
    world.bot("a", "x", "sell_idle", min_price=3, conditions=[{"on": "utilisation", "op": "above", "value": 0}])
    world.use(a=3)
    world.step()
    assert world.reason("a", "x")[0] == "nothing_idle"  # 300 %: the condition holds, and there is nothing to sell
