"""The page and its SQL on a real ClickHouse, with rows as the sink's tables take them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from browser import ask, insert

from dashboards import formats, grafana
from dashboards.app import build_app
from dashboards.panels import PAGES, PANELS, Panel
from dashboards.store import SQL, Store, StoreAway
from schemas.clickhouse import setup_statements
from streams.clickhouse import connect
from streams.settings import Settings

START = datetime(2026, 1, 1, tzinfo=UTC)
TENANTS = [f"t{i:02d}" for i in range(12)]
CAPACITY = 10_000


@pytest.fixture(scope="module")
def settings(clickhouse: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """With empty tables."""
    yield from made(clickhouse, tmp_path_factory.mktemp("home"))


def made(clickhouse: str, home: Path) -> Iterator[Settings]:
    database = f"d{uuid.uuid4().hex}"
    chosen = Settings(home=home, clickhouse=clickhouse, clickhouse_database=database)
    client = connect(chosen)
    for sql in setup_statements(database):
        client.command(sql)
    yield chosen
    client.command(f"DROP DATABASE {database}")
    client.close()


@pytest.fixture(scope="module")
def filled(clickhouse: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Forty periods of pool `p`, three of pool `q`. Tenant i of pool p is allocated 10·(i + 1) tokens and uses one more."""
    for settings in made(clickhouse, tmp_path_factory.mktemp("home")):
        fill(settings)
        yield settings


def fill(settings: Settings) -> None:
    client = connect(settings)
    for pool, periods in (("p", 40), ("q", 3)):
        insert(client, settings, "periods", [period_row(pool, n) for n in range(periods)])
        insert(client, settings, "allocations", [allocation_row(pool, n, i) for n in range(periods) for i in range(len(TENANTS))])


def period_row(pool: str, n: int) -> dict[str, Any]:
    allocated = sum(10 * (i + 1) for i in range(len(TENANTS)))
    return {
        "pool": pool,
        "period": n,
        "period_start": START + timedelta(seconds=5 * n),
        "period_s": 5,
        "policy": "seed",
        "capacity": CAPACITY,
        "price": 7,
        "allocated": allocated,
        "used": allocated + len(TENANTS),
        "tenants": len(TENANTS),
    }


def allocation_row(pool: str, n: int, i: int) -> dict[str, Any]:
    return {
        "pool": pool,
        "period": n,
        "period_start": START + timedelta(seconds=5 * n),
        "tenant": TENANTS[i],
        "base": 10,
        "surplus": 10 * i,
        "allocated": 10 * (i + 1),
        "used": 10 * (i + 1) + 1,
        "charge": 500_000_000,
        "budget_left": None if i % 2 else 2_000_000_000,
    }


def test_the_page_and_all_its_scripts_come_from_here(settings: Settings) -> None:
    client = build_app(settings).server.test_client()
    page = client.get("/").text
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page
    layout = json.dumps(client.get("/_dash-layout").get_json())
    for panel in PANELS:
        assert f'"id": "{panel.name}"' in layout
        assert panel.title in layout


@pytest.mark.parametrize("panel", PAGES[0].panels, ids=lambda panel: panel.name)
def test_each_sql_file_gives_what_its_panel_reads(filled: Settings, panel: Panel) -> None:
    rows = Store(filled).query(panel.sql, **panel.told, pool="p", periods=30)
    assert rows
    panel.kind.draw(rows)


def test_every_file_has_a_panel_and_every_panel_a_file() -> None:
    assert {path.stem for path in SQL.glob("*.sql")} == {panel.sql for panel in PANELS} | {
        "pools",
        "instruments",
        "token_pools",
        "tenants",
        "closed_periods",
    }


def test_the_selector_lists_pools_and_chooses_the_first(filled: Settings) -> None:
    answer = ask(filled, "pool.options", pool=None)
    assert answer["pool"] == {"options": ["p", "q"], "value": "p"}
    assert answer["banner"]["className"] == ""
    assert "00:03:15 UTC" in ask(filled, "pool.options", pool="p")["as-of"]["children"]


def test_utilisation_shows_the_latest_periods_in_percent(filled: Settings) -> None:
    figure = ask(filled, "utilisation.figure", pool="p")["utilisation"]["figure"]
    used, allocated = figure["data"]
    assert used["name"] == "used"
    assert used["y"] == [7.92] * 30
    assert allocated["y"] == [7.8] * 30
    assert used["x"][0] == "2026-01-01 00:00:50.000"
    assert used["x"] == sorted(used["x"])


def test_allocation_stacks_the_largest_tenants_and_the_rest(filled: Settings) -> None:
    figure = ask(filled, "allocation.figure", pool="p")["allocation"]["figure"]
    assert [trace["name"] for trace in figure["data"]] == [*TENANTS[3:], "(all others)"]
    assert figure["data"][0]["y"] == [40] * 30
    assert figure["data"][-1]["y"] == [10 + 20 + 30] * 30
    assert figure["layout"]["barmode"] == "stack"
    assert len({trace["marker"]["color"] for trace in figure["data"]}) == 10


def test_a_pool_shows_only_its_own_periods(filled: Settings) -> None:
    figure = ask(filled, "utilisation.figure", pool="q")["utilisation"]["figure"]
    assert len(figure["data"][0]["x"]) == 3


def test_a_pool_name_is_data_and_never_sql(filled: Settings) -> None:
    figure = ask(filled, "utilisation.figure", pool="' OR 1 = 1 --")["utilisation"]["figure"]
    assert figure["data"] == []


def test_the_latest_period_as_a_table(filled: Settings) -> None:
    said = json.dumps(ask(filled, "latest_period.children", pool="p"), ensure_ascii=False)
    assert said.index('"t11"') < said.index('"t00"'), "the largest allocation first"
    assert '"0.5000"' in said, "charge in credits"
    assert '"2.000"' in said, "budget left in credits"
    assert "101 % of allocated" in said


def test_large_numbers_of_the_latest_period(filled: Settings) -> None:
    said = json.dumps(ask(filled, "latest.children", pool="p"))
    for text in ('"8 %"', "792 of 10.0 k tokens", '"780"', "in 5 s, policy seed", '"7"', '"6.000"', '"12"'):
        assert text in said


def test_before_the_first_period_the_page_says_so(settings: Settings) -> None:
    answer = ask(settings, "pool.options", pool=None)
    assert answer["pool"]["options"] == []
    assert answer["as-of"]["children"] == "no closed period yet"
    figure = ask(settings, "allocation.figure", pool=None)["allocation"]["figure"]
    assert "No closed period" in figure["layout"]["annotations"][0]["text"]
    assert "No closed period" in json.dumps(ask(settings, "latest_period.children", pool=None))


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


def test_grafana_has_the_same_panels_from_the_same_sql() -> None:
    assert {path.name: path.read_text(encoding="utf-8") for path in grafana.FOLDER.iterdir()} == grafana.rendered(), (
        "run `make render`"
    )
    for page, text in zip(filter(lambda page: page.panels, PAGES), grafana.rendered().values(), strict=True):
        told = json.loads(text)
        assert len(told["panels"]) == len(page.panels)
        for panel in told["panels"]:
            assert "{pool:String}" not in panel["targets"][0]["rawSql"]
            assert "${pool:sqlstring}" in panel["targets"][0]["rawSql"]


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
