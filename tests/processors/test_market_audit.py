"""The engine's market under the auditor: random tenants over many periods; holds, money and tokens fit after every record."""

import random
from collections import Counter

import pytest
from audit_facts import Reader
from journal_world import mark, pool, profile, tick, usage
from market_world import MarketWorld, fresh

from processors.audit_lines import Checkpoint
from processors.auditor import Auditor
from processors.ledger import dump
from schemas.market import CallCommand, DepositCommand
from schemas.market_facts import Deliveries, OrderEvents, Trades, TransferEvents

TENANTS = ("a", "b", "c", "d")
PERIODS = 12
STEPS = 40
"""Commands in each period."""


class Trading(MarketWorld):
    """Random commands, read by an auditor as they are decided."""

    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.auditor, self.reader, self.read = Auditor(), Reader(), 0
        fees = {"maker_fee_bp": 13, "taker_fee_bp": self.rng.choice((7, 250))}
        self.terms = {"capacity": 1000, "forward_periods": 3, "offer_unsold": bool(seed % 2), "reserve_price": 5, **fees}
        super().__init__(TENANTS, base=150, **self.terms)
        self.orders = []
        self.offers = []

    def audit(self):
        """Everything that was decided since, against what the engine's own ledger says."""
        for fact in self.facts[self.read :]:
            for line in self.reader.lines(fact):
                self.auditor.take(line)
        self.read = len(self.facts)
        state = dump(self.market.ledger)
        self.auditor.take(Checkpoint(None, state.accounts, state.holds))

    def live(self):
        for number in range(5, 5 + PERIODS):
            for _ in range(STEPS):
                getattr(self, "_" + self.rng.choice(self.ACTIONS))()
            self.audit()
            self._use(2 * number + 1)
            self.take(tick(2 * number + 2), mark(2 * number + 2), mark(2 * number + 2, "latency"))
            self.audit()

    ACTIONS = ("order",) * 8 + (
        "cancel",
        "cancel",
        "reduce",
        "replace",
        "replace",
        "give",
        "offer",
        "accept",
        "deposit",
        "call",
        "terms",
    )

    def _use(self, number):
        """Usage within the period: held tokens of whoever used too much are withdrawn."""
        used = {tenant: self.rng.randrange(1, 200) for tenant in TENANTS}
        self.take(tick(number), usage(number, used), mark(number), mark(number, "latency"))

    def _order(self):
        tenant, side = self.rng.choice(TENANTS), self.rng.choice(("buy", "sell"))
        period = self.present + self.rng.choice((0, 0, 1, 1, 2))
        price = self.rng.randint(60, 140) * 10
        if self.rng.random() < 0.05:
            price *= 10_000  # more than anybody has
        rest = self.rng.choice(
            ({}, {}, {}, {"tif": "IOC"}, {"tif": "FOK"}, {"post_only": True}, {"stp": "none"}, {"stp": "decrement"})
        )
        order_id = f"o{self.rng.randrange(200)}"  # ids are free again in another period's book
        self.orders.append((tenant, order_id, period))
        market = self.rng.random() < 0.1
        self.order(
            tenant, side, self.rng.randint(1, 40), None if market else price, period=period, id=order_id, **({} if market else rest)
        )

    def _pick(self):
        return self.rng.choice(self.orders[-12:]) if self.orders else ("a", "none", self.present)

    def _cancel(self):
        tenant, order, period = self._pick()
        self.cancel(tenant, order, period=period)

    def _reduce(self):
        tenant, order, period = self._pick()
        self.reduce(tenant, order, self.rng.randint(1, 20), period=period)

    def _replace(self):
        tenant, order, period = self._pick()
        self.replace(tenant, order, self.rng.randint(60, 140) * 10, self.rng.randint(1, 60), period=period)

    def _two(self):
        return self.rng.sample(TENANTS, 2)

    def _what(self, prefix=""):
        return {prefix + self.rng.choice(("tokens", "money")): self.rng.randint(1, 30)}

    def _give(self):
        giver, taker = self._two()
        self.transfer(giver, taker, period=self.present + self.rng.randint(0, 2), **self._what())

    def _offer(self):
        giver, taker = self._two()
        offer, period = fresh("t"), self.present + self.rng.randint(0, 2)
        self.offers.append((taker, giver, offer, period))
        self.transfer(giver, taker, period=period, id=offer, **self._what(), **self._what("for_"))

    def _accept(self):
        if self.offers:
            taker, giver, offer, period = self.rng.choice(self.offers[-6:])
            self.accept(taker, giver, offer, period=period)

    def _deposit(self):
        amount = self.rng.randint(-60_000, 60_000)
        self.take(DepositCommand(id=fresh("d"), pool="llm", tenant=self.rng.choice(TENANTS), amount=amount))

    def _call(self):
        period, action = self.present + self.rng.randint(0, 1), self.rng.choice(("to_auction", "uncross", "uncross"))
        self.take(CallCommand(id=fresh("u"), pool="llm", period=period, action=action))

    def _terms(self):
        """Capacity falls below what was sold, and comes back; fees change for instruments that begin later."""
        self.terms |= {"capacity": self.rng.choice((1000, 1000, 300)), "maker_fee_bp": self.rng.choice((0, 13))}
        self.take(pool(fresh("p"), allow_unsigned=True, **self.terms))
        self.take(profile(fresh("q"), self.rng.choice(TENANTS), base=self.rng.choice((50, 150))))


@pytest.mark.parametrize("seed", range(6))
def test_an_independent_auditor_finds_nothing(seed):
    world = Trading(seed)
    world.live()
    report = world.auditor.report
    assert report.clean, "\n".join(map(str, report.findings[:20]))
    assert report.checkpoints >= 3 * PERIODS


def test_the_markets_are_rich():
    """What is said above is said of trades, forward and present, shortfalls, offers, and every way in which an order ends."""
    facts = []
    for seed in range(4):
        world = Trading(seed)
        world.live()
        facts += world.facts
    events = Counter(event for fact in facts if isinstance(fact, OrderEvents) for event in fact.event)
    assert all(events[kind] > 10 for kind in ("accepted", "rested", "filled", "reduced", "replaced", "cancelled", "rejected")), (
        events
    )
    reasons = Counter(reason for fact in facts if isinstance(fact, OrderEvents) for reason in fact.reason)
    assert all(reasons[kind] for kind in ("user", "unfilled", "period_closed", "tokens_used", "self_trade")), reasons
    assert sum(len(fact.number) for fact in facts if isinstance(fact, Trades)) > 100
    assert sum(sum(fact.shortfall) for fact in facts if isinstance(fact, Deliveries)) > 0
    assert sum(sum(fact.received) for fact in facts if isinstance(fact, Deliveries)) > 0
    moved = Counter(event for fact in facts if isinstance(fact, TransferEvents) for event in fact.event)
    assert all(moved[kind] for kind in ("done", "offered", "accepted", "cancelled")), moved
