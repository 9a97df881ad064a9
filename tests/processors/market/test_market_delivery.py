"""What becomes of forward trades when their period opens, or never does: tokens, money and debts, to the last unit."""

from fractions import Fraction
from itertools import chain

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from journal_world import of_kind, pool, profile, rows
from market_checks import CheckedWorld

from processors.accounts import tenant_account
from processors.allocation.hamilton import hamilton
from processors.market.delivery import Means, deliver, proportion
from processors.market.state import Position, new_instrument
from processors.terms import MarketTerms
from schemas.facts import AllocationsOpened, PeriodOpened, Postings
from schemas.market_facts import Deliveries, TransferEvents
from schemas.trading import Phase

FEES = {"maker_fee_bp": 1_000, "taker_fee_bp": 0}
ROW = ("bought", "sold", "received", "given", "shortfall", "earned", "refunded")


def world(**terms):
    """Everybody has 100 tokens of each period and 1,000,000 nanocredits; the capacity is 300."""
    return CheckedWorld(capacity=300, **terms)


def trade(here, seller, buyer, qty, price, *, period=7):
    here.sell(seller, qty, price, period=period)
    here.buy(buyer, qty, price, period=period)


def delivered(facts):
    return rows(facts, Deliveries, *ROW)


def allocated(facts):
    return rows(facts, AllocationsOpened, "base", "surplus", "bought", "sold", "allocated")


def test_delivery_in_full():
    here = world(**FEES)
    trade(here, "a", "b", 40, 10)
    trade(here, "a", "c", 20, 30)
    here.period(5)
    facts = here.period(6)
    assert delivered(facts) == {
        "": (0, 0, 0, 0, 0, 100, 0),
        "a": (0, 60, 0, 60, 0, 900, 0),
        "b": (40, 0, 40, 0, 0, 0, 0),
        "c": (20, 0, 20, 0, 0, 0, 0),
    }
    assert allocated(facts) == {"a": (100, 0, 0, 60, 40), "b": (100, 0, 40, 0, 140), "c": (100, 0, 20, 0, 120)}
    assert [here.money(name) for name in "abc"] == [1_000_900, 999_600, 999_400]
    assert here.market.ledger.balance(-1, "operator") == 100


def test_the_order_of_facts_tells_what_opened_before_what_was_delivered_before_what_everybody_has():
    here = world()
    trade(here, "a", "b", 40, 10, period=6)
    kinds = [fact.KIND for fact in here.period(5)]
    places = [kinds.index(kind) for kind in ("period_closed", "period_opened", "deliveries", "allocations_opened")]
    assert places == sorted(places)


def test_resale_is_settled_by_what_is_left_of_it():
    here = world()
    trade(here, "a", "b", 100, 10)
    trade(here, "b", "c", 150, 20)
    trade(here, "c", "a", 30, 5)
    here.period(5)
    facts = here.period(6)
    assert delivered(facts) == {
        "a": (30, 100, 0, 70, 0, 1_000, 0),
        "b": (100, 150, 0, 50, 0, 3_000, 0),
        "c": (150, 30, 120, 0, 0, 150, 0),
    }
    assert {tenant: row[-1] for tenant, row in allocated(facts).items()} == {"a": 30, "b": 50, "c": 220}


def test_where_capacity_fell_all_trades_shrink_alike_and_what_was_not_delivered_is_not_paid():
    """Half of the capacity: a has 50 of the 80 that it sold, so that r = 50/80."""
    here = world()
    trade(here, "a", "b", 80, 11)
    trade(here, "b", "c", 20, 100)
    here.take(pool("p2", capacity=150, allow_unsigned=True))
    here.period(5)
    before = {name: here.market.ledger.balance(-1, tenant_account(name)) for name in "abc"}
    facts = here.period(6)
    # paid: b 880, c 2,000. b gets 330 back, c 750; of the 1,080, by what they earned (880 and 2,000), a gives 330 and b 750.
    assert delivered(facts) == {
        "a": (0, 80, 0, 50, 0, 550, 0),
        "b": (80, 20, 38, 0, 22, 1_250, 330),  # 37.5 and 12.5: the smaller id
        "c": (20, 0, 12, 0, 8, 0, 750),
    }
    assert allocated(facts) == {"a": (50, 0, 0, 50, 0), "b": (50, 0, 38, 0, 88), "c": (50, 0, 12, 0, 62)}
    after = {name: here.market.ledger.balance(-1, tenant_account(name)) for name in "abc"}
    assert {name: after[name] - before[name] for name in "abc"} == {"a": 550, "b": 1_580, "c": 750}
    assert rows(facts, AllocationsOpened, "shortfall") == {"a": 50, "b": 50, "c": 50}, "what is missing of bases is told apart"


def test_the_tokens_of_a_seller_that_had_less_go_back_to_nobody():
    """What the ledger says somebody has is what it may use: the rest went back to the issuer, and can be sold by nobody."""
    here = world()
    trade(here, "a", "b", 80, 11)
    here.sell("b", 180, 50, period=7, id="resale")
    here.take(pool("p2", capacity=150, allow_unsigned=True))
    here.period(5)
    facts = here.period(6)
    book = here.market.instruments[7].book
    assert book.orders["b\nresale"].open == 100, "of 180, b has 50 and the 50 that were delivered"
    returned = [
        (debit, amount)
        for fact in of_kind(facts, Postings)
        for code, asset, debit, amount in zip(fact.code, fact.asset, fact.debit_account, fact.amount, strict=True)
        if (code, asset) == ("return", 7)
    ]
    assert returned == [("tenant/b", 80)]
    assert here.market.ledger.balance(7, tenant_account("b")) == 100


def test_nothing_is_left_to_deliver():
    here = world()
    trade(here, "a", "b", 80, 11)
    here.take(pool("p2", capacity=0, allow_unsigned=True))
    here.period(5)
    facts = here.period(6)
    assert delivered(facts) == {"a": (0, 80, 0, 0, 0, 0, 0), "b": (80, 0, 0, 0, 80, 0, 880)}
    assert (here.money("a"), here.money("b")) == (1_000_000, 1_000_000)


def test_the_operators_fees_are_given_back_with_what_they_were_for():
    here = world(**FEES)
    trade(here, "a", "b", 100, 10)
    here.take(pool("p2", capacity=150, allow_unsigned=True, **FEES))
    here.period(5)
    facts = here.period(6)
    assert delivered(facts) == {"": (0, 0, 0, 0, 0, 50, 0), "a": (0, 100, 0, 50, 0, 450, 0), "b": (100, 0, 50, 0, 50, 0, 500)}


def test_a_period_that_never_opens_is_undone():
    """Also where nobody would have had to give anything: whoever traded to and fro gets its money back, not the difference."""
    here = world(**FEES)
    trade(here, "a", "b", 40, 10, period=6)
    trade(here, "a", "b", 40, 10, period=7)
    trade(here, "b", "a", 40, 50, period=7)
    here.sell("c", 10, 99, period=6)
    here.transfer("c", "a", period=6, tokens=5, for_money=9)
    here.transfer("c", "a", period=6, tokens=5)
    facts = [*here.tick(11), *here.tick(30), *here.marks(30)]
    assert [fact.period for fact in of_kind(facts, PeriodOpened)] == [15]
    assert [(fact.period, fact.refunded) for fact in of_kind(facts, Deliveries)] == [(6, [0, 0, 400, 0]), (7, [0, 2_000, 400])]
    assert all(not any(fact.received + fact.given + fact.earned) for fact in of_kind(facts, Deliveries))
    assert [here.money(name) for name in "abc"] == [1_000_000] * 3
    assert not here.market.instruments
    assert not here.market.offers
    assert [fact.event for fact in of_kind(facts, TransferEvents)] == [["cancelled"]]


def test_orders_of_a_period_go_on_trading_when_it_opens():
    here = world()
    here.sell("a", 40, 10, period=6, id="ask")
    here.buy("b", 10, 10, period=6)
    here.period(5)
    assert here.market.instruments[6].book.orders["a\nask"].open == 30
    here.buy("b", 30, 10, period=6)
    assert (here.value("a", "sold"), here.value("b", "bought")) == (40, 40)
    assert here.money("a") == 1_000_400


def test_a_gift_of_tokens_to_come_is_delivered_like_a_sale_that_costs_nothing():
    here = world()
    here.transfer("a", "b", period=6, tokens=100)
    trade(here, "c", "b", 50, 10, period=6)
    here.take(pool("p2", capacity=150, allow_unsigned=True))
    facts = here.period(5)
    assert delivered(facts) == {
        "a": (0, 100, 0, 50, 0, 0, 0),
        "b": (150, 0, 75, 0, 75, 0, 250),
        "c": (0, 50, 0, 25, 0, 250, 0),
    }


def test_a_base_stays_above_what_is_sold_and_offered_ahead():
    here = world()
    trade(here, "a", "b", 30, 10, period=6)
    here.sell("a", 20, 50, period=8)
    here.transfer("a", "b", period=8, tokens=25, for_money=5)
    (refused,) = here.take(profile("low", "a", base=44))
    assert (refused.reason, refused.detail) == ("sold_forward", "base: 44, but 45 tokens of a forward period are sold or offered")
    (taken,) = here.take(profile("just", "a", base=45))
    assert taken.base == 45
    (refused,) = here.take(profile("lower", "a", base=0))
    assert refused.reason == "sold_forward"
    (taken,) = here.take(profile("grown", "a", base=60))
    assert taken.base == 60
    assert here.take(profile("bought", "b", base=0))[0].base == 0, "what it bought needs no base"
    here.sell("b", 30, 50, period=6)
    assert here.take(profile("other", "b", base=0))[0].base == 0


def test_a_period_that_opened_no_longer_needs_the_base():
    here = world()
    trade(here, "a", "b", 30, 10, period=6)
    here.period(5)
    assert here.take(profile("low", "a", base=0))[0].base == 0
    here.sell("c", 100, 10)
    assert here.take(profile("now", "c", base=0))[0].base == 0, "what it offers now is of the base that it has now"


def test_tokens_of_a_base_that_was_lowered_are_not_there_when_the_period_opens():
    here = world()
    here.sell("a", 100, 10, period=6, id="s")
    here.cancel("a", "s", period=6)
    here.take(profile("low", "a", base=10))
    here.period(5)
    assert here.market.ledger.balance(6, tenant_account("a")) <= here.value("a", "base_given") + here.value("a", "surplus")


def test_a_tenant_whose_base_of_one_was_cut_to_none_undoes_nobody_elses_trades():
    here = CheckedWorld(tenants=("a", "b", "c"), base=99, capacity=301)
    here.take(profile("tiny", "z", base=1))
    here.period(5)
    trade(here, "a", "b", 99, 10)
    trade(here, "z", "c", 1, 10)
    here.take(pool("p2", capacity=150, allow_unsigned=True))
    facts = here.period(6)
    given = allocated(facts)
    assert (given["a"][0], given["z"][0]) == (50, 0), "99 x 150/298 is 49.8; of z's one token 0.5 is left"
    # r is 150/298, what is left of bases: 50 of the 100 tokens sold, of which z has none to give. So half is paid.
    found = delivered(facts)
    assert (found["a"][3:], found["z"][3:]) == ((50, 0, 495, 0), (0, 0, 5, 0))
    assert (found["b"][2], found["c"][2]) == (50, 0), "49.5 and 0.5: the smaller id"
    assert (found["b"][-1], found["c"][-1]) == (495, 5)


# The rule by itself

AMOUNT = st.integers(0, 2**40)
TRADES = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(1, 10**6), st.integers(0, 10**6)), max_size=30)
TOKENS = st.dictionaries(st.sampled_from("012345"), AMOUNT)


def traded(trades):
    instrument = new_instrument(7, MarketTerms(), Phase.CONTINUOUS, None, None)
    for buyer, seller, qty, price in trades:
        fee = price * qty // 7
        bought, sold = instrument.position(str(buyer)), instrument.position(str(seller))
        bought.bought += qty
        bought.paid += price * qty + fee
        sold.sold += qty
        sold.earned += price * qty - fee // 2
        instrument.position("").earned += fee + fee // 2
    return instrument


@settings(max_examples=300, deadline=None)
@given(TRADES, TOKENS, AMOUNT, AMOUNT)
def test_tokens_and_money_are_conserved_and_nobody_gives_what_it_has_not(trades, tokens, capacity, bases):
    """Whatever was given, also what no guarantee gives."""
    instrument = traded(trades)
    means = Means(tokens, capacity, bases)
    part, whole = proportion(instrument, means)
    assert 0 <= part <= whole
    found = {row.tenant: row for row in deliver(instrument, means)}
    assert list(found) == sorted(instrument.positions)
    tokens_given = sum(row.given for row in found.values())
    sold = sum(max(-each.net, 0) for each in instrument.positions.values())
    assert sum(row.received for row in found.values()) == tokens_given <= sold * part // whole
    assert sum(row.earned + row.refunded for row in found.values()) == sum(each.paid for each in instrument.positions.values())
    paid_for = Fraction(tokens_given, sold) if sold else Fraction(1)
    for tenant, row in found.items():
        position = instrument.positions[tenant]
        assert 0 <= row.given <= max(min(tokens.get(tenant, 0), -position.net), 0)
        assert row.received + row.shortfall == max(position.net, 0)
        assert row.received >= 0 <= row.shortfall
        assert row.refunded == position.paid * (1 - paid_for) // 1
        assert abs(row.received - max(position.net, 0) * paid_for) < 1
        assert abs(row.earned - position.earned * paid_for) <= len(found)
        assert row.earned >= 0


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(0, 100), st.integers(1, 50)), min_size=2, max_size=9), st.integers(0, 400)
)
def test_by_the_guarantee_sellers_give_what_is_left_of_their_bases_and_no_more_is_missing_than_rounding(sellers, capacity):
    """Sellers (base, percent of it sold, price): tenant `buyer` takes it all."""
    bases = np.array([base for base, _, _ in sellers])
    left = bases if bases.sum() <= capacity else hamilton(capacity, bases)
    instrument = new_instrument(7, MarketTerms(), Phase.CONTINUOUS, None, None)
    for number, (base, percent, price) in enumerate(sellers):
        qty = base * percent // 100
        instrument.position("buyer").bought += qty
        instrument.position("buyer").paid += qty * price
        instrument.position(str(number)).sold += qty
        instrument.position(str(number)).earned += qty * price
    tokens = {str(number): int(tokens) for number, tokens in enumerate(left)}
    found = {row.tenant: row for row in deliver(instrument, Means(tokens, capacity, int(bases.sum())))}
    sold = instrument.positions["buyer"].bought
    assert found["buyer"].received >= sold * min(capacity, bases.sum()) // bases.sum() - len(sellers)
    for number, (base, percent, _) in enumerate(sellers):
        qty = base * percent // 100
        assert qty * min(capacity, bases.sum()) // bases.sum() <= found[str(number)].given <= min(qty, tokens[str(number)])


@pytest.mark.parametrize("amount", [2**62, 2**63 - 1])
def test_the_largest_amounts_do_not_wrap(amount):
    instrument = new_instrument(7, MarketTerms(), Phase.CONTINUOUS, None, None)
    instrument.positions = {"a": Position(0, 3, 0, amount), "b": Position(2, 0, amount - 1, 0), "c": Position(1, 0, 1, 0)}
    found = deliver(instrument, Means({"a": 2}, 2, 3))
    assert [row.given for row in found] == [2, 0, 0]
    assert sum(row.received for row in found) == 2
    assert sum(chain.from_iterable((row.earned, row.refunded) for row in found)) == amount


def test_of_what_rounding_leaves_the_largest_remainder_gives_one():
    instrument = new_instrument(7, MarketTerms(), Phase.CONTINUOUS, None, None)
    instrument.positions = {"a": Position(0, 11), "b": Position(0, 15), "c": Position(0, 19), "z": Position(45, 0)}
    # A tenth: 1.1, 1.5 and 1.9, of 4.5 in all.
    found = deliver(instrument, Means({"a": 1, "b": 9, "c": 9}, 1, 10))
    assert [(row.given, row.received) for row in found] == [(1, 0), (1, 0), (2, 0), (0, 4)]
