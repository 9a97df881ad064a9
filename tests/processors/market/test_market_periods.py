"""What time and use do to a market: periods close, tokens are used while they are offered, auctions end, surplus is offered."""

import pytest
from journal_world import of_kind, pool, profile, rows, usage
from market_checks import CheckedWorld

from processors.accounts import tenant_account
from schemas.facts import AllocationsClosed, CommandRefused, PeriodClosed, Postings, Reason
from schemas.market import CallCommand
from schemas.market_facts import BookPhase, OrderEvents, Trades, TransferEvents


def world(**terms):
    """Present period 5, which the tick 12 ends. Everybody has its base of 100 and nothing else, and 1,000,000 nanocredits."""
    return CheckedWorld(**{"capacity": 300, **terms})


def events(facts):
    return [
        row
        for fact in of_kind(facts, OrderEvents)
        for row in zip(fact.tenant, fact.order_id, fact.event, fact.qty, fact.reason, strict=True)
    ]


# A period closes


def test_a_period_closes_with_all_orders_and_offers_ended_and_all_tokens_back():
    here = world()
    here.sell("a", 30, 10, id="s")
    here.buy("b", 10, 10)
    here.buy("c", 5, 9, id="b")
    here.sell("a", 10, 50, period=6, id="later")
    here.transfer("b", "c", id="t1", tokens=7, for_money=70)
    here.transfer("c", "b", id="t2", money=30, for_tokens=1)
    facts = here.period(5)
    assert events(facts) == [("a", "s", "cancelled", 20, "period_closed"), ("c", "b", "cancelled", 5, "period_closed")]
    ended = of_kind(facts, TransferEvents)
    assert [(fact.tenant, fact.event, fact.reason) for fact in ended] == [
        (["b"], ["cancelled"], ["period_closed"]),
        (["c"], ["cancelled"], ["period_closed"]),
    ]
    assert [(fact.period, fact.phase) for fact in of_kind(facts, BookPhase)] == [(5, "closed")]
    kinds = [fact.KIND for fact in facts]
    assert kinds.index("allocations_closed") > max(
        at for at, fact in enumerate(facts) if fact in ended or isinstance(fact, BookPhase)
    )
    assert rows(facts, AllocationsClosed, "bought", "sold", "allocated") == {"a": (0, 10, 90), "b": (10, 0, 110), "c": (0, 0, 100)}
    assert {asset for asset, _ in here.market.ledger.standings} == {-1, 6}
    assert list(here.market.instruments) == [6]
    assert (here.held("b"), here.held("c")) == (0, 0)


def test_a_closed_periods_ids_are_free_in_the_next():
    here = world()
    here.sell("a", 30, 10, id="o")
    here.period(5)
    assert events(here.sell("a", 30, 10, id="o"))[-1] == ("a", "o", "rested", 30, "")


def test_usage_that_comes_late_withdraws_in_the_period_that_is_open_then():
    """The present period closes by its grace; what is reported afterwards counts in the next."""
    here = world()
    here.sell("a", 95, 10, period=6, id="s")
    here.tick(11)
    here.tick(12)
    here.tick(15)
    assert here.present == 7
    here.sell("a", 95, 10, id="s")
    assert events(here.take(usage(12, {"a": 10}))) == [("a", "s", "cancelled", 5, "tokens_used")]


# Tokens are used


def test_tokens_that_are_used_are_withdrawn_newest_orders_first_then_newest_offers():
    here = world()
    here.sell("a", 20, 10, id="s1")
    here.transfer("a", "b", id="t1", tokens=10, for_money=1)
    here.transfer("a", "b", id="t2", tokens=10, for_money=1)
    here.sell("a", 20, 10, id="s2")
    here.buy("a", 30, 5, id="b1")
    assert not events(here.take(usage(11, {"a": 40})))
    assert events(here.take(usage(11, {"a": 5}, chunk=1))) == [("a", "s2", "cancelled", 5, "tokens_used")]
    assert events(here.take(usage(11, {"a": 20}, chunk=2))) == [
        ("a", "s2", "cancelled", 15, "tokens_used"),
        ("a", "s1", "cancelled", 5, "tokens_used"),
    ]
    facts = here.take(usage(11, {"a": 21}, chunk=3))
    assert events(facts) == [("a", "s1", "cancelled", 15, "tokens_used")]
    ended = of_kind(facts, TransferEvents)
    assert [(fact.transfer_id, fact.event, fact.reason) for fact in ended] == [(["t2"], ["cancelled"], ["tokens_used"])]
    assert (here.held("a", 5), here.held("a")) == (10, 150), "its bid stays"
    ended = of_kind(here.take(usage(11, {"a": 1_000}, chunk=4)), TransferEvents)
    assert [fact.transfer_id for fact in ended] == [["t1"]]


def test_a_withdrawn_order_keeps_its_place_and_what_is_left_of_it_trades():
    here = world()
    here.sell("a", 60, 10, id="first")
    here.sell("b", 60, 10, id="second")
    here.take(usage(11, {"a": 60}))
    (trade,) = of_kind(here.buy("c", 50, 10), Trades)
    assert (trade.sell_order, trade.qty) == (["first", "second"], [40, 10])


def test_tokens_of_a_lot_are_withdrawn_together():
    here = world(lot=10)
    here.sell("a", 100, 10, id="s")
    assert events(here.take(usage(11, {"a": 11}))) == [("a", "s", "cancelled", 20, "tokens_used")]


def test_use_of_more_than_it_has_leaves_nothing_to_sell_until_it_buys():
    here = world()
    here.take(usage(11, {"a": 130}))
    for qty in (1, 100):
        (_, refused) = here.sell("a", qty, 10)
        assert (refused.reason, refused.detail) == (
            ["insufficient_tokens"],
            [f"{qty} tokens of period 5 are needed, -30 are free"],
        )
    (_, refused) = here.transfer("a", "b", tokens=1)
    assert refused.reason == ["insufficient_tokens"]
    here.sell("b", 50, 10)
    here.buy("a", 50, 10)
    assert of_kind(here.sell("a", 20, 10), Postings)


def test_use_of_tokens_that_were_sold_is_not_the_buyers_business():
    here = world()
    here.sell("a", 100, 10)
    here.buy("b", 100, 10)
    facts = here.take(usage(11, {"a": 100}))
    assert not events(facts)
    assert (here.value("b", "bought"), here.value("a", "sold")) == (100, 100)


def test_forward_orders_are_not_touched_by_what_is_used_now():
    here = world()
    here.sell("a", 100, 10, period=6)
    assert not events(here.take(usage(11, {"a": 1_000})))


def test_orders_of_a_period_shrink_to_what_was_given_when_it_opens():
    here = world()
    here.sell("a", 60, 10, period=6, id="s1")
    here.sell("a", 40, 20, period=6, id="s2")
    here.take(pool("p2", capacity=150, allow_unsigned=True))
    assert ("a", "s2", "cancelled", 40, "tokens_used") in events(here.period(5))
    assert here.market.instruments[6].book.orders["a\ns1"].open == 50


def test_what_was_used_before_the_period_opened_counts_when_it_does():
    here = world()
    here.sell("a", 100, 10, period=6, id="s")
    here.tick(11)
    here.take(usage(13, {"a": 30}))
    here.marks(11)
    assert events(here.run(12, 12))[-1] == ("a", "s", "cancelled", 30, "tokens_used")


# The grid is an instrument's own


def test_an_instrument_keeps_the_terms_with_which_it_began():
    here = world(lot=5, taker_fee_bp=100)
    here.sell("a", 50, 10, period=7)
    here.take(pool("p2", capacity=300, allow_unsigned=True, lot=3, price_tick=4, forward_periods=1))
    here.period(5)
    assert events(here.buy("b", 5, 10, period=7))[-1][2] == "filled"
    (trade,) = of_kind(here.buy("b", 40, 10, period=7), Trades)
    assert trade.buyer_fee == [4]
    assert events(here.buy("b", 5, 8, period=6))[-1][4] == "invalid_qty", "one that begins now has the new ones"
    here.period(6)
    assert events(here.sell("a", 3, 8))[-1][4] == "invalid_qty"


def test_an_order_can_be_taken_back_where_no_new_period_may_be_traded():
    """Of a pool that trades fewer periods ahead than it did."""
    here = world()
    here.sell("a", 50, 10, period=20, id="s")
    here.take(pool("p2", capacity=300, allow_unsigned=True, forward_periods=1))
    here.period(5)
    assert events(here.sell("a", 5, 10, period=19))[-1][4] == "unknown_instrument"
    assert events(here.cancel("a", "s", period=20)) == [("a", "s", "cancelled", 50, "user")]


# The operator offers what the auction left


def unsold(**terms):
    """Capacity 1,000, of which 300 are base and nobody needs more."""
    here = CheckedWorld(capacity=1_000, policy="max_min", offer_unsold=True, **terms)
    return here, here.market.instruments[5].book.orders if 5 in here.market.instruments else {}


UNSOLD = [
    ("all of it at the reserve price", {"reserve_price": 7}, [(7, 700)]),
    ("for nothing is for the least", {"reserve_price": 0}, [(1, 700)]),
    ("at the next price on the grid", {"reserve_price": 7, "price_tick": 5}, [(10, 700)]),
    ("within the band", {"reserve_price": 7, "price_tick": 5, "price_min": 12}, [(15, 700)]),
    ("not above the band", {"reserve_price": 7, "price_max": 6}, []),
    ("in lots", {"reserve_price": 7, "lot": 300}, [(7, 600)]),
    ("in orders that are not too large", {"reserve_price": 7, "max_order_tokens": 300}, [(7, 300), (7, 300), (7, 100)]),
    ("in lots of such orders", {"reserve_price": 7, "lot": 40, "max_order_tokens": 300}, [(7, 280), (7, 280), (7, 120)]),
    ("in as many as may be", {"reserve_price": 7, "max_order_tokens": 100, "max_open_orders": 2}, [(7, 100), (7, 100)]),
    ("where no order may be", {"reserve_price": 7, "max_order_tokens": 0}, []),
    ("where a lot is too much", {"reserve_price": 7, "lot": 1_000}, []),
    ("as much as money can buy", {"price_min": 2**53, "price_tick": 2**53}, [(2**53, 700)]),
]


@pytest.mark.parametrize(("terms", "expected"), [each[1:] for each in UNSOLD], ids=[each[0] for each in UNSOLD])
def test_unsold_surplus_is_offered(terms, expected):
    here, orders = unsold(**terms)
    assert [(order.price, order.open) for order in orders.values()] == expected
    assert {order.acct for order in orders.values()} <= {"operator"}
    here.period(5)
    assert {asset for asset, _ in here.market.ledger.standings} <= {-1, 6}


def test_what_the_operator_sells_is_allocated_and_paid_to_it():
    here, _ = unsold(reserve_price=7, taker_fee_bp=1_000)
    (trade,) = of_kind(here.buy("a", 100, 9), Trades)
    assert (trade.seller, trade.price, trade.buyer_fee) == ([""], [7], [70])
    assert here.market.ledger.balance(-1, "operator") == 770
    facts = here.period(5)
    (closed,) = of_kind(facts, PeriodClosed)
    assert (closed.allocated, closed.unallocated, closed.capacity) == (400, 600, 1_000)
    assert rows(facts, AllocationsClosed, "bought", "allocated")["a"] == (100, 200)


def test_the_operators_offer_meets_bids_that_waited_for_the_period():
    here, _ = unsold(reserve_price=7)
    here.buy("a", 100, 9, period=6, id="bid")
    here.buy("b", 100, 6, period=6)
    (trade,) = of_kind(here.period(5), Trades)
    assert (trade.buy_order, trade.taker, trade.seller, trade.price, trade.qty) == (["bid"], ["sell"], [""], [9], [100])
    assert here.value("a", "bought") == 100


def test_in_an_opening_auction_the_operators_offer_waits_like_others():
    here, _ = unsold(reserve_price=7, opening_auction_s=1)
    here.buy("a", 100, 9)
    (trade,) = of_kind(here.tick(11), Trades)
    assert (trade.seller, trade.qty, trade.taker) == ([""], [100], ["auction"])


def test_a_pool_that_offers_nothing_has_no_market_of_its_own():
    here = CheckedWorld(capacity=1_000, policy="max_min")
    assert not here.market.instruments


# Auctions


def test_an_opening_auction_begins_with_the_first_order_and_ends_at_its_time():
    here = world(opening_auction_s=2)
    (_, refused) = here.sell("a", 500, 10, period=7)
    assert refused.reason == ["insufficient_tokens"]
    here.tick(11)
    (begun,) = of_kind(here.sell("a", 50, 90, period=7), BookPhase)
    assert (begun.phase, begun.clock, begun.uncross_at) == ("auction", 11_000, 13_000)
    assert not of_kind(here.buy("b", 20, 110, period=7), Trades)
    for tif in ("IOC", "FOK"):
        assert events(here.buy("c", 5, 100, period=7, tif=tif))[-1][4] == "not_in_auction"
    assert events(here.buy("c", 5, 100, period=7, post_only=True))[-1][4] == "not_in_auction"
    assert events(here.buy("c", 5, period=7))[-1][4] == "not_in_auction"
    here.marks(11)
    assert not of_kind(here.run(12, 12), Trades)
    facts = here.tick(13)
    (trade,) = of_kind(facts, Trades)
    # Only the ask has more: under sell pressure the lowest price.
    assert (trade.price, trade.qty, trade.taker) == ([90], [20], ["auction"])
    (phase,) = of_kind(facts, BookPhase)
    assert (phase.phase, phase.reference) == ("continuous", 90)
    assert not of_kind(here.tick(14), BookPhase)
    assert of_kind(here.buy("b", 5, 90, period=7), Trades)


def test_an_auction_in_which_nothing_crosses_ends_without_a_price():
    here = world(opening_auction_s=1)
    here.sell("a", 50, 90)
    (phase,) = of_kind(here.tick(11), BookPhase)
    assert (phase.phase, phase.reference) == ("continuous", None)


def test_what_rests_through_an_auction_pays_the_makers_fee_of_the_auctions_price():
    here = world(opening_auction_s=1, maker_fee_bp=50, taker_fee_bp=500)
    here.sell("a", 10, 100)
    here.buy("b", 10, 200)
    assert here.held("b") == 2_000 + 100
    (trade,) = of_kind(here.tick(11), Trades)
    assert (trade.price, trade.buyer_fee, trade.seller_fee) == ([150], [7], [7])
    assert (here.held("b"), here.money("b"), here.money("a")) == (0, 1_000_000 - 1_507, 1_000_000 + 1_493)


def test_an_auction_that_its_period_ends_trades_nothing():
    here = world(opening_auction_s=60)
    here.sell("a", 10, 100)
    here.buy("b", 10, 200)
    facts = here.period(5)
    assert not of_kind(facts, Trades)
    assert {event[4] for event in events(facts)} == {"period_closed"}


def call(action, period=5, **fields):
    return CallCommand(**{"id": f"{action}-{period}", "pool": "llm", "period": period, "action": action, **fields})


def test_an_operator_calls_an_auction_and_ends_it():
    here = world()
    here.sell("a", 10, 100)
    here.buy("b", 4, 100)
    (phase,) = here.take(call("to_auction"))
    assert (phase.KIND, phase.phase, phase.id, phase.reference) == ("book_phase", "auction", "to_auction-5", None)
    assert here.take(call("to_auction")) == [], "once"
    assert not of_kind(here.buy("b", 6, 100), Trades)
    here.tick(11)
    facts = here.take(call("uncross"))
    (trade,) = of_kind(facts, Trades)
    assert (trade.price, trade.qty) == ([100], [6])
    assert here.market.instruments[5].book.phase == "continuous"
    assert here.take(call("uncross")) == []


CALLS = [
    ("uncross of continuous trading", call("uncross"), Reason.WRONG_PHASE, "action: uncross, but the book is in continuous"),
    ("of a period without orders", call("to_auction", 6), Reason.UNKNOWN_INSTRUMENT, "period: nobody trades period 6"),
    ("of a period that is over", call("to_auction", 4), Reason.UNKNOWN_INSTRUMENT, "period: nobody trades period 4"),
    ("of no pool", call("to_auction", pool="ghost"), Reason.UNKNOWN_POOL, "pool: 'ghost' is not defined"),
]


@pytest.mark.parametrize(("command", "reason", "detail"), [each[1:] for each in CALLS], ids=[each[0] for each in CALLS])
def test_a_call_is_refused(command, reason, detail):
    here = world()
    here.sell("a", 10, 100)
    (refused,) = here.take(command)
    assert isinstance(refused, CommandRefused)
    assert (refused.reason, refused.detail, refused.tenant) == (reason, detail, "")
    assert here.take(command) == []


def test_an_operator_ends_an_opening_auction_before_its_time():
    here = world(opening_auction_s=60)
    here.sell("a", 10, 100)
    here.take(call("uncross"))
    assert here.market.instruments[5].uncross_at is None
    here.buy("b", 10, 100)
    assert here.value("b", "bought") == 10


# Who comes later


def test_a_tenant_without_a_base_may_buy():
    here = world()
    here.take(profile("p", "new", base=0))
    here.transfer("a", "new", money=1_000)
    here.sell("a", 10, 100)
    here.buy("new", 10, 100)
    assert here.value("new", "bought") == 10
    facts = here.period(5)
    assert rows(facts, AllocationsClosed, "base", "bought", "allocated")["new"] == (0, 10, 10), "also before its profile holds"
    (closed,) = of_kind(facts, PeriodClosed)
    assert (closed.tenants, closed.allocated) == (4, 300)
    assert here.market.ledger.balance(5, tenant_account("new")) == 0


def test_money_is_kept_over_periods_and_pools_are_worlds_of_their_own():
    here = world()
    here.take(pool("other", pool="gpt", capacity=100, allow_unsigned=True), profile("x", "a", pool="gpt", base=50))
    here.period(5)
    assert here.money("a") == 1_000_000
    assert not here.state.pools["gpt"].market.ledger.standings
