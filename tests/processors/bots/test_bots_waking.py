"""What wakes a bot: each thing that its last evaluation read, changed by itself while the rest of its world stands still."""

from bot_world import BotWorld, actions, trades
from journal_world import profile

from schemas.market import DepositCommand


def asleep(world, tenant="a", name="x"):
    """The bot has come to rest: its last evaluation came to nothing."""
    world.step(3)
    assert world.get(tenant, name).nap is not None
    return world


def selling(**settings):
    world = BotWorld(used={"a": 60}, period_s=100, forward_periods=2)
    world.bot("a", "x", "sell_idle", min_price=3, **settings)
    return world


def test_a_world_that_stands_still_lets_bots_sleep():
    world = asleep(selling())
    nap = world.get("a", "x").nap
    world.use(b=7)
    world.bot("b", "y", "sell_idle", min_price=9)
    world.step(20)
    assert world.get("a", "x").nap is nap


def test_used_tokens():
    world = asleep(selling(min_position=-15))
    assert world.orders("a", "x") == [("sell", 3, 15)]
    world.use(a=61)  # it has enough for what it offers: nothing is withdrawn
    world.step()
    assert world.orders("a", "x") == []


def test_used_tokens_where_only_a_condition_reads_them():
    world = asleep(selling(first_ahead=1, last_ahead=1, conditions=[{"on": "utilisation", "op": "below", "value": 50}]))
    assert world.all_orders("a", "x") == {1: [("sell", 3, 40)]}
    world.use(a=50)
    world.step()
    assert world.all_orders("a", "x") == {}


def test_used_tokens_that_nothing_reads_wake_nobody():
    world = asleep(selling(first_ahead=1, last_ahead=1))
    nap = world.get("a", "x").nap
    world.use(a=50)
    world.step()
    assert world.get("a", "x").nap is nap


def test_the_time_of_day():
    world = selling(conditions=[{"on": "time_of_day", "op": "above", "value": 210}])
    stood = [world.state.tick for _ in range(20) if world.step() and world.orders("a", "x")]
    assert stood == list(range(211, 221))
    world.jump(86_400)
    assert world.orders("a", "x") == []


def test_the_time_of_day_below_and_past_midnight():
    world = BotWorld(used={}, period_s=100)
    world.bot("a", "early", "sell_idle", min_price=3, conditions=[{"on": "time_of_day", "op": "below", "value": 210}])
    world.bot("a", "day", "sell_idle", min_price=3, conditions=[{"on": "time_of_day", "op": "between", "value": 208, "upper": 212}])
    stood = {"early": [], "day": []}
    for _ in range(20):
        world.step()
        for name, ticks in stood.items():
            ticks.extend([world.state.tick] if world.get("a", name).reason != "condition" else [])
    assert stood == {"early": list(range(201, 210)), "day": list(range(208, 213))}


def test_money():
    world = BotWorld(used={"a": 130}, period_s=100, money=0)
    world.bot("a", "x", "buy_ahead", max_price=5)
    asleep(world)
    world.take(DepositCommand(id="d", pool="llm", tenant="a", amount=50))
    world.step()
    assert world.orders("a", "x") == [("buy", 5, 10)]


def test_tokens_that_are_given():
    world = asleep(selling())
    world.transfer("b", "a", tokens=7)
    world.step()
    assert world.orders("a", "x") == [("sell", 3, 40), ("sell", 3, 7)]


def test_a_profile():
    world = BotWorld(used={"a": 60}, period_s=100, forward_periods=2, capacity=400)
    world.bot("a", "x", "sell_idle", min_price=3, first_ahead=1, last_ahead=1)
    asleep(world)
    world.take(profile("more", "a", base=130))
    world.step()
    assert world.all_orders("a", "x") == {1: [("sell", 3, 40), ("sell", 3, 30)]}


def test_an_order_that_its_tenant_cancels_comes_again():
    world = asleep(selling())
    world.cancel("a", actions(world.facts, "order_id")[0][0])
    world.step()
    assert world.orders("a", "x") == [("sell", 3, 40)]


def test_an_order_whose_price_its_tenant_changes_without_its_hold():
    world = asleep(selling())
    world.replace("a", actions(world.facts, "order_id")[0][0], 9, 40)
    world.step()
    assert world.orders("a", "x") == [("sell", 3, 40)]


def test_the_last_price():
    world = asleep(selling(conditions=[{"on": "price", "op": "above", "value": 8}]))
    world.sell("b", 1, 9)
    world.buy("c", 1, 9)
    world.step()
    assert world.orders("a", "x") == [("sell", 3, 40)]


def test_other_peoples_quotes():
    world = BotWorld(period_s=100)
    world.bot("c", "x", "market_maker", reference="mid", spread_ticks=4, qty=5, min_position=-5, max_position=5)
    asleep(world, "c")
    world.buy("a", 5, 90)
    world.sell("b", 5, 110)
    world.step()
    assert world.orders("c", "x") == [("buy", 98, 5), ("sell", 102, 5)]


def test_a_bid_for_who_takes_only_what_is_there():
    world = selling(tif="IOC")
    world.step(3)
    world.buy("b", 5, 4)
    assert [trade[1:] for trade in trades(world.step())] == [("b", "a", 4, 5)]


def test_a_better_bid_than_the_own_one():
    """Its offer would meet its tenant's own bid first: somebody else's bid above that is none of its tenant's affairs."""
    world = BotWorld(used={"a": 60}, period_s=100)
    world.buy("a", 1, 5)
    world.bot("a", "x", "sell_idle", min_price=3)
    world.step(3)
    assert world.reason("a", "x") == ("self_trade", "")
    world.buy("b", 10, 6)
    assert [trade[1:] for trade in trades(world.step())] == [("b", "a", 6, 10)]


def test_a_bid_for_an_order_that_may_not_rest():
    """One order more than its tenant may have open may still trade whole at once."""
    world = BotWorld(used={"a": 60}, period_s=100, max_open_orders=1)
    world.sell("a", 5, 9)
    world.bot("a", "x", "sell_idle", min_price=3)
    world.step(3)
    assert world.reason("a", "x") == ("too_many_orders", "id")
    world.buy("b", 35, 3)
    assert [trade[1:] for trade in trades(world.step())] == [("b", "a", 3, 35)]


def test_a_budgets_next_window():
    world = BotWorld(used={"a": 130}, period_s=100)
    world.bot("a", "x", "buy_ahead", max_price=5, budget=50, budget_window_s=30)
    world.sell("b", 10, 5)
    asleep(world)
    assert world.orders("a", "x") == []
    world.jump((world.state.tick // 30 + 1) * 30)
    assert world.orders("a", "x") == [("buy", 5, 10)]


def test_a_new_period():
    world = asleep(selling(first_ahead=1, last_ahead=1))
    world.use(a=80)
    world.close()
    world.step()
    assert world.all_orders("a", "x") == {1: [("sell", 3, 20)]}
