"""Holds of orders: one for each order of each instrument."""

from market_world import MarketWorld


def test_an_id_that_is_used_in_two_instruments_names_two_holds():
    world = MarketWorld()
    for period in (5, 6):
        world.buy("a", 10, 100, period=period, id="o1")
        world.sell("b", 10, 200, period=period, id="o1")
    assert world.held("a") == 2_000
    world.cancel("a", "o1", period=5)
    assert (world.held("a"), world.held("b", 5), world.held("b", 6)) == (1_000, 10, 10)
    world.sell("c", 10, 100, period=6)
    assert (world.held("a"), world.money("a")) == (0, 999_000)
