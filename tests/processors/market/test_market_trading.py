"""Orders and trades: what is held at every moment, who pays whom, fees, better prices, self-trades. Checked after each record."""

import pytest
from journal_world import of_kind
from market_checks import CheckedWorld

from processors.accounts import tenant_account
from processors.engine import fold
from schemas.facts import Postings
from schemas.market import OrderCommand
from schemas.market_facts import OrderEvents, Settlements, Trades

FEES = {"maker_fee_bp": 10, "taker_fee_bp": 25}
PERIODS = pytest.mark.parametrize("period", [5, 7], ids=["present", "forward"])


def world(**terms):
    """Everybody has 100 tokens of the present period 5 and of those to come, and 1,000,000 nanocredits."""
    return CheckedWorld(capacity=300, **terms)


def tokens(here, tenant, period):
    return here.market.ledger.balance(period, tenant_account(tenant))


def events(facts):
    """(order, event, qty, open) in their order."""
    return [row for fact in of_kind(facts, OrderEvents) for row in zip(fact.order_id, fact.event, fact.qty, fact.open, strict=True)]


def posted(facts):
    rows = []
    for fact in of_kind(facts, Postings):
        columns = (fact.entry, fact.code, fact.asset, fact.debit_account, fact.credit_account, fact.amount)
        rows += zip(*columns, strict=True)
    return rows


@PERIODS
def test_a_resting_sell_holds_its_tokens_and_a_resting_buy_its_money_and_fee(period):
    here = world(**FEES)
    here.sell("a", 40, 100, period=period)
    assert (here.held("a", period), tokens(here, "a", period)) == (40, 40)
    here.buy("b", 40, 99, period=period)
    assert here.held("b") == 40 * 99 + 40 * 99 * 25 // 10_000
    here.sell("a", 60, 100, period=period)
    assert here.held("a", period) == 100


@PERIODS
def test_a_trade_pays_both_fees_floored_and_frees_what_a_better_price_saves(period):
    here = world(**FEES)
    here.sell("a", 30, 97, period=period, id="ask")
    facts = here.buy("b", 50, 101, period=period, id="bid")
    notional = 30 * 97
    maker, taker = notional * 10 // 10_000, notional * 25 // 10_000
    assert (maker, taker) == (2, 7)
    (trade,) = of_kind(facts, Trades)
    assert (trade.price, trade.qty, trade.taker) == ([97], [30], ["buy"])
    assert (trade.buyer, trade.seller, trade.buy_order, trade.sell_order) == (["b"], ["a"], ["bid"], ["ask"])
    assert (trade.buyer_fee, trade.seller_fee) == ([taker], [maker])
    (settled,) = of_kind(facts, Settlements)
    assert settled.kind == ("delivered" if period == 5 else "secured")
    assert (settled.paid, settled.earned, settled.fees) == ([notional + taker], [notional - maker], [maker + taker])
    left = 20 * 101
    assert here.held("b") == left + left * 25 // 10_000
    assert here.money("b") == 1_000_000 - notional - taker - here.held("b")
    ledger = here.market.ledger
    if period == 5:
        assert (here.money("a"), ledger.balance(-1, "operator")) == (1_000_000 + notional - maker, maker + taker)
        assert (here.value("b", "bought"), here.value("a", "sold")) == (30, 30)
    else:
        assert (here.money("a"), ledger.balance(-1, "escrow/7")) == (1_000_000, notional + taker)
        position = here.market.instruments[7].positions
        assert (position["b"].net, position["b"].paid) == (30, notional + taker)
        assert (position["a"].net, position["a"].earned, position[""].earned) == (-30, notional - maker, maker + taker)
    assert tokens(here, "b", period) == 30


def test_who_takes_pays_the_takers_fee_and_an_auction_has_none():
    here = world(**FEES)
    here.buy("b", 30, 100)
    (trade,) = of_kind(here.sell("a", 30, 90), Trades)
    assert (trade.price, trade.taker, trade.buyer_fee, trade.seller_fee) == ([100], ["sell"], [3], [7])
    here = world(**FEES, opening_auction_s=1)
    here.buy("b", 30, 110)
    here.sell("a", 30, 90)
    (trade,) = of_kind(here.tick(11), Trades)
    assert (trade.price, trade.taker, trade.buyer_fee, trade.seller_fee) == ([100], ["auction"], [3], [3])


@pytest.mark.parametrize("fee_bp", [0, 1, 9_999, 10_000])
@PERIODS
def test_many_small_fills_never_cost_more_than_was_held(fee_bp, period):
    """Each trade floors its own fee; what the hold is over goes back."""
    here = world(maker_fee_bp=fee_bp, taker_fee_bp=fee_bp // 3)
    here.buy("b", 100, 7, period=period, id="bid")
    for qty in (1, 2, 3, 1, 1, 30, 1, 61):
        here.sell("a", qty, 7, period=period)
    assert here.held("b") == 0
    assert tokens(here, "b", period) == 100


def test_a_market_buy_holds_what_it_trades_now():
    here = world(**FEES)
    here.sell("a", 10, 100, id="s1")
    here.sell("c", 10, 1_000, id="s2")
    facts = here.buy("b", 60, id="take")
    assert events(facts) == [
        ("take", "accepted", 60, 60),
        ("s1", "filled", 10, 0),
        ("take", "filled", 10, 50),
        ("s2", "filled", 10, 0),
        ("take", "filled", 10, 40),
        ("take", "cancelled", 40, 0),
    ]
    assert here.money("b") == 1_000_000 - 11_000 - (1_000 * 25 // 10_000) - (10_000 * 25 // 10_000)
    assert posted(facts)[0] == ("hold", "order", -1, "tenant/b", "", 11_000 + 2 + 25)
    assert events(here.buy("b", 60, id="none"))[-1] == ("none", "cancelled", 60, 0), "nothing to trade with: nothing is held"


def test_a_market_sell_holds_its_tokens_until_it_ends():
    here = world()
    here.buy("b", 10, 100)
    facts = here.sell("a", 60)
    assert (here.value("a", "sold"), here.held("a", 5), here.money("a")) == (10, 0, 1_001_000)
    assert [row[0] for row in posted(facts)] == ["post", "hold", "capture", "capture", "void"]


def test_price_improvement_of_a_market_buy_with_less_money_than_the_worst_price():
    """What it would trade is what it costs: no order of another price is in its way."""
    here = world()
    here.transfer("b", "c", money=999_000)
    here.sell("a", 10, 100)
    here.sell("a", 10, 1_000_000)
    (_, refused) = here.buy("b", 11)
    assert refused.reason == ["insufficient_money"]
    assert of_kind(here.buy("b", 10), Trades)
    assert here.money("b") == 0


TIFS = [
    ("IOC", {"tif": "IOC"}, [("taker", "accepted", 50, 50), ("taker", "filled", 20, 30), ("taker", "cancelled", 30, 0)], 0),
    ("GTC", {}, [("taker", "accepted", 50, 50), ("taker", "filled", 20, 30), ("taker", "rested", 30, 30)], 30),
    (
        "GTD",
        {"tif": "GTD", "expire": 11_000},
        [("taker", "accepted", 50, 50), ("taker", "filled", 20, 30), ("taker", "rested", 30, 30)],
        30,
    ),
]


@pytest.mark.parametrize(("fields", "expected", "rests"), [each[1:] for each in TIFS], ids=[each[0] for each in TIFS])
@PERIODS
def test_what_is_left_of_a_taker(fields, expected, rests, period):
    here = world()
    here.sell("a", 20, 100, period=period)
    facts = here.buy("b", 50, 110, period=period, id="taker", **fields)
    assert [row for row in events(facts) if row[0] == "taker"] == expected
    assert here.held("b") == rests * 110
    here.tick(11)
    assert here.held("b") == (0 if "expire" in fields else rests * 110)


def test_a_fok_order_trades_whole_or_leaves_nothing():
    here = world()
    here.sell("a", 20, 100)
    assert events(here.buy("b", 21, 100, tif="FOK", id="f")) == [("f", "rejected", 21, 0)]
    assert events(here.buy("b", 20, 100, tif="FOK", id="f"))[-1] == ("f", "filled", 20, 0)
    assert here.held("b") == 0


def test_post_only_rests():
    here = world()
    here.sell("a", 20, 100)
    assert events(here.buy("b", 20, 99, post_only=True, id="p"))[-1] == ("p", "rested", 20, 20)
    assert here.held("b") == 20 * 99


@PERIODS
def test_orders_expire_at_their_tick_and_free_what_they_held(period):
    here = world()
    here.sell("a", 20, 100, period=period, tif="GTD", expire=11_000, id="s")
    here.buy("b", 10, 90, period=period, tif="GTD", expire=11_001, id="b")
    assert events(here.tick(11)) == [("s", "cancelled", 20, 0)]
    assert (here.held("a", period), here.held("b")) == (0, 900)
    facts = here.run(12, 12)
    assert events(facts)[0] == ("b", "cancelled", 10, 0)
    assert {reason for fact in of_kind(facts, OrderEvents) for reason in fact.reason if "b" in fact.order_id} == {"expired"}


REPLACES = [
    ("up", (100, 60), 60, True),
    ("down", (100, 20), 20, True),
    ("dearer", (120, 40), 40, True),
    ("cheaper", (90, 40), 40, True),
    ("to nothing", (100, 5), 0, True),
    ("as it is", (100, 40), 40, True),
    ("beyond its means", (100, 20_000), 40, False),
]


@pytest.mark.parametrize("side", ["buy", "sell"])
@pytest.mark.parametrize(("to", "total", "taken"), [each[1:] for each in REPLACES], ids=[each[0] for each in REPLACES])
@PERIODS
def test_a_replaced_order_holds_what_it_needs_now(side, to, total, taken, period):
    """10 of 40 are filled; a total counts them."""
    here = world(**FEES)
    here.order("a", side, 40, 100, period=period, id="o")
    here.order("b", "sell" if side == "buy" else "buy", 10, 100, period=period)
    facts = here.replace("a", "o", *to, period=period)
    assert (events(facts)[0][1] != "rejected") == taken
    left, price = max(total - 10, 0), to[0] if taken else 100
    if side == "sell":
        assert here.held("a", period) == left
    else:
        assert here.held("a") == left * price + left * price * 25 // 10_000


@PERIODS
def test_a_replace_into_a_cross_trades_at_once_and_pays_as_the_taker(period):
    here = world(**FEES)
    here.sell("a", 20, 100, period=period, id="ask")
    here.buy("b", 30, 50, period=period, id="bid")
    facts = here.replace("b", "bid", 110, 30, period=period)
    assert events(facts) == [
        ("bid", "replaced", 30, 30),
        ("ask", "filled", 20, 0),
        ("bid", "filled", 20, 10),
        ("bid", "rested", 10, 10),
    ]
    (trade,) = of_kind(facts, Trades)
    assert (trade.price, trade.taker, trade.buyer_fee, trade.seller_fee) == ([100], ["buy"], [5], [2])
    assert here.held("b") == 10 * 110 + 10 * 110 * 25 // 10_000


def test_reducing_frees_what_is_no_longer_needed():
    here = world(**FEES)
    here.buy("a", 40, 100, id="o")
    assert events(here.reduce("a", "o", 30)) == [("o", "reduced", 30, 10)]
    assert here.held("a") == 1_000 + 2
    assert events(here.reduce("a", "o", 300)) == [("o", "cancelled", 10, 0)]
    assert here.held("a") == 0


SELF = [
    ("cancel_taker", [("old", 20), ("new", 0)], []),
    ("cancel_maker", [("old", 0), ("new", 30)], []),
    ("cancel_both", [("old", 0), ("new", 0)], []),
    ("decrement", [("old", 0), ("new", 10)], []),
    ("none", [("old", 0), ("new", 10)], [20]),
]


@pytest.mark.parametrize(("mode", "left", "traded"), SELF, ids=[each[0] for each in SELF])
@pytest.mark.parametrize("side", ["buy", "sell"])
@PERIODS
def test_orders_of_one_tenant_that_meet(mode, left, traded, side, period):
    here = world(**FEES)
    here.order("a", "sell" if side == "buy" else "buy", 20, 100, period=period, id="old")
    facts = here.order("a", side, 30, 100, period=period, id="new", stp=mode)
    book = here.market.instruments[period].book
    assert [(name, book.orders[f"a\n{name}"].open if f"a\n{name}" in book.orders else 0) for name, _ in left] == left
    assert [qty for fact in of_kind(facts, Trades) for qty in fact.qty] == traded
    if traded:  # tokens and money are where they were, but for the fees
        assert here.market.ledger.balance(-1, tenant_account("a")) == 1_000_000 - (
            7 if period == 5 else 2_005 if side == "buy" else 2_002
        )
        here.cancel("a", "new", period=period)
        if period == 5:
            assert here.value("a", "bought") == here.value("a", "sold") == 20
        else:
            assert here.market.instruments[7].positions["a"].net == 0
            here.period(5)
            here.period(6)
        assert here.money("a") == 1_000_000 - 7


def test_decrement_takes_both_down_by_the_smaller_and_holds_follow():
    here = world(**FEES)
    here.sell("a", 20, 100, id="s1")
    here.sell("a", 30, 101, id="s2")
    facts = here.buy("a", 35, 105, id="new", stp="decrement")
    assert events(facts)[1:] == [
        ("s1", "cancelled", 20, 0),
        ("new", "cancelled", 20, 15),
        ("s2", "cancelled", 15, 15),
        ("new", "cancelled", 15, 0),
    ]
    assert (here.held("a", 5), here.held("a")) == (15, 0)


def test_what_is_sold_is_not_sold_twice_and_what_is_bought_can_be_sold():
    here = world()
    here.sell("a", 100, 10, period=7)
    (_, refused) = here.sell("a", 1, 10, period=7)
    assert (refused.reason, refused.detail) == (["insufficient_tokens"], ["1 tokens of period 7 are needed, 0 are free"])
    here.buy("b", 100, 10, period=7)
    assert of_kind(here.sell("b", 200, 20, period=7), Postings), "its base and what it bought"
    (_, refused) = here.sell("b", 1, 20, period=7)
    assert refused.reason == ["insufficient_tokens"]
    assert of_kind(here.sell("a", 100, 10, period=8), Postings), "another period's are others"


def test_one_order_against_thousands_is_told_in_chunks_that_never_part_the_sides_of_a_trade():
    here = CheckedWorld(base=5_000, capacity=15_000, max_open_orders=5_000)
    for number in range(1_300):
        order = OrderCommand(id=f"s{number}", pool="llm", tenant="a", period=5, side="sell", qty=1, price=1)
        fold(here.state, order, 1_000 + number)  # not checked one by one
    facts = here.buy("b", 1_300, 1)
    told = of_kind(facts, OrderEvents)
    assert [len(fact.event) for fact in told] == [1_999, 602]
    trades = of_kind(facts, Trades)
    assert [number for fact in trades for number in fact.number] == list(range(1_300))
    assert here.value("b", "bought") == 1_300


def test_last_price_and_volume():
    here = world()
    here.sell("a", 20, 100)
    assert (here.market.instruments[5].last_price, here.market.instruments[5].volume) == (None, 0)
    here.buy("b", 5, 100)
    here.buy("b", 15, 120)
    assert (here.market.instruments[5].last_price, here.market.instruments[5].volume) == (100, 20)


@PERIODS
def test_a_replace_may_take_all_that_is_free(period):
    """Of a total what is filled counts already: 10 of 40 are, 60 are free."""
    here = world()
    here.sell("a", 40, 100, period=period, id="o")
    here.buy("b", 10, 100, period=period)
    assert here.replace("a", "o", 100, 101, period=period)[-1].detail == [f"61 tokens of period {period} are needed, 60 are free"]
    assert of_kind(here.replace("a", "o", 100, 100, period=period), Postings)
    assert here.held("a", period) == 90


@pytest.mark.parametrize(
    ("mode", "traded"), [("decrement", [5, 5]), ("cancel_maker", [5, 15]), ("cancel_taker", [5]), ("none", [5, 10, 5])]
)
@pytest.mark.parametrize("side", ["buy", "sell"])
def test_a_market_order_that_meets_its_own_on_its_way(mode, traded, side):
    """Between two trades its open part shrinks; what it holds for the rest stays held."""
    here = world(**FEES)
    other, worse = ("sell", 1) if side == "buy" else ("buy", -1)
    here.order("b", other, 5, 100)
    here.order("a", other, 10, 100 + worse)
    here.order("c", other, 30, 100 + 2 * worse)
    facts = here.order("a", side, 20, stp=mode)
    assert [qty for fact in of_kind(facts, Trades) for qty in fact.qty] == traded
    left = here.market.instruments[5].book.open_orders(tenant_account("a"))
    assert [order.open for order in left] == ([10] if mode == "cancel_taker" else [])


def test_time_passes_for_orders_that_name_it():
    """The book's clock goes on when somebody asks for it; between ticks it is the time of the last one."""
    here = world()
    here.sell("a", 5, 100)
    here.tick(11)
    for expire, reason in ((10_500, "already_expired"), (11_000, "already_expired"), (11_001, "")):
        assert here.buy("b", 5, 50, tif="GTD", expire=expire)[-1 if reason else -2].reason[0] == reason
    assert here.market.instruments[5].book.now == 11_000
