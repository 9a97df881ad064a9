"""Transfers: gifts, and exchanges of which both legs are posted or neither."""

import pytest
from journal_world import of_kind, pool, profile, rows, usage
from market_checks import CheckedWorld, check
from market_world import MarketWorld

from processors.accounts import tenant_account
from processors.market.tokens import free
from schemas.facts import AllocationsClosed, AllocationsOpened, Postings
from schemas.market_facts import BookPhase, TransferEvents

PERIODS = pytest.mark.parametrize("period", [5, 7], ids=["present", "forward"])


def world(**terms):
    return CheckedWorld(**{"capacity": 300, **terms})


def told(facts):
    (fact,) = of_kind(facts, TransferEvents)
    columns = (fact.tenant, fact.to, fact.event, fact.tokens, fact.money, fact.for_tokens, fact.for_money, fact.reason)
    (row,) = zip(*columns, strict=True)
    return row


def has(here, tenant, period):
    """(tokens that it may sell, money)."""
    return free(here.pool(), tenant, period), here.money(tenant)


def test_a_gift_of_money():
    here = world()
    facts = here.transfer("a", "b", money=300)
    assert told(facts) == ("a", "b", "done", 0, 300, 0, 0, "")
    assert (here.money("a"), here.money("b")) == (999_700, 1_000_300)
    assert not of_kind(facts, BookPhase), "no instrument begins for money"


@PERIODS
def test_a_gift_of_tokens(period):
    here = world()
    assert told(here.transfer("a", "b", period=period, tokens=30)) == ("a", "b", "done", 30, 0, 0, 0, "")
    assert (has(here, "a", period)[0], has(here, "b", period)[0]) == (70, 130)
    assert told(here.transfer("b", "c", period=period, tokens=130))[2] == "done", "what was given can be given on"
    assert has(here, "b", period)[0] == 0


def test_gifts_count_as_bought_and_sold():
    here = world()
    here.transfer("a", "b", tokens=30)
    here.transfer("a", "b", period=6, tokens=50)
    facts = here.period(5)
    assert rows(facts, AllocationsClosed, "bought", "sold") == {"a": (0, 30), "b": (30, 0), "c": (0, 0)}
    assert rows(facts, AllocationsOpened, "bought", "sold", "allocated") == {"a": (0, 50, 50), "b": (50, 0, 150), "c": (0, 0, 100)}


EXCHANGES = [
    ("tokens for money", {"tokens": 30, "for_money": 600}, (70, 1_000_600), (130, 999_400)),
    ("money for tokens", {"money": 600, "for_tokens": 30}, (130, 999_400), (70, 1_000_600)),
    ("tokens for tokens", {"tokens": 30, "for_tokens": 10}, (80, 1_000_000), (120, 1_000_000)),
    ("money for money", {"money": 30, "for_money": 10}, (100, 999_980), (100, 1_000_020)),
]


@pytest.mark.parametrize(("legs", "giver", "taker"), [each[1:] for each in EXCHANGES], ids=[each[0] for each in EXCHANGES])
@PERIODS
def test_an_exchange_is_held_until_both_legs_are_posted(legs, giver, taker, period):
    here = world()
    assert told(here.transfer("a", "b", period=period, id="t", **legs))[2] == "offered"
    assert has(here, "a", period) == (100 - legs.get("tokens", 0), 1_000_000 - legs.get("money", 0))
    assert has(here, "b", period) == (100, 1_000_000)
    facts = here.accept("b", "a", "t", period=period)
    assert told(facts)[2] == "accepted"
    assert has(here, "a", period) == giver
    assert has(here, "b", period) == taker
    assert here.accept("b", "a", "t", period=period)[-1].reason == ["unknown_offer"]


@pytest.mark.parametrize(
    ("legs", "reason"),
    [({"tokens": 5, "for_money": 1_000_001}, "insufficient_money"), ({"money": 5, "for_tokens": 101}, "insufficient_tokens")],
)
@PERIODS
def test_neither_leg_is_posted_where_one_cannot_be(legs, reason, period):
    here = world()
    here.transfer("a", "b", period=period, id="t", **legs)
    before = has(here, "a", period), has(here, "b", period)
    facts = here.accept("b", "a", "t", period=period)
    assert told(facts)[-1] == reason
    assert (has(here, "a", period), has(here, "b", period)) == before
    assert not of_kind(facts, Postings)
    # The offer stands: who gets the means later may accept it then.
    here.transfer("c", "b", period=period, **({"tokens": 1} if reason == "insufficient_tokens" else {"money": 1}))
    assert told(here.accept("b", "a", "t", period=period))[2] == "accepted"


@PERIODS
def test_an_offer_is_taken_back(period):
    here = world()
    here.transfer("a", "b", period=period, id="t", tokens=40, for_money=5)
    assert here.cancel("b", "t", period=period)[-1].reason == ["unknown_order"], "by its giver only"
    assert here.cancel("a", "t", period=period + 1)[-1].reason == ["unknown_order"], "in its period"
    assert told(here.cancel("a", "t", period=period)) == ("a", "b", "cancelled", 40, 0, 0, 5, "user")
    assert has(here, "a", period) == (100, 1_000_000)
    assert here.accept("b", "a", "t", period=period)[-1].reason == ["unknown_offer"]
    assert told(here.transfer("a", "b", period=period, id="t", tokens=41, for_money=5))[2] == "offered", (
        "an id of nothing that was made"
    )


def test_of_an_order_and_an_offer_of_one_name_the_order_is_cancelled_first():
    here = world()
    here.transfer("a", "b", id="x", tokens=40, for_money=5)
    here.sell("a", 10, 5, id="x")
    here.sell("a", 10, 5, id="x", period=6)
    assert here.cancel("a", "x")[1].KIND == "order_events"
    assert here.cancel("a", "x")[1].KIND == "transfer_events"
    assert here.cancel("a", "x", period=6)[1].event == ["cancelled"]


def test_an_id_is_a_tenants_own():
    here = world()
    here.transfer("a", "c", id="t", tokens=1, for_money=1)
    here.transfer("b", "c", id="t", tokens=2, for_money=2)
    here.accept("c", "b", "t")
    assert here.value("c", "bought") == 2
    here.accept("c", "a", "t")
    assert here.value("c", "bought") == 3


def test_money_that_is_offered_buys_nothing_else():
    here = world()
    here.transfer("a", "b", money=999_000, for_tokens=1)
    assert here.buy("a", 11, 100)[-1].reason == ["insufficient_money"]
    assert here.buy("a", 10, 100)[-1].KIND == "postings"
    assert here.transfer("a", "b", money=1)[-1].reason == ["insufficient_money"]


def test_a_period_that_opens_with_less_ends_offers_of_more():
    here = world()
    here.transfer("a", "b", id="t1", period=6, tokens=30, for_money=1)
    here.transfer("a", "b", id="t2", period=6, tokens=30, for_money=1)
    here.take(pool("p2", capacity=150, allow_unsigned=True))
    ended = of_kind(here.period(5), TransferEvents)
    assert [(fact.transfer_id, fact.event, fact.reason) for fact in ended] == [(["t2"], ["cancelled"], ["tokens_used"])]
    assert told(here.accept("b", "a", "t1"))[2] == "accepted"


def test_who_used_tokens_meanwhile_gives_what_it_received():
    """Used tokens are gone: of 100 it used 95 and got 20."""
    here = world()
    here.take(usage(11, {"b": 95}))
    here.transfer("a", "b", tokens=20)
    assert told(here.transfer("b", "c", tokens=25))[2] == "done"
    assert here.transfer("b", "c", tokens=1)[-1].reason == ["insufficient_tokens"]


def test_tokens_that_go_to_and_fro_for_ever_stay_in_int64():
    here = MarketWorld(tenants=("a", "b"), base=2**52, capacity=2**53, money=0)
    for period in (5, 6):
        for _ in range(1_030):
            here.transfer("a", "b", period=period, tokens=2**52)
            here.transfer("b", "a", period=period, tokens=2**53)
            here.transfer("a", "b", period=period, tokens=2**52)
        check(here.pool())
    facts = here.period(5)
    closed = rows(facts, AllocationsClosed, "bought", "sold", "allocated")
    opened = rows(facts, AllocationsOpened, "allocated")
    assert opened == {"a": 2**52, "b": 2**52}
    assert all(0 <= bought < 2**63 and 0 <= sold < 2**63 and allocated == 2**52 for bought, sold, allocated in closed.values())


def test_a_profile_that_comes_after_an_offer():
    here = world()
    assert here.transfer("a", "new", id="t", tokens=1, for_money=1)[-1].reason == ["unknown_tenant"]
    here.take(profile("p", "new", base=0))
    assert here.transfer("a", "new", id="t", tokens=1, for_money=1) == [], "word for word what was refused: silence"
    assert told(here.transfer("a", "new", id="t", tokens=1, for_money=2))[2] == "offered"
    assert here.market.ledger.balance(5, tenant_account("a")) == 1
