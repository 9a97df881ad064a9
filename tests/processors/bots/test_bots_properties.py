"""Bots in random markets: limits hold at every moment, and every way to come to a state comes to the same one."""

import random
from collections import Counter, defaultdict
from functools import cache

import pytest
from busy_market import TENANTS, step
from hypothesis import given, settings
from hypothesis import strategies as st
from journal_world import of_kind, refold, state_bytes, usage
from market_world import MarketWorld, fresh

from processors.bots import ticking
from processors.bots.limits import most_tokens
from processors.engine import fold
from processors.market.outcome import reserve
from processors.snapshot import dump_pool, load_pool
from processors.state import PartitionState
from processors.terms import MarketTerms
from schemas.bot_facts import BotActed, BotSet
from schemas.bots import Strategy
from schemas.market import BotCommand
from schemas.market_facts import OrderEvents, Trades

TICKS = 5
"""Of a period."""
SEEDS = range(8)


class BusyBots(MarketWorld):
    """Tenants trade by hand and by bots; limits are held against what happened after every tick and now and then between."""

    def __init__(self, seed, periods=8):
        self.rng = random.Random(seed)
        rng = self.rng
        terms = {"taker_fee_bp": rng.choice((0, 7, 900)), "maker_fee_bp": rng.choice((0, 30)), "lot": rng.choice((1, 1, 4))}
        terms |= {"price_tick": rng.choice((1, 5)), "forward_periods": rng.choice((0, 3)), "max_open_orders": rng.choice((5, 50))}
        terms |= {"max_order_tokens": rng.choice((None, 24)), "opening_auction_s": rng.choice((0, 0, 2)), "period_s": TICKS}
        terms |= {"forecaster": ("last_value", "mixture")[seed % 2]}
        super().__init__(TENANTS, base=100, money=rng.choice((3_000, 100_000)), capacity=440, **terms)
        self.run(11, 15)
        self.chosen, self.checked = {}, 0
        self.spent, self.inventory = Counter(), Counter()
        self.told = {}
        self.live(periods)

    def live(self, periods):
        for _ in range(2):
            for tenant in TENANTS:
                self.set_bot(tenant, f"b{self.rng.randrange(2)}")
        for number in range(self.state.tick + 1, self.state.tick + 1 + periods * TICKS):
            for _ in range(self.rng.randrange(9)):
                step(self, self.rng)
                self.check()
            if self.rng.random() < 0.15:
                self.set_bot(self.rng.choice(TENANTS), f"b{self.rng.randrange(2)}", enabled=self.rng.random() < 0.7)
            used = {tenant: self.rng.randrange(45) for tenant in TENANTS if self.rng.random() < 0.6}
            self.take(usage(number, used))
            assert not any("rejected" in fact.event for fact in of_kind(self.tick(number), OrderEvents))
            self.check()
            self.marks(number)

    def replace(self, tenant, order, price, qty, **rest):
        """Whoever gives a bot's order another price by hand is bound by no limit of the bot's."""
        return (
            self.cancel(tenant, order, **rest) if order.startswith("bot/") else super().replace(tenant, order, price, qty, **rest)
        )

    def set_bot(self, tenant, name, **changed):
        """Limits of a name stay the same, so that they can be held against all that it ever did."""
        chosen = self.chosen.setdefault((tenant, name), self.choose())
        self.take(BotCommand(id=fresh("bot"), pool="llm", tenant=tenant, name=name, **{**chosen, **changed}))

    def choose(self):
        rng = self.rng
        strategy = rng.choice(list(Strategy))
        first = rng.choice((0, 0, 1))
        chosen = {"strategy": strategy, "first_ahead": first, "last_ahead": first + rng.choice((0, 1, 3))}
        chosen |= {"min_qty": rng.choice((1, 1, 6)), "conditions": self.conditions()}
        buys = {"max_price": rng.randrange(85, 125), "max_position": rng.choice((None, 5, 40))}
        buys |= rng.choice(({}, {"budget": rng.randrange(4_000)}, {"budget": rng.randrange(4_000), "budget_window_s": 4}))
        sells = {"min_price": rng.randrange(75, 115), "min_position": rng.choice((None, -5, -60))}
        timed = {"wait_s": rng.choice((0, 0, 3))}
        forecast = {"margin": rng.choice(("0", "0.3")), "keep": rng.choice((0, 20)), "tif": rng.choice(("GTC", "GTC", "IOC"))}
        match strategy:
            case Strategy.SELL_IDLE:
                return chosen | sells | forecast | timed
            case Strategy.BUY_AHEAD:
                return chosen | buys | forecast | timed | {"keep": rng.choice((0, 90, 130))}
            case Strategy.MARKET_MAKER:
                quote = {"reference": rng.choice(("last", "mid", "given")), "reference_price": 100, "qty": rng.randrange(4, 30)}
                quote |= {"spread_ticks": rng.randrange(2, 9), "tolerance_ticks": rng.randrange(2)}
                return (
                    chosen | buys | sells | timed | quote | {"min_position": -rng.randrange(60), "max_position": rng.randrange(60)}
                )
            case Strategy.SCHEDULE:
                side = rng.choice(("buy", "sell"))
                when = rng.choice(({"every_periods": 1}, {"at": [rng.randrange(15, 36) for _ in range(4)]}))
                limits = buys if side == "buy" else sells
                return chosen | limits | when | {"side": side, "qty": rng.randrange(4, 20), "tif": rng.choice(("GTC", "IOC"))}

    def conditions(self):
        rng = self.rng
        choices = (
            {"on": "price", "op": "between", "value": 90, "upper": 110},
            {"on": "position", "op": "below", "value": 30},
            {"on": "utilisation", "op": "below", "value": 60},
            {"on": "forecast", "op": "above", "value": 20},
            {"on": "time_of_day", "op": "between", "value": 30, "upper": 20},
        )
        return [rng.choice(choices)] if rng.random() < 0.3 else []

    # What the facts say of each bot's orders, against its limits: nothing here is read from the bots' state.

    def check(self):
        for fact in self.facts[self.checked :]:
            if isinstance(fact, BotSet):
                self.told[fact.tenant, fact.name] = fact
            elif isinstance(fact, Trades):
                self.check_trades(fact)
        self.checked = len(self.facts)
        for (tenant, name), told in self.told.items():
            self.check_limits(tenant, name, told)

    def check_trades(self, fact):
        columns = (fact.buyer, fact.buy_order, fact.seller, fact.sell_order, fact.price, fact.qty, fact.buyer_fee)
        for buyer, buy_order, seller, sell_order, price, qty, fee in zip(*columns, strict=True):
            buying, selling = self.bot_of(buyer, buy_order), self.bot_of(seller, sell_order)
            if buying:
                assert price <= self.told[buying].max_price
                self.spent[buying, self.window(buying, fact.time)] += price * qty + fee
                self.inventory[buying, fact.period] += qty
            if selling:
                assert price >= self.told[selling].min_price
                self.inventory[selling, fact.period] -= qty

    def bot_of(self, tenant, order):
        parts = order.split("/")
        return (tenant, parts[1]) if parts[0] == "bot" else None

    def window(self, known, time_ms):
        seconds = self.told[known].budget_window_s
        return time_ms // (1000 * seconds) if seconds else 0

    def check_limits(self, tenant, name, told):
        known, reserved = (tenant, name), 0
        for period, instrument in self.market.instruments.items():
            mine = [order for order in instrument.book.orders.values() if order.id.startswith(f"{tenant}\nbot/{name}/")]
            buys = [order for order in mine if order.side == "buy"]
            bought, sold = sum(order.open for order in buys), sum(order.open for order in mine) - sum(order.open for order in buys)
            net = self.inventory[known, period]
            assert told.max_position is None or not bought or net + bought <= told.max_position
            assert told.min_position is None or not sold or net - sold >= told.min_position
            assert told.max_position is None or net <= max(told.max_position, 0)
            assert told.min_position is None or net >= min(told.min_position, 0)
            reserved += sum(reserve(instrument.terms, order.price, order.open) for order in buys)
        if told.budget is not None:
            spent = self.spent[known, self.window(known, self.state.now_ms)]
            assert spent <= told.budget
            assert not reserved or spent + reserved <= told.budget


@cache
def busy_bots(seed):
    return BusyBots(seed)


@pytest.fixture(params=SEEDS)
def world(request):
    return busy_bots(request.param)


def refolded(journal, between=lambda _state, _at: None):
    """The facts of a journal folded anew; `between` is called before each record."""
    state, facts = PartitionState(), []
    for at, (offset, record) in enumerate(journal):
        between(state, at)
        facts += fold(state, record, offset)
    return state, facts


def test_limits_hold_whatever_happens(world):
    assert world.told  # the checks stand in the world, after every record


def test_recorded_facts_alone_give_the_state_that_decided_them(world):
    assert state_bytes(refold(world.facts)) == state_bytes(world.state)


def test_a_replay_gives_the_same_facts(world):
    state, facts = refolded(world.journal)
    assert facts == world.facts
    assert state_bytes(state) == state_bytes(world.state)


def test_naps_change_nothing(world, monkeypatch):
    monkeypatch.setattr(ticking, "naps", lambda *_: False)
    assert refolded(world.journal)[1] == world.facts


def test_a_snapshot_anywhere_changes_nothing(world):
    rng = random.Random(0)

    def reload(state, _):
        if rng.random() < 0.05:
            for name, pool in state.pools.items():
                state.pools[name] = load_pool(dump_pool(pool))

    assert refolded(world.journal, reload)[1] == world.facts


def test_the_work_of_a_tick_may_be_cut_anywhere(monkeypatch):
    monkeypatch.setattr(ticking, "MOST_ACTIONS", 1)
    world = BusyBots(1, periods=2)
    assert any(fact.next_tenant for fact in of_kind(world.facts, BotActed))
    assert state_bytes(refold(world.facts)) == state_bytes(world.state)
    monkeypatch.setattr(ticking, "naps", lambda *_: False)
    assert refolded(world.journal)[1] == world.facts


def test_the_worlds_are_rich():
    actions, strategies, sides = Counter(), Counter(), defaultdict(Counter)
    for seed in SEEDS:
        world = busy_bots(seed)
        for fact in of_kind(world.facts, BotActed):
            actions.update(fact.action)
            actions.update(fact.reason)
        strategies.update(told.strategy for told in world.told.values())
        for fact in of_kind(world.facts, Trades):
            sides["buy"][any(order.startswith("bot/") for order in fact.buy_order)] += 1
            sides["sell"][any(order.startswith("bot/") for order in fact.sell_order)] += 1
    wanted = ("placed", "reduced", "cancelled", "rests", "budget", "position", "condition", "nothing_idle", "nothing_missing")
    assert all(actions[word] > 1 for word in wanted), actions
    assert set(strategies) == set(Strategy)
    assert all(sides[side][mine] > 20 for side in sides for mine in (True, False)), sides


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 10**6), st.integers(-5, 10**7), st.integers(0, 10_000), st.integers(0, 10_000))
def test_money_buys_the_most_tokens_that_it_can_pay(price, money, maker, taker):
    terms = MarketTerms(maker_fee_bp=maker, taker_fee_bp=taker)
    most = most_tokens(terms, price, money)
    assert most >= 0
    assert not most or reserve(terms, price, most) <= money
    assert reserve(terms, price, most + 1) > money
