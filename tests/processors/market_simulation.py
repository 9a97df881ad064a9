"""A seeded journal of several pools in which tenants trade: orders of every kind, transfers, keys, deposits, auctions, usage.

It knows nothing of the engine's state; it only remembers what it sent, so that some of it fits: ids that exist, periods that trade.
"""

import hashlib
import random
from functools import cache

from journal_world import World, mark, pool, profile, tick, usage

from processors.allocation import POLICIES
from schemas.market import (
    AcceptCommand,
    BotCommand,
    CallCommand,
    CancelCommand,
    DepositCommand,
    KeyCommand,
    OrderCommand,
    ReduceCommand,
    ReplaceCommand,
    TransferCommand,
    TurnedAway,
)
from schemas.trading import Reject
from streams.codecs import encode

TENANTS = ("a", "b", "c", "é", "tenant/x", "d/1", "operator", "late")
"""The last one's profile comes later, if it does, with no money."""
SIGNATURE = "C" * 85 + "A" + "=="

PLAIN = {"period_s": 2, "forward_periods": 3, "allow_unsigned": True}
GRID = {
    "policy": "max_min",  # leaves what nobody needs
    "period_s": 4,
    "forward_periods": 2,
    "allow_unsigned": True,
    "price_tick": 5,
    "lot": 3,
    "price_min": 7,
    "price_max": 1_000,
    "max_order_tokens": 60,
    "max_open_orders": 2,
    "offer_unsold": True,
    "opening_auction_s": 1,
    "maker_fee_bp": 13,
    "taker_fee_bp": 250,
}
SIGNED = {
    "policy": "uniform_price",
    "period_s": 3,
    "forward_periods": 2,
    "maker_fee_bp": 400,
    "taker_fee_bp": 7,
    "offer_unsold": True,
    "max_open_orders": 6,
}
ODD = (1, 40, 300, 1_000, 0, -5, 2**59, 2**62, 2**63 - 1)
"""Prices and quantities that are seldom right."""

GRACE = 3
POOLS = {"plain": PLAIN, "grid": GRID, "signed": SIGNED}


def key_of(tenant, number=0):
    """A public key of a tenant; what it signs is not looked at here."""
    return "".join("ABCDEFGHIJKLMNOPQRST"[TENANTS.index(tenant) + 10 * number] for _ in range(42)) + "A="


@cache
def simulated(seed, steps=800):
    """A world in which everything of a seed has happened. Shared: look, don't touch."""
    world = World()
    world.take(*MarketSimulation(seed, steps).records())
    return world


def digest(facts):
    return hashlib.sha256(b"".join(map(encode, facts))).hexdigest()


class MarketSimulation:
    """`records()` are one journal partition's. Every choice comes from the seed."""

    def __init__(self, seed, steps=400, pools=tuple(POOLS)):
        self.random = random.Random(seed)
        self.steps, self.pools = steps, pools
        self.now = self.random.choice([8, 1_000])
        self.reported = self.now
        self.ids = 0
        self.sent = []  # (pool, tenant, id, period) of orders
        self.offered = []  # (pool, tenant, to, id, period)
        self.seq = {}
        self.said = []

    def records(self):
        yield from self.begin()
        actions = {
            self.on_order: 120,
            self.on_cancel: 10,
            self.on_reduce: 12,
            self.on_replace: 24,
            self.on_transfer: 20,
            self.on_accept: 10,
            self.on_again: 4,
            self.on_tick: 8,
            self.on_usage: 6,
            self.on_bot: 4,
            self.on_deposit: 3,
            self.on_call: 3,
            self.on_key: 3,
            self.on_pool: 1,
            self.on_profile: 6,
            self.on_turned_away: 1,
        }
        for _ in range(self.steps):
            for record in self.random.choices(list(actions), list(actions.values()))[0]():
                self.said.append(record)
                yield record
        yield from self.ticks(8)

    def begin(self):
        yield self.tick()
        for name in self.pools:
            yield self.pool(name)
            for tenant in TENANTS[:-1]:
                yield profile(self.id("p"), tenant, pool=name, base=self.random.choice([0, 60, 100]), elasticity=1)
                yield KeyCommand(id=self.id("k"), pool=name, tenant=tenant, key=key_of(tenant))
                yield DepositCommand(
                    id=self.id("d"), pool=name, tenant=tenant, amount=self.random.choice([5_000, 100_000, 100_000])
                )
        yield from self.ticks(5)

    def id(self, prefix):
        self.ids += 1
        return f"{prefix}{self.ids}"

    # Time, usage

    def tick(self):
        return tick(self.now, grace=GRACE)

    def ticks(self, many):
        for _ in range(many):
            yield from self.on_tick(gap=False)

    def on_tick(self, gap=True):
        self.now += self.random.choice([1, 1, 1, 1, 1, 1, 1, 2, 9]) if gap else 1
        yield self.tick()
        if self.random.random() < 0.85:  # else it is late, and says so with its next mark
            yield from self.marks()

    def marks(self):
        for name in self.pools:
            if self.random.random() < 0.6:
                yield self.usage(name)
        self.reported = self.now
        yield mark(self.now, "latency")
        yield mark(self.now)

    def on_usage(self):
        """Of the tick to come: a meter may be ahead."""
        yield self.usage(self.random.choice(self.pools), self.now + 1)

    def usage(self, name, number=None):
        self.ids += 1
        users = self.random.sample(TENANTS, self.random.randint(1, 4))
        used = {tenant: self.random.choice([1, 20, 20, 90]) for tenant in users}
        return usage(self.now if number is None else number, used, pool=name, chunk=self.ids)

    # Operators

    def pool(self, name, **changed):
        chosen = self.random
        terms = {"capacity": 900, "reserve_price": chosen.choice([0, 5, 20]), **POOLS[name], **changed}
        return pool(self.id("c"), pool=name, **terms)

    def on_pool(self):
        """Capacity falls below what was promised, and comes back; the grid and fees of instruments to come change."""
        chosen = self.random
        changed = {"capacity": chosen.choice([150, 500, 900, 900])}
        if chosen.random() < 0.3:
            changed["policy"] = chosen.choice(list(POLICIES))
        if chosen.random() < 0.3:
            changed |= {
                "lot": chosen.choice([1, 2, 3]),
                "price_tick": chosen.choice([1, 5]),
                "taker_fee_bp": chosen.choice([0, 90]),
            }
        yield self.pool(chosen.choice(self.pools), **changed)

    def on_profile(self):
        chosen = self.random
        yield profile(
            self.id("p"),
            chosen.choice(TENANTS),
            pool=chosen.choice(self.pools),
            base=chosen.choice([0, 10, 60, 100, 130]),
            elasticity=1,
        )

    def on_deposit(self):
        amount = self.random.choice([-3_000, -200, 0, 500, 20_000, 2**63 - 1])
        yield DepositCommand(
            id=self.id("d"), pool=self.random.choice(self.pools), tenant=self.random.choice(TENANTS), amount=amount
        )

    def on_key(self):
        chosen = self.random
        tenant = chosen.choice(TENANTS)
        yield KeyCommand(
            id=self.id("k"),
            pool=chosen.choice(self.pools),
            tenant=tenant,
            key=key_of(tenant, chosen.choice([0, 0, 1])),
            valid_from=chosen.choice([None, 1000 * (self.now + 1)]),
            valid_until=chosen.choice([None, None, None, 1000 * (self.now + 4)]),
            revoked=chosen.random() < 0.25,
        )

    def on_call(self):
        name = self.random.choice(self.pools)
        action = self.random.choice(["to_auction", "uncross", "uncross"])
        yield CallCommand(id=self.id("u"), pool=name, period=self.period(name), action=action)

    # Tenants

    def period(self, name):
        present = max(self.reported, self.now - GRACE) // POOLS[name]["period_s"]
        return max(0, present + self.random.choices([0, 1, 2, -1, 5], [50, 40, 15, 1, 1])[0])

    def who(self):
        return self.random.choice(self.pools), self.random.choice(TENANTS)

    def signed(self, name, tenant):
        chosen = self.random.random()
        if tenant not in TENANTS:
            return {}
        if name != "signed" and chosen < 0.9:
            return {"key": key_of(tenant), "seq": 7} if chosen < 0.05 else {}
        if chosen > 0.99:
            return {}
        key = key_of(tenant, self.random.choice([0] * 9 + [1]))
        known = self.seq.get((name, key), 0)
        seq = self.seq[name, key] = max(known, 0 if self.random.random() < 0.03 else known + self.random.randint(1, 3))
        return {"key": key, "seq": seq, "signature": SIGNATURE}

    def on_order(self):
        chosen = self.random
        name, tenant = self.who()
        period = self.period(name)
        number = self.id("o")
        if chosen.random() < 0.03:
            name, tenant, number, period = self.known()
        elif chosen.random() < 0.02:
            name, tenant = chosen.choice([("ghost", tenant), (name, "nobody")])
        tif = chosen.choice([None, None, None, None, "GTC", "IOC", "FOK", "GTD"])
        market = chosen.random() < 0.1
        if not market and tif not in {"IOC", "FOK"}:
            self.sent.append((name, tenant, number, period))
        yield OrderCommand(
            id=number,
            pool=name,
            tenant=tenant,
            period=period,
            side=chosen.choice(["buy", "sell"]),
            qty=self.qty(),
            price=None if market else self.price(),
            order_type="market" if market else "limit",
            tif=chosen.choice([None, "IOC", "FOK"]) if market else tif,
            post_only=chosen.random() < 0.05,
            stp=chosen.choice(["none", "cancel_taker", "cancel_maker", "cancel_both", "decrement"]),
            expire=1000 * (self.now + chosen.randint(-1, 6)) if tif == "GTD" else None,
            **self.signed(name, tenant),
        )

    def on_bot(self):
        """Sells, buys or quotes of the engine's own, at ticks to come; now and then settings that make no sense."""
        chosen = self.random
        name, tenant = self.who()
        first = chosen.choice([0, 0, 1])
        settings = {"first_ahead": first, "last_ahead": first + chosen.choice([0, 1]), "enabled": chosen.random() < 0.8}
        strategies = {
            "sell_idle": {"min_price": chosen.choice([40, 90])},
            "buy_ahead": {"max_price": chosen.choice([105, 110]), "keep": chosen.choice([0, 90, 400])},
            "market_maker": {
                "reference": "given",
                "reference_price": 100,
                "spread_ticks": 4,
                "qty": self.qty(),
                "min_price": 1,
                "max_price": 300,
                "min_position": -30,
                "max_position": 30,
            },
        }
        strategy = chosen.choice(list(strategies))
        settings |= {"name": chosen.choice(["one", "two"]), "strategy": strategy, **strategies[strategy]}
        yield BotCommand(id=self.id("b"), pool=name, tenant=tenant, **settings, **self.signed(name, tenant))

    def qty(self):
        return self.random.choice([3, 6, 9, 9, 12, 15, 30, 60]) if self.random.random() < 0.94 else self.random.choice(ODD)

    def price(self):
        return self.random.choice([90, 95, 100, 105, 110]) if self.random.random() < 0.94 else self.random.choice(ODD)

    def known(self):
        if not self.sent or self.random.random() < 0.05:
            return (*self.who(), "none", self.now // 2)
        name, tenant, number, period = self.random.choice(self.sent[-12:])
        return name, tenant if self.random.random() < 0.95 else self.random.choice(TENANTS), number, period

    def change(self, kind, **fields):
        name, tenant, number, period = self.known()
        if kind is CancelCommand and self.offered and self.random.random() < 0.3:
            name, tenant, _, number, period = self.random.choice(self.offered[-10:])
        signed = self.signed(name, tenant)
        yield kind(id=self.id("x"), pool=name, tenant=tenant, period=period, order=number, **fields, **signed)

    def on_cancel(self):
        yield from self.change(CancelCommand)

    def on_reduce(self):
        yield from self.change(ReduceCommand, by=self.random.choice([3, 3, 6, 6, 30, 1, 0]))

    def on_replace(self):
        yield from self.change(ReplaceCommand, price=self.price(), qty=self.qty())

    def on_transfer(self):
        chosen = self.random
        name, tenant = self.who()
        to = chosen.choice(TENANTS)
        number, period = self.id("t"), self.period(name)
        if chosen.random() < 0.6:
            self.offered.append((name, tenant, to, number, period))
            asked = {chosen.choice(["for_tokens", "for_money"]): chosen.choice([1, 5, 10, 10, 30, 400])}
        else:
            asked = {}
        given = {chosen.choice(["tokens", "money"]): chosen.choice([1, 5, 10, 10, 30, 400] if chosen.random() < 0.95 else [0, -1])}
        signed = self.signed(name, tenant)
        yield TransferCommand(id=number, pool=name, tenant=tenant, to=to, period=period, **given, **asked, **signed)

    def on_accept(self):
        if self.offered:
            name, giver, tenant, number, period = self.random.choice(self.offered[-5:])
            signed = self.signed(name, tenant)
            yield AcceptCommand(id=self.id("y"), pool=name, tenant=tenant, period=period, offered_by=giver, offer=number, **signed)

    def on_again(self):
        """What was said before is said again, word for word."""
        if self.said:
            yield self.random.choice(self.said[-200:])

    def on_turned_away(self):
        name, tenant = self.who()
        yield TurnedAway(
            pool=self.random.choice([name, "", "ghost"]),
            tenant=self.random.choice([tenant, ""]),
            command=self.random.choice(["order", "deposit", ""]),
            id=self.random.choice(["", "x"]),
            source_topic="orders",
            source_partition=0,
            source_offset=self.random.randint(0, 50),
            reason=self.random.choice([Reject.MALFORMED, Reject.SIGNATURE_WRONG]),
            field="",
            detail="",
        )
