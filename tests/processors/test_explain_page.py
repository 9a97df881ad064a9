"""The page in words: what each step says, and what it leaves out."""

from dataclasses import replace

import pytest
from explained_pools import by_policy

from processors.explain import BaseMove, Bases, Debt, Expert, Limit, Trade, Transfer, explained, journal_record
from processors.explain.parts import Facts, Grid, Line
from processors.explain.sections import proof, sections, subtitle, title
from schemas.loops import BaseChange, BaseReason
from schemas.published import BidOn, Forecaster, Tier

POLICIES = ("seed", "uniform_price", "max_min")


@pytest.fixture(scope="module")
def world():
    return by_policy(POLICIES)


def told(world, policy, tenant, period=6):
    return explained(journal_record(world.journal, policy, period, tenant), tenant)


def text(told):
    """All that is said, on one line."""
    parts = [
        part for section in sections(told.auction, told.around, told.what_if) for part in (Line(section.title), *section.parts)
    ]
    return " ".join(word for part in (*parts, *proof(told.auction)) for word in words(part))


def words(part):
    match part:
        case Facts():
            return [cell for row in part.rows for cell in row]
        case Line():
            return [part.text]
        case Grid():
            return [cell for row in (part.heading, *part.rows) for cell in row]


@pytest.mark.parametrize(
    ("policy", "tenant", "says"),
    [
        ("seed", "big", ["rank 1 of 3", "Nobody came before it", "all that was left", "reserve price, 5 nanocredits"]),
        (
            "seed",
            "poor",
            ["rank 2 of 3", "right before it", "0 were left at its turn", "0.0000015 credits", "ended with big, rank 1"],
        ),
        ("seed", "guest", ["no profile in force", "without an allocation"]),
        ("uniform_price", "calm", ["bid for 750 tokens", "up to 5 nanocredits a token", "price was 15", "below that"]),
        (
            "uniform_price",
            "poor",
            ["10 nanocredits a token: elasticity x reserve price", "set by big, who pays no more (1,000 tokens)"],
        ),
        ("uniform_price", "big", ["Its limit is that price: shared in proportion"]),
        ("max_min", "big", ["Its need was 1,000 tokens", "The other 3 shared 650 tokens by weight: 1 of 4", "It got 163 tokens"]),
        ("max_min", "poor", ["budget bought", "of them after its base"]),
        ("seed", "poor", ["Forecast by last_value: 1,000 tokens", "profile version 1, from period 5 on"]),
        (
            "seed",
            "poor",
            ["its demand 1,000 – 1,801: 103 tokens", "The policy does not look at: its weight", "big is right before it"],
        ),
        ("max_min", "calm", ["The policy does not look at: its elasticity", "the other one who got most"]),
    ],
)
def test_the_page_tells_the_steps(world, policy, tenant, says):
    page = text(told(world, policy, tenant))
    missing = [part for part in says if part not in page]
    assert not missing, page


def test_a_cut_guarantee_is_told(world):
    page = told(world, "seed", "big", period=9)
    assert "all bases were cut in proportion, and 40 of its 200 tokens are owed to it" in text(page)
    ordered = replace(page, auction=replace(page.auction, tier=Tier.ELASTIC))
    assert "then of all others, and it is elastic, and 40 of its 200 tokens are owed" in text(ordered)


def test_title_and_rule(world):
    page = told(world, "max_min", "big")
    assert title(page.auction) == "big in period 6 of max_min"
    assert subtitle(page.auction, page.around) == "policy max_min: weighted max-min fairness · pool version 1"


def test_who_took_no_part_has_no_search(world):
    assert "What would have changed it" not in text(told(world, "seed", "guest"))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"debt": Debt(0, 1_000_000, 1_000_000)}, "Debt: Nothing was owed when the period opened; its weight stayed as declared."),
        (
            {"debt": Debt(12_340, 1_000_000, 1_500_000)},
            "Debt: It was owed 12.3 tokens of earlier periods: its weight went from 1 to 1.5.",
        ),
        (
            {"debt": Debt(-12_340, 1_000_000, 900_000)},
            "Debt: It owed 12.3 tokens of earlier periods: its weight went from 1 to 0.9.",
        ),
        ({"bases": Bases(100, 30, 0, ())}, "Base: 100 declared + 30 boost = 130 tokens."),
        (
            {"bases": Bases(90, 0, 5, (BaseMove(BaseChange.LOAN, BaseReason.EXCEEDED, 90, 85, "zed"),))},
            "Base: 90 declared - 5 lent = 85 tokens. Since the period before, loan: -5 tokens (zed), sla_exceeded.",
        ),
        (
            {"bases": Bases(90, 0, 0, (BaseMove(BaseChange.VERDICT, BaseReason.NO_PAYER, 90, 90, ""),) * 5)},
            "verdict: nothing changed, sla_no_payer. And 2 more moves of its base.",
        ),
        (
            {"trades": (Trade(0, "buy", "ann", 10, 3, 1, forward=True), Trade(0, "buy", "", 20, 1, 1, forward=False))},
            "at 12.5 on average, 3 of them before the period opened; fees 0.000000002 credits. The largest: buy 3 at 10 (ann), buy",
        ),
        (
            {"trades": (Trade(0, "sell", "ann", 10, 3, 0, forward=False),)},
            "Trades: sold 3 tokens in 1 trade at 10.0 on average; fees 0 credits.",
        ),
        (
            {"transfers": (Transfer("ann", 0, 7, 5, 0, forward=False),)},
            "Transfers: 1 transfer with ann: got 0 tokens, gave 7; got 0.000000005 credits, gave 0 credits.",
        ),
        ({"transfers": (Transfer("bob", 2, 0, 0, 0, forward=True),)}, "Transfers: 1 transfer with bob: got 2 tokens, gave 0."),
        ({"limits": (Limit("tokens", 5, 5, 5, 0, 5),)}, "Limit told to gateways (tokens of the period 6): 5 throughout."),
        (
            {"limits": (Limit("kv", 5, 2, 9, 3, 4),)},
            "Limit told to gateways (kept for it, KV-cache blocks): 5 at first, then 3 changes: from 2 to 9, at the end 4.",
        ),
    ],
)
def test_what_happened_beside_the_auction_is_told(world, given, says):
    page = told(world, "seed", "big")
    bare = replace(page.around, debt=None, bases=None, trades=(), transfers=(), limits=())
    assert "Beside the auction" not in text(replace(page, around=bare))
    assert says in text(replace(page, around=replace(bare, **given)))


def test_who_carried_a_forecast_is_told(world):
    page = told(world, "seed", "big")
    experts = tuple(
        Expert(name, tokens, weight) for name, tokens, weight in (("last", 5.4, 0.4), *((f"e{at}", 3.0, 0.12) for at in range(5)))
    )
    forecast = replace(page.around.forecast, forecaster=Forecaster.MIXTURE, p50=1, p90=20, p99=300, observed=9, experts=experts)

    def said(**changed):
        around = replace(page.around, forecast=replace(forecast, **changed), profile=replace(page.around.profile, bid_on=BidOn.P90))
        return text(replace(page, around=around))

    assert "(half of the time at most 1, 90 % 20, 99 % 300). It bids on p90, as its profile says." in said()
    assert "It was carried by last 40% (5), e0 12% (3), e1 12% (3), e2 12% (3) and 2 others 24%." in said()
    assert "the journal tells" in said(experts=None, observed=None)
    assert "Nothing had been learned of it yet" in said(experts=(), observed=0)
    assert "carried" not in said(forecaster=Forecaster.LAST_VALUE)


def test_a_row_that_is_wrong_is_shown_beside_what_the_rule_gives(world):
    page = told(world, "seed", "big")
    wrong = replace(page.auction, differences=(("charge", 7, 3_650), ("rank", None, 1)))
    line, grid = proof(wrong)
    assert line.tone == "warning"
    assert grid.rows == (("charge", "7", "3,650"), ("rank", "–", "1"))
    assert "1 other rows of the period are not" in proof(replace(page.auction, other_rows_differing=1))[0].text
