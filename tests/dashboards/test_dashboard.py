"""The page and its SQL on a real ClickHouse, with rows as the sink's tables take them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from browser import ask
from seeded import TENANTS

from dashboards import formats
from dashboards.app import build_app
from dashboards.panels import PANELS
from dashboards.store import Store, StoreAway
from streams.settings import Settings


def test_the_page_and_all_its_scripts_come_from_here(bare: Settings) -> None:
    client = build_app(bare).server.test_client()
    page = client.get("/").text
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page
    layout = json.dumps(client.get("/_dash-layout").get_json())
    for panel in PANELS:
        assert f'"id": "{panel.name}"' in layout
        assert panel.title in layout


def test_the_selector_lists_pools_and_chooses_the_first(seeded: Settings) -> None:
    answer = ask(seeded, "pool.options", pool=None)
    assert answer["pool"] == {"options": ["p", "q", "z"], "value": "p"}
    assert answer["banner"]["className"] == ""
    assert "00:03:15 UTC" in answer["as-of"]["children"], "of the pool that it chooses, at once"


def test_utilisation_shows_the_latest_periods_in_percent(seeded: Settings) -> None:
    figure = ask(seeded, "utilisation.figure", pool="p")["utilisation"]["figure"]
    used, allocated = figure["data"]
    assert used["name"] == "used"
    assert used["y"] == [7.92] * 30
    assert allocated["y"] == [7.8] * 30
    assert used["x"][0] == "2026-01-01 00:00:50.000"
    assert used["x"] == sorted(used["x"])


def test_allocation_stacks_the_largest_tenants_and_the_rest(seeded: Settings) -> None:
    figure = ask(seeded, "allocation.figure", pool="p")["allocation"]["figure"]
    assert [trace["name"] for trace in figure["data"]] == [*TENANTS[3:], "(all others)"]
    assert figure["data"][0]["y"] == [40] * 30
    assert figure["data"][-1]["y"] == [10 + 20 + 30] * 30
    assert figure["layout"]["barmode"] == "stack"
    assert len({trace["marker"]["color"] for trace in figure["data"]}) == 10


def test_a_pool_shows_only_its_own_periods(seeded: Settings) -> None:
    figure = ask(seeded, "utilisation.figure", pool="q")["utilisation"]["figure"]
    assert len(figure["data"][0]["x"]) == 3


def test_a_pool_name_is_data_and_never_sql(seeded: Settings) -> None:
    figure = ask(seeded, "utilisation.figure", pool="' OR 1 = 1 --")["utilisation"]["figure"]
    assert figure["data"] == []


def test_the_latest_period_as_a_table(seeded: Settings) -> None:
    said = json.dumps(ask(seeded, "latest_period.children", pool="p"), ensure_ascii=False)
    assert said.index('"t11"') < said.index('"t00"'), "the largest allocation first"
    assert '"0.5000"' in said, "charge in credits"
    assert '"2.000"' in said, "budget left in credits"
    assert "101 % of allocated" in said


def test_large_numbers_of_the_latest_period(seeded: Settings) -> None:
    said = json.dumps(ask(seeded, "latest.children", pool="p"))
    for text in ('"8 %"', "792 of 10.0 k tokens", '"780"', "in 5 s, policy seed", '"7"', '"6.000"', '"12"'):
        assert text in said


def test_before_the_first_period_the_page_says_so(bare: Settings) -> None:
    answer = ask(bare, "pool.options", pool=None)
    assert answer["pool"]["options"] == []
    assert answer["as-of"]["children"] == "no closed period yet"
    figure = ask(bare, "allocation.figure", pool=None)["allocation"]["figure"]
    assert "No closed period" in figure["layout"]["annotations"][0]["text"]
    assert "No closed period" in json.dumps(ask(bare, "latest_period.children", pool=None))


def test_without_clickhouse_the_page_keeps_its_figures_and_tells(tmp_path: Path) -> None:
    nobody = Settings(home=tmp_path, clickhouse="http://127.0.0.1:9")
    answer = ask(nobody, "pool.options", pool="p")
    assert "ClickHouse at http://127.0.0.1:9 does not answer (Connection refused)" in json.dumps(answer["banner"])
    assert answer["banner"]["className"] == "banner"
    assert "pool" not in answer, "the selector keeps its pools"
    app = build_app(nobody).server.test_client()
    health = app.get("/healthz")
    assert health.status_code == 200
    assert health.get_json()["clickhouse"] == "down"


def test_a_refused_query_is_told_in_one_line(clickhouse: str, tmp_path: Path) -> None:
    store = Store(Settings(home=tmp_path, clickhouse=clickhouse, clickhouse_database="nobody_made_it"))
    with pytest.raises(StoreAway, match=r"refuses a query: .*nobody_made_it") as raised:
        store.query("pools")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0, "0"), (9999, "9,999"), (10_000, "10.0 k"), (99_949, "99.9 k"), (999_999, "1.00 M"), (2**53, "9.01 P")],
)
def test_tokens_have_few_digits(value: float | None, text: str) -> None:
    assert formats.tokens(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0.0, "0"), (0.25, "0.2500"), (1e-9, "0.000000001"), (12345.678, "12,345.68"), (3.14159, "3.142")],
)
def test_credits_have_four_digits(value: float | None, text: str) -> None:
    assert formats.credits_of(value) == text
