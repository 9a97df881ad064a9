"""The page that explains a period, on a real ClickHouse into which a market's facts were landed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from browser import ask
from journal_world import of_kind

from dashboards.app import build_app
from dashboards.panels import EXPLAIN
from processors.explain import explained, journal_record
from processors.explain.sections import sections
from schemas.facts import PeriodClosed
from streams.folded_period import Asked, NotFoldedError, folded_period
from streams.settings import Settings


@pytest.fixture(scope="module")
def app(market_store: Settings):
    return build_app(market_store)


@pytest.fixture(scope="module")
def closed(market_world):
    """Closed periods, the newest first."""
    return [fact.period for fact in reversed(of_kind(market_world.facts, PeriodClosed))]


@pytest.fixture(scope="module")
def newest(closed):
    return closed[0]


def chosen(app, **given):
    """(period, tenant, address) after something was chosen."""
    answer = ask(app, "explain-period.options", path=EXPLAIN, **given)
    return answer["explain-period"]["value"], answer["explain-tenant"]["value"], answer.get("where", {}).get("search")


def test_the_newest_period_and_first_tenant_are_shown_unless_chosen_otherwise(app, closed, newest):
    assert chosen(app, pool="llm") == (newest, "ann", f"?pool=llm&period={newest}&tenant=ann")
    options = ask(app, "explain-period.options", path=EXPLAIN, pool="llm")
    assert [each["value"] for each in options["explain-period"]["options"]] == closed
    assert options["explain-tenant"]["options"] == ["ann", "ben", "cat", "dan"]


def test_an_address_says_what_is_shown(app, newest):
    address = f"?pool=llm&period={newest - 1}&tenant=ben"
    assert chosen(app, pool="llm", address=address) == (newest - 1, "ben", None), "and stays as it is"
    assert ask(app, "pool.options", pool=None, path=EXPLAIN, address="?pool=llm")["pool"]["value"] == "llm"
    assert ask(app, "pool.options", pool=None, path=EXPLAIN, address="?pool=gone")["pool"]["value"] == "llm"
    assert chosen(app, pool="llm", address="?pool=llm&period=5x&tenant=%3Cb%3E")[:2] == (newest, "<b>")
    other = chosen(app, pool="llm", address="?pool=other&period=2&tenant=zed", changed="pool.value", period=2, explained="zed")
    assert other[:2] == (newest, "ann"), "of another pool nothing is kept"


def test_what_is_chosen_is_written_into_the_address(app, newest):
    address = f"?pool=llm&period={newest}&tenant=ann"
    told = chosen(app, pool="llm", address=address, period=newest - 1, explained="cat", changed="explain-period.value")
    assert told == (newest - 1, "cat", f"?pool=llm&period={newest - 1}&tenant=cat")
    assert ask(app, "explain-period.options", path="/market", pool="llm") == {}


def test_the_page_says_what_the_journal_says(app, market_world, newest):
    tenant = "dan"
    told = explained(journal_record(market_world.journal, "llm", newest, tenant), tenant)
    asked = {"pool": "llm", "period": newest, "explained": tenant, "path": EXPLAIN}
    story = json.dumps(ask(app, "explain-story.children", **asked), ensure_ascii=False)
    changes = json.dumps(ask(app, "explain-changes.children", **asked), ensure_ascii=False)
    steps = sections(told.auction, told.around, told.what_if)
    for step in steps:
        assert (step.title in changes) == (step is steps[-1])
        assert (step.title in story) == (step is not steps[-1])
    assert "The recorded row is what the rule gives" in story
    assert f"{told.auction.allocated:,} tokens" in story
    assert all(row[0] in changes for part in steps[-1].parts[1:2] for row in part.rows)


def test_who_carried_a_forecast_is_told_when_the_journal_was_folded(app, market_world, market_store, newest):
    (told,) = (key for key in app.callback_map if key.startswith("explain-story.children@"))
    asked = {"pool": "llm", "period": newest, "explained": "ann", "path": EXPLAIN}
    first = json.dumps(ask(app, "explain-story.children", **asked), ensure_ascii=False)
    then = json.dumps(ask(app, told, **asked), ensure_ascii=False)
    known = journal_record(market_world.journal, "llm", newest, "ann").around.forecast
    heaviest = f"It was carried by {known.experts[0].name} {known.experts[0].weight:.0%}"
    assert ("the journal tells" in first, heaviest in first) == (True, False)
    assert ("the journal tells" in then, heaviest in then) == (False, True)
    assert ("tokens of the period" in first, "tokens of the period" in then) == (False, True)
    question = Asked(market_store.kafka_client_config(), market_store.topic("journal"), "llm", newest, "ann")
    with pytest.raises(NotFoldedError, match="has not come yet"):
        folded_period(question._replace(period=99))
    with pytest.raises(NotFoldedError, match=r"not folded within 0\.01 s"):
        folded_period(question, 0.01)
    assert ask(app, told, **asked | {"period": None}) == ask(app, told, **asked | {"explained": "nobody"}) == {}


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"pool": None}, "Choose a closed period and a tenant."),
        ({"pool": "llm", "period": 2, "explained": "ann"}, "in it no period of the pool opened"),
        ({"pool": "llm", "period": 5, "explained": "' OR 1 = 1 --"}, "had neither a profile in period 5 nor used anything"),
    ],
)
def test_what_is_not_there_is_said(app, asked, says):
    assert says in json.dumps(ask(app, "explain-story.children", path=EXPLAIN, **asked))
    assert ask(app, "explain-changes.children", path=EXPLAIN, **asked)["explain-changes"]["children"] == []


def test_without_clickhouse_the_page_stays_as_it_is(tmp_path: Path):
    nobody = Settings(home=tmp_path, clickhouse="http://127.0.0.1:9")
    asked = {"pool": "llm", "period": 5, "explained": "ann", "path": EXPLAIN}
    for output in ("explain-story.children", "explain-changes.children", "explain-period.options"):
        assert ask(nobody, output, **asked) == {}
