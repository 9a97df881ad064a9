"""Limits and depths, beside what the facts alone say of them."""

import random
from collections import Counter

import pytest
from journal_world import rows, usage
from market_world import MarketWorld

from processors.market.data import LEVELS, depth_of, limit, limits
from schemas.facts import AllocationsOpened, PeriodOpened
from schemas.market_facts import OrderEventKind, OrderEvents, Trades, TransferEventKind, TransferEvents
from schemas.trading import Side

TENANTS = ("a", "b", "c", "d")


def trade_at_random(world, chance, moves):
    """Random moves of tenants; periods go on meanwhile. Yields after each."""
    tick = 11
    for _ in range(moves):
        tenant, other = chance.sample(TENANTS, 2)
        period = world.present + chance.choice([0, 0, 0, 1, 2])
        orders = [
            order.id.split("\n")[-1]
            for instrument in world.market.instruments.values()
            for order in instrument.book.orders.values()
        ]
        match chance.randrange(9):
            case 0 | 1:
                world.sell(tenant, chance.randint(1, 40), chance.randint(1, 20), period=period)
            case 2 | 3:
                world.buy(tenant, chance.randint(1, 40), chance.randint(1, 20), period=period)
            case 4 if orders:
                world.cancel(tenant, chance.choice(orders), period=period)
            case 5:
                world.transfer(tenant, other, tokens=chance.randint(1, 30), period=period)
            case 6:
                offer = f"offer-{len(world.facts)}"
                world.transfer(
                    tenant, other, id=offer, tokens=chance.randint(1, 30), for_money=chance.randint(1, 90), period=period
                )
                if chance.random() < 0.5:
                    world.accept(other, tenant, offer, period=period)
            case 7:
                world.take(usage(tick, {tenant: chance.randint(1, 60)}))
            case _:
                world.run(tick, tick)
                tick += 1
        yield


def told_by_facts(facts):
    """tenant -> what it has of the open period less what it offers of it."""
    at = max(index for index, fact in enumerate(facts) if isinstance(fact, PeriodOpened))
    has = Counter(rows(facts[at:], AllocationsOpened, "allocated"))
    of_period = [(index > at, fact) for index, fact in enumerate(facts) if getattr(fact, "period", None) == facts[at].period]
    for opened, fact in of_period:
        if opened and isinstance(fact, Trades):
            for buyer, seller, qty in zip(fact.buyer, fact.seller, fact.qty, strict=True):
                has.update({buyer: qty})
                has.subtract({seller: qty})
        elif opened and isinstance(fact, TransferEvents) and fact.event[0] in {TransferEventKind.DONE, TransferEventKind.ACCEPTED}:
            has.update({fact.to[0]: fact.tokens[0]})
            has.subtract({fact.tenant[0]: fact.tokens[0]})
    for (tenant, _), left in offered(fact for _, fact in of_period).items():
        has.subtract({tenant: left})
    return has


def offered(facts):
    """(tenant, order or transfer) -> tokens that are still offered."""
    left = {}
    for fact in facts:
        if isinstance(fact, OrderEvents):
            columns = zip(fact.tenant, fact.order_id, fact.event, fact.side, fact.open, strict=True)
            left |= {
                (tenant, order): opened
                for tenant, order, event, side, opened in columns
                if event is not OrderEventKind.REJECTED and side is Side.SELL
            }
        elif isinstance(fact, TransferEvents):
            left[fact.tenant[0], fact.transfer_id[0]] = fact.tokens[0] if fact.event == [TransferEventKind.OFFERED] else 0
    return left


@pytest.mark.parametrize("seed", range(8))
def test_limits_are_what_the_facts_say(seed):
    world = MarketWorld(TENANTS, meters=1)
    for _ in trade_at_random(world, random.Random(seed), 120):
        pool = world.pool()
        told = told_by_facts(world.facts)
        assert {name: limit(pool, slot) for name, slot in pool.tenants.slots.items()} == {
            name: max(told[name], 0) for name in pool.tenants.slots
        }
        assert limits(pool).tolist() == [limit(pool, slot) for slot in range(len(pool.tenants))]


def test_depth_shows_the_best_levels_of_each_side():
    world = MarketWorld()
    for price in range(1, 15):
        world.buy("a", 2, price)
        world.buy("b", 3, price)
        world.sell("c", 1, 100 + price)
    world.sell("c", 4, 14)
    depth = depth_of("llm", world.market.instruments[world.present], 77)
    assert list(zip(depth.bid_price, depth.bid_qty, strict=True)) == [(14, 1), *((price, 5) for price in range(13, 4, -1))]
    assert list(zip(depth.ask_price, depth.ask_qty, strict=True)) == [(100 + price, 1) for price in range(1, 11)]
    assert len(depth.bid_price) == LEVELS
    assert (depth.pool, depth.period, depth.phase, depth.last_price, depth.volume) == ("llm", world.present, "continuous", 14, 4)
    assert depth.journal_offset == 77
