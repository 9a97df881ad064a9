"""Every reason for which an order, a change or a transfer is refused: the field it is refused for, and that nothing came of it."""

import pytest
from journal_world import World, of_kind, pool, profile, state_bytes
from market_world import MarketWorld

from schemas.facts import Postings
from schemas.market import AcceptCommand, CancelCommand, OrderCommand, ReduceCommand, ReplaceCommand, TransferCommand, TurnedAway
from schemas.market_facts import CommandTaken, OrderEvents, TransferEvents
from schemas.trading import Reject

LARGEST = 2**63 - 1
GRID = {"lot": 5, "price_tick": 10, "price_min": 20, "price_max": 500, "max_order_tokens": 60, "max_open_orders": 3}


def world(**terms):
    """Present period 5, in which everybody was allocated its base of 100 and nothing else; a sells 50 at 100, b buys 10 at 50."""
    here = MarketWorld(capacity=300, **{**GRID, **terms})
    here.sell("a", 50, 100, id="ask")
    here.buy("b", 10, 50, id="bid")
    return here


def order(**fields):
    base = {"id": "new", "pool": "llm", "tenant": "a", "period": 5, "side": "buy", "qty": 10, "price": 50}
    return OrderCommand(**{**base, **fields})


def cancel(**fields):
    return CancelCommand(**{"id": "new", "pool": "llm", "tenant": "a", "period": 5, "order": "ask", **fields})


def reduce(**fields):
    return ReduceCommand(**{"id": "new", "pool": "llm", "tenant": "a", "period": 5, "order": "ask", "by": 5, **fields})


def replace(**fields):
    base = {"id": "new", "pool": "llm", "tenant": "a", "period": 5, "order": "ask", "price": 100, "qty": 50}
    return ReplaceCommand(**{**base, **fields})


def transfer(**fields):
    return TransferCommand(**{"id": "new", "pool": "llm", "tenant": "a", "period": 5, "to": "b", **fields})


def accept(**fields):
    base = {"id": "new", "pool": "llm", "tenant": "b", "period": 5, "offered_by": "a", "offer": "offer"}
    return AcceptCommand(**{**base, **fields})


ORDERS = [
    ("of no pool", order(pool="ghost"), Reject.UNKNOWN_POOL, "pool", "'ghost' is not defined"),
    ("of nobody", order(tenant="nobody"), Reject.UNKNOWN_TENANT, "tenant", "'nobody' has no profile in 'llm'"),
    ("of a period that is over", order(period=4), Reject.PERIOD_CLOSED, "period", "4 is closed, 5 is open"),
    ("of a period too far ahead", order(period=66), Reject.UNKNOWN_INSTRUMENT, "period", "66 is not traded yet, 5 to 65 are"),
    ("with an id that was used", order(id="ask"), Reject.DUPLICATE_ID, "id", "'ask'"),
    ("for nothing", order(qty=0), Reject.INVALID_QTY, "qty", "0 is no multiple of 5 from 5 to 60"),
    ("for less than nothing", order(qty=-5), Reject.INVALID_QTY, "qty", "-5 is no multiple of 5 from 5 to 60"),
    ("beside the lots", order(qty=12), Reject.INVALID_QTY, "qty", "12 is no multiple of 5 from 5 to 60"),
    ("above the cap", order(qty=65), Reject.INVALID_QTY, "qty", "65 is no multiple of 5 from 5 to 60"),
    ("beside the ticks", order(price=55), Reject.INVALID_PRICE, "price", "55 is no multiple of 10 from 20 to 500"),
    ("below the band", order(price=10), Reject.INVALID_PRICE, "price", "10 is no multiple of 10 from 20 to 500"),
    ("above the band", order(price=510), Reject.INVALID_PRICE, "price", "510 is no multiple of 10 from 20 to 500"),
    ("without a price", order(price=None), Reject.INVALID_PRICE, "price", "None is no multiple of 10 from 20 to 500"),
    ("market, to rest", order(price=None, order_type="market", tif="GTC"), Reject.INVALID_TIF, "tif", "GTC"),
    ("post-only, at once", order(post_only=True, tif="IOC"), Reject.INVALID_TIF, "post_only", "True"),
    ("GTD without its time", order(tif="GTD"), Reject.INVALID_TIF, "expire", "None"),
    ("expired", order(tif="GTD", expire=10_000), Reject.ALREADY_EXPIRED, "expire", "10000"),
    ("post-only that crosses", order(price=100, post_only=True), Reject.POST_ONLY_WOULD_CROSS, "price", "100"),
    ("more than all at once", order(tenant="c", qty=60, price=100, tif="FOK"), Reject.FOK_NOT_FILLABLE, "qty", "60"),
    (
        "more tokens than it has",
        order(side="sell", qty=55),
        Reject.INSUFFICIENT_TOKENS,
        "qty",
        "55 tokens of period 5 are needed, 50 are free",
    ),
    (
        "more tokens than its base",
        order(side="sell", qty=60, tenant="poor", period=9),
        Reject.INSUFFICIENT_TOKENS,
        "qty",
        "60 tokens of period 9 are needed, 0 are free",
    ),
    (
        "more money than it has",
        order(tenant="poor"),
        Reject.INSUFFICIENT_MONEY,
        "price",
        "500 nanocredits are needed, 0 are available",
    ),
    (
        "more money than a market order needs",
        order(tenant="poor", order_type="market", price=None),
        Reject.INSUFFICIENT_MONEY,
        "qty",
        "1000 nanocredits are needed, 0 are available",
    ),
    ("cancel of nothing", cancel(order="none"), Reject.UNKNOWN_ORDER, "order", "'none'"),
    ("cancel of somebody else's", cancel(order="bid"), Reject.UNKNOWN_ORDER, "order", "'bid'"),
    ("cancel where nobody traded", cancel(period=7), Reject.UNKNOWN_ORDER, "order", "'ask'"),
    ("cancel too late", cancel(period=3), Reject.PERIOD_CLOSED, "period", "3 is closed, 5 is open"),
    ("cancel far ahead", cancel(period=99), Reject.UNKNOWN_INSTRUMENT, "period", "99 is not traded yet, 5 to 65 are"),
    ("reduce of nothing", reduce(order="none"), Reject.UNKNOWN_ORDER, "order", "'none'"),
    ("reduce by nothing", reduce(by=0), Reject.INVALID_QTY, "by", "0 is no multiple of 5 from 5 to 60"),
    ("reduce beside the lots", reduce(by=7), Reject.INVALID_QTY, "by", "7 is no multiple of 5 from 5 to 60"),
    ("replace of nothing", replace(order="none"), Reject.UNKNOWN_ORDER, "order", "'none'"),
    ("replace beside the lots", replace(qty=52), Reject.INVALID_QTY, "qty", "52 is no multiple of 5 from 5 to 60"),
    ("replace above the band", replace(price=600), Reject.INVALID_PRICE, "price", "600 is no multiple of 10 from 20 to 500"),
    (
        "replace by more tokens than it has",
        replace(tenant="b", order="sold", qty=60),
        Reject.INSUFFICIENT_TOKENS,
        "qty",
        "30 tokens of period 5 are needed, 20 are free",
    ),
    (
        "replace by more money than it has",
        replace(tenant="poor", order="small", price=30, qty=50),
        Reject.INSUFFICIENT_MONEY,
        "price",
        "500 nanocredits are needed, 0 are available",
    ),
]

TRANSFERS = [
    ("of no pool", transfer(pool="ghost", tokens=5), Reject.UNKNOWN_POOL, "pool"),
    ("of nobody", transfer(tenant="nobody", tokens=5), Reject.UNKNOWN_TENANT, "tenant"),
    ("to nobody", transfer(to="nobody", tokens=5), Reject.UNKNOWN_TENANT, "to"),
    ("to itself", transfer(to="a", tokens=5), Reject.SELF_TRANSFER, "to"),
    ("of a period that is over", transfer(period=4, tokens=5), Reject.PERIOD_CLOSED, "period"),
    ("of a period too far ahead", transfer(period=66, tokens=5), Reject.UNKNOWN_INSTRUMENT, "period"),
    ("of nothing", transfer(), Reject.INVALID_QTY, "tokens"),
    ("of nothing for something", transfer(for_money=5), Reject.INVALID_QTY, "tokens"),
    ("of less than nothing", transfer(tokens=-1), Reject.INVALID_QTY, "tokens"),
    ("of a debt", transfer(money=-1), Reject.INVALID_QTY, "money"),
    ("of both", transfer(tokens=1, money=1), Reject.INVALID_QTY, "money"),
    ("for less than nothing", transfer(tokens=1, for_tokens=-1), Reject.INVALID_QTY, "for_tokens"),
    ("for a debt", transfer(tokens=1, for_money=-1), Reject.INVALID_QTY, "for_money"),
    ("for both", transfer(tokens=1, for_money=1, for_tokens=1), Reject.INVALID_QTY, "for_money"),
    ("of more tokens than it has", transfer(tokens=46), Reject.INSUFFICIENT_TOKENS, "tokens"),
    ("of more tokens than can be", transfer(tokens=LARGEST), Reject.INSUFFICIENT_TOKENS, "tokens"),
    ("of more money than it has", transfer(money=1_000_001), Reject.INSUFFICIENT_MONEY, "money"),
    ("of more money than it has, in exchange", transfer(money=1_000_001, for_tokens=1), Reject.INSUFFICIENT_MONEY, "money"),
    ("with an id that is offered", transfer(id="offer", money=1), Reject.DUPLICATE_ID, "id"),
    ("with an id that was made", transfer(id="made", money=1), Reject.DUPLICATE_ID, "id"),
    ("an offer with an id that was made", transfer(id="made", money=1, for_tokens=1), Reject.DUPLICATE_ID, "id"),
    ("one offer too many", transfer(tenant="c", money=1, for_tokens=1), Reject.TOO_MANY_ORDERS, "id"),
    ("acceptance of nothing", accept(offer="none"), Reject.UNKNOWN_OFFER, "offer"),
    ("acceptance of another's", accept(tenant="c"), Reject.UNKNOWN_OFFER, "offer"),
    ("acceptance of one's own", accept(tenant="a"), Reject.UNKNOWN_OFFER, "offer"),
    ("acceptance in another period", accept(period=6), Reject.UNKNOWN_OFFER, "offer"),
    ("acceptance too late", accept(period=4), Reject.PERIOD_CLOSED, "period"),
    ("acceptance without the money", accept(offered_by="b", tenant="poor", offer="dear"), Reject.INSUFFICIENT_MONEY, "offer"),
    ("acceptance without the tokens", accept(offered_by="b", tenant="a", offer="many"), Reject.INSUFFICIENT_TOKENS, "offer"),
]


@pytest.mark.parametrize(("command", "reason", "field", "detail"), [each[1:] for each in ORDERS], ids=[each[0] for each in ORDERS])
def test_an_order_or_change_is_refused(command, reason, field, detail):
    here = world()
    here.take(profile("profile-poor", "poor"))
    here.sell("b", 30, 200, id="sold")
    here.sell("b", 50, 300)
    here.sell("b", 50, 100, period=9)
    here.buy("c", 30, 20, period=9)
    here.transfer("a", "poor", money=1_000)
    here.buy("poor", 50, 20, id="small")
    before = state_bytes(here.state)[2]
    taken, refused = here.take(command)
    assert isinstance(taken, CommandTaken)
    assert isinstance(refused, OrderEvents)
    assert (refused.event, refused.reason, refused.field, refused.detail) == (["rejected"], [reason], [field], [detail])
    assert (refused.pool, refused.period, refused.tenant) == (command.pool, command.period, [command.tenant])
    assert refused.order_id == [command.id if isinstance(command, OrderCommand) else command.order]
    assert state_bytes(here.state)[2] == before


@pytest.mark.parametrize(("command", "reason", "field"), [each[1:] for each in TRANSFERS], ids=[each[0] for each in TRANSFERS])
def test_a_transfer_is_refused(command, reason, field):
    here = world()
    here.take(profile("profile-poor", "poor"))
    here.transfer("a", "b", id="offer", tokens=5, for_money=5)
    here.transfer("a", "b", id="made", money=5)
    here.transfer("b", "poor", id="dear", tokens=1, for_money=1)
    here.transfer("b", "a", id="many", tokens=1, for_tokens=60)
    for _ in range(3):
        here.transfer("c", "a", money=1, for_tokens=1)
    before = state_bytes(here.state)[2]
    taken, refused = here.take(command)
    assert isinstance(taken, CommandTaken)
    assert isinstance(refused, TransferEvents)
    assert (refused.event, refused.reason, refused.field) == (["rejected"], [reason], [field])
    assert (refused.pool, refused.period, refused.tenant) == (command.pool, command.period, [command.tenant])
    assert refused.transfer_id == [command.id]
    assert refused.detail[0]
    assert state_bytes(here.state)[2] == before


def test_a_market_without_a_period_takes_nothing():
    here = World()
    here.tick(8)
    here.take(pool(allow_unsigned=True), profile("a1", "a", base=100))
    _, refused = here.take(order(period=5))
    assert (refused.reason, refused.field) == ([Reject.UNKNOWN_INSTRUMENT], ["period"])
    assert refused.detail == ["no period of this pool is open yet"]


@pytest.mark.parametrize("kind", ["order", "cancel", "transfer", "accept"])
def test_a_command_that_is_sent_again_is_taken_once(kind):
    here = world()
    command = {"order": order(), "cancel": cancel(), "transfer": transfer(money=5), "accept": accept()}[kind]
    assert here.take(command)
    assert here.take(command, command) == []
    assert here.take(command.model_copy(update={"id": "other"}))


def test_a_refusal_is_told_once():
    here = world()
    assert here.take(order(qty=0))
    assert here.take(order(qty=0)) == []


def test_what_intake_turned_away_is_told_once_for_each_record():
    here = world()
    away = TurnedAway(
        pool="llm",
        tenant="a",
        command="order",
        id="o7",
        period=6,
        source_topic="orders",
        source_partition=0,
        source_offset=12,
        reason="signature_wrong",
        field="signature",
        detail="it is not that of the key",
    )
    _, told = here.take(away)
    assert (told.period, told.tenant, told.order_id, told.event) == (6, ["a"], ["o7"], ["rejected"])
    assert (told.reason, told.field, told.detail) == ([Reject.SIGNATURE_WRONG], ["signature"], ["it is not that of the key"])
    assert here.take(away) == []
    assert here.take(away.model_copy(update={"source_offset": 13}))
    unreadable = away.model_copy(
        update={"pool": "", "tenant": "", "id": "", "period": None, "reason": "malformed", "source_offset": 14}
    )
    _, told = here.take(unreadable)
    assert (told.pool, told.tenant, told.reason) == ("", [""], [Reject.MALFORMED])


def test_limits_of_int64():
    """Price x quantity, the fee included, must fit an account; the largest that fits is taken."""
    here = MarketWorld(base=100, money=0, capacity=300, taker_fee_bp=10_000)
    for side, price, qty, reason in [
        ("sell", LARGEST, 2, Reject.EXCEEDS_MONEY),
        ("sell", LARGEST // 100 + 1, 100, Reject.EXCEEDS_MONEY),
        ("buy", LARGEST, 1, Reject.EXCEEDS_MONEY),
        ("buy", LARGEST // 2 + 1, 1, Reject.EXCEEDS_MONEY),
        ("buy", LARGEST // 2, 1, Reject.INSUFFICIENT_MONEY),
        ("buy", 1, LARGEST, Reject.EXCEEDS_MONEY),
    ]:
        (_, refused) = here.order("a", side, qty, price)
        assert (refused.reason, refused.field) == ([reason], ["price" if reason is Reject.INSUFFICIENT_MONEY else "qty"]), (
            side,
            price,
        )
    assert here.sell("a", 1, LARGEST, id="dear")[-1].KIND == "postings"
    assert here.sell("b", 100, LARGEST // 100, id="dearer")[-1].KIND == "postings"
    # Together both cost more than int64: no sum wraps.
    (_, refused) = here.order("c", "buy", 101, order_type="market")
    assert refused.reason == [Reject.EXCEEDS_MONEY]
    (_, refused) = here.replace("b", "dearer", LARGEST, 2)
    assert (refused.reason, refused.field) == ([Reject.EXCEEDS_MONEY], ["qty"])


def test_as_many_orders_as_a_tenant_may_have_open():
    here = world()
    ids = [f"o{number}" for number in range(3)]
    for number in ids:
        assert of_kind(here.buy("c", 5, 20, id=number), Postings)
    _, refused = here.buy("c", 5, 20)
    assert (refused.reason, refused.field) == ([Reject.TOO_MANY_ORDERS], ["id"])
    assert refused.detail == ["3 orders are open in period 5 already"]
    assert of_kind(here.buy("c", 5, 20, period=6), Postings), "in each instrument"
    assert of_kind(here.buy("c", 5, 100), Postings), "what trades at once is not open"
    assert of_kind(here.buy("c", 5, 20, tif="IOC"), Postings), "nor is what does not rest"
    _, refused = here.buy("c", 5, 30, id="o1")
    assert refused.reason == [Reject.DUPLICATE_ID], "who asks again hears that it was taken"
    here.cancel("c", "o0")
    assert of_kind(here.buy("c", 5, 20), Postings)
