"""The market page on a real ClickHouse into which a market's facts were landed."""

from __future__ import annotations

import json

import browser
import pytest
from journal_world import of_kind

from dashboards import formats
from dashboards.app import PRESENT, build_app
from dashboards.figures import BUY, SELL
from dashboards.pages import market
from dashboards.panels import PAGES
from dashboards.store import Store
from schemas.market_facts import Trades

MARKET = market.PAGE


@pytest.fixture(scope="module")
def app(market_store):
    return build_app(market_store)


@pytest.fixture(scope="module")
def empty(bare):
    return build_app(bare)


def ask(app, output, **given):
    """The answer on the market's page; {} if nothing changes."""
    return browser.ask(app, output, **{"pool": "llm", "path": "/market"} | given)


def of(market_world, period):
    """(price, qty, buyer, seller, taker) of an instrument's trades."""
    return [
        row
        for fact in of_kind(market_world.facts, Trades)
        if fact.period == period
        for row in zip(fact.price, fact.qty, fact.buyer, fact.seller, fact.taker, strict=True)
    ]


@pytest.fixture(scope="module")
def drawn(app, market_world, traded):
    """All panels of two instruments: one that was traded, and the open one."""
    return {period: ask(app, "candles.figure", delivery=period) for period in {traded, market_world.present}}


def test_candles_and_volume_share_their_times(drawn, market_world, traded):
    figure = drawn[traded]["candles"]["figure"]
    prices, volume = figure["data"]
    trades = of(market_world, traded)
    assert prices["x"] == volume["x"]
    assert sum(volume["y"]) == sum(qty for _, qty, *_ in trades)
    assert (min(prices["low"]), max(prices["high"])) == (min(trades)[0], max(trades)[0])
    assert prices["open"][0] == trades[0][0]
    assert prices["close"][-1] == trades[-1][0]
    assert figure["layout"]["yaxis"]["title"]["text"] == "nanocredits/token"
    assert figure["layout"]["yaxis2"]["title"]["text"] == "tokens"


def test_depth_cumulates_from_the_best_price_outward(drawn, market_world):
    book = market_world.market.instruments[market_world.present].book
    figure = drawn[market_world.present]["depth"]["figure"]
    assert [(trace["name"], trace["line"]["color"]) for trace in figure["data"]] == [("bids", BUY), ("asks", SELL)]
    for trace, side in zip(figure["data"], ("buy", "sell"), strict=True):
        orders = [order for order in book.orders.values() if order.side == side]
        prices = sorted({order.price for order in orders}, reverse=side == "buy")
        assert trace["x"] == prices
        assert trace["y"] == [sum(o.open for o in orders if prices.index(o.price) <= at) for at in range(len(prices))]


def test_trades_stand_with_the_newest_first(drawn, market_world, traded):
    table = json.dumps(drawn[traded]["trades"]["children"])
    price, qty, buyer, seller, taker = of(market_world, traded)[-1]
    for text in (f"{price:,}", f'"{qty}"', f'"{buyer or "(operator)"}"', f'"{seller or "(operator)"}"'):
        assert text in table
    assert table.count('"Tr"') == min(len(of(market_world, traded)), 100) + 1
    assert f"number {taker}" in table


def test_each_tenant_has_its_position(drawn, market_world, market_store, traded):
    table = json.dumps(drawn[traded]["positions"]["children"])
    rows = Store(market_store).query("positions", pool="llm", instrument=traded)
    assert {row["tenant"] for row in rows} >= {"ann", "ben"}
    for row in rows:
        assert row["net"] == row["bought"] - row["sold"] + row["transferred"]
        assert f'"{row["tenant"]}"' in table
    bought = sum(qty for _, qty, buyer, *_ in of(market_world, traded) if buyer == rows[0]["tenant"])
    assert rows[0]["bought"] == bought


def test_the_instrument_as_a_whole(drawn, market_world):
    said = json.dumps(drawn[market_world.present]["market"]["children"], ensure_ascii=False)
    book = market_world.market.instruments[market_world.present].book
    best_bid = max(order.price for order in book.orders.values() if order.side == "buy")
    best_ask = min(order.price for order in book.orders.values() if order.side == "sell")
    for text in (f'"{best_bid}"', f'"{best_ask}"', f'"{len(book.orders)}"', "nanocredits/token", "continuous"):
        assert text in said


def test_the_selector_names_instruments_and_follows_the_open_period(app, market_world):
    answer = ask(app, "instrument.options")
    options = answer["instrument"]["options"]
    assert answer["delivery"]["data"] == market_world.present
    assert options[0] == {"label": "the open period, always", "value": PRESENT}
    labels = {option["value"]: option["label"] for option in options}
    assert labels[market_world.present] == "00:00:18 UTC · open now"
    assert labels[market_world.present + 1].endswith("in 1 period")
    assert labels[market_world.present - 1].endswith("closed, 1 ago")
    assert ask(app, "instrument.options", instrument=market_world.present + 1)["delivery"]["data"] == market_world.present + 1
    gone = ask(app, "instrument.options", instrument=3)
    assert (gone["instrument"]["value"], gone["delivery"]["data"]) == (PRESENT, market_world.present)


@pytest.mark.parametrize(
    ("path", "shown", "controls"),
    [
        ("/", "capacity", {"periods"}),
        ("/market", "market", {"instrument"}),
        ("/market/", "market", {"instrument"}),
        ("/token-pools", "token-pools", {"periods", "tenant"}),
        ("/forecasts", "forecasts", {"periods", "tenant"}),
        ("/x", "capacity", {"periods"}),
    ],
)
def test_one_page_is_shown_and_asks(app, market_world, path, shown, controls):
    answer = ask(app, "page-market.className", path=path)
    hidden = {name for name, value in answer.items() if value["className"] == "hidden"}
    others = {f"page-{page.path.strip('/') or 'capacity'}" for page in PAGES} - {f"page-{shown}"}
    assert hidden == others | {f"control-{name}" for name in {"periods", "instrument", "tenant"} - controls}
    assert answer[f"to-{shown}"]["className"] == "here"
    filled = set(ask(app, "candles.figure", path=path, delivery=market_world.present))
    page = next(page for page in PAGES if page.path.strip("/") == shown.replace("capacity", ""))
    assert filled == {panel.name for panel in page.panels}


@pytest.mark.parametrize("nothing", ["no pool", "no orders"])
def test_an_empty_market_says_so(empty, app, nothing):
    answer = ask(empty, "candles.figure", pool=None) if nothing == "no pool" else ask(app, "candles.figure", delivery=99)
    for panel, says in (
        ("candles", "Nobody has traded this instrument yet"),
        ("depth", "No order is open"),
        ("trades", "Nobody has traded this instrument yet"),
        ("positions", "Nobody has an order or a position"),
        ("market", formats.NONE),
    ):
        assert says in json.dumps(answer[panel], ensure_ascii=False), panel
    assert nothing == "no pool" or "not traded yet" in json.dumps(answer["market"])


def test_a_pool_is_data_and_never_sql(app):
    assert ask(app, "depth.figure", pool="' OR 1 = 1 --", delivery=9)["depth"]["figure"]["data"] == []
