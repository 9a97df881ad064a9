"""A market in which everything happens: what a pool's tenants publish in some periods, seeded."""

import random

from journal_world import pool, usage
from market_world import MarketWorld, fresh

from schemas.market import CallCommand

TENANTS = ("ann", "ben", "cat", "dan")
TERMS = {"maker_fee_bp": 5, "taker_fee_bp": 20, "forward_periods": 4, "offer_unsold": True, "reserve_price": 90}


def busy(seed=0, periods=4, orders=60, later=None, **terms):
    """Periods 5 to 5 + periods: limit and market orders, changes of them, transfers, exchanges, usage, capacity that falls.

    `later`: terms that hold from then on.
    """
    rng = random.Random(seed)
    world = MarketWorld(TENANTS, base=100, money=10_000_000, capacity=450, **(TERMS | terms))
    for number in range(periods):
        for _ in range(orders):
            step(world, rng)
        if rng.random() < 0.5:
            world.take(usage(2 * world.present + 1, {name: rng.randrange(60) for name in TENANTS}, pool="llm"))
        if number == periods // 2:  # less than the bases that were sold: deliveries shrink
            world.take(pool(fresh("pool"), capacity=250, **{"allow_unsigned": True, **TERMS, **terms, **(later or {})}))
        world.period(world.present)
    return world


def step(world, rng):
    tenant, other = rng.sample(TENANTS, 2)
    period = world.present + rng.choice((0, 0, 1, 1, 2, 4))
    price = rng.randrange(80, 120)
    kind = rng.random()
    instrument = world.market.instruments.get(period)
    mine = [] if instrument is None else [each for each in instrument.book.orders.values() if each.acct == f"tenant/{tenant}"]
    calling = instrument is not None and instrument.book.phase == "auction"
    if calling and kind < 0.3:
        world.take(CallCommand(id=fresh("call"), pool="llm", period=period, action="uncross"))
    elif kind < 0.62:
        rest = rng.choice(({}, {}, {}, {}, {}, {"tif": "IOC"}, {"tif": "FOK"}, {"post_only": True}, {"stp": "cancel_maker"}))
        world.order(tenant, rng.choice(("buy", "sell")), rng.randrange(1, 30), price, period=period, **rest)
    elif kind < 0.70:
        world.order(tenant, rng.choice(("buy", "sell")), rng.randrange(1, 20), period=period)
    elif kind < 0.84 and mine:
        order = rng.choice(mine).id.partition("\n")[2]
        change = rng.randrange(3)
        if change == 0:
            world.cancel(tenant, order, period=period)
        elif change == 1:
            world.reduce(tenant, order, rng.randrange(1, 9), period=period)
        else:
            world.replace(tenant, order, price, rng.randrange(1, 40), period=period)
    elif kind < 0.90:
        world.transfer(tenant, other, period=period, tokens=rng.randrange(1, 20))
    elif kind < 0.98:
        offer = fresh("offer")
        world.transfer(tenant, other, period=period, id=offer, tokens=rng.randrange(1, 20), for_money=rng.randrange(1, 900))
        if rng.random() < 0.6:
            world.accept(other, tenant, offer, period=period)
    else:
        world.take(CallCommand(id=fresh("call"), pool="llm", period=period, action="to_auction"))
