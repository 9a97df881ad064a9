"""Every panel of every page, in the dashboard and in Grafana: both show the same rows, and there are some."""

from __future__ import annotations

import json
import re

import pytest
from market_world import MarketWorld

from dashboards import grafana
from dashboards.app import EVERYBODY
from dashboards.panel import Page, Panel
from dashboards.panels import PAGES, PANELS
from dashboards.store import SQL, Store
from streams.clickhouse import connect
from streams.settings import Settings

ASKED_BY_THE_PAGES = {"pools", "instruments", "token_pools", "tenants", "closed_periods"}
STORES = {"/market": ("market_store", "llm"), "/token-pools": ("shared_store", "llm"), "/gateway": ("shared_store", "llm")}
"""What is not asked of pool p of the seeded store."""

_VARIABLE = re.compile(r"\$\{(\w+)(:sqlstring)?\}")


def test_every_file_has_a_panel_and_every_panel_a_file() -> None:
    assert {path.stem for path in SQL.glob("*.sql")} == {panel.query.sql for panel in PANELS} | ASKED_BY_THE_PAGES


def test_names_are_unique() -> None:
    assert len({panel.name for panel in PANELS}) == len(PANELS)
    assert len({page.path for page in PAGES}) == len(PAGES)


def test_grafana_has_every_panel_of_the_list() -> None:
    assert {path.name: path.read_text(encoding="utf-8") for path in grafana.FOLDER.iterdir()} == grafana.rendered(), (
        "run `make render`"
    )
    for page, text in zip((page for page in PAGES if page.panels), grafana.rendered().values(), strict=True):
        told = json.loads(text)
        assert [(panel["title"], panel["description"]) for panel in told["panels"]] == [
            (panel.title or "As a whole", panel.unit) for panel in page.panels
        ]
        places = [tuple(panel["gridPos"].values()) for panel in told["panels"]]
        assert len(set(places)) == len(places)
        for panel in told["panels"]:
            assert "{pool:String}" not in panel["targets"][0]["rawSql"]
            assert "${pool:sqlstring}" in panel["targets"][0]["rawSql"]


@pytest.mark.parametrize(("page", "panel"), [(page, panel) for page in PAGES for panel in page.panels], ids=lambda each: each.title)
def test_every_panel_has_data_and_grafana_the_same(
    request: pytest.FixtureRequest, market_world: MarketWorld, traded: int, page: Page, panel: Panel
) -> None:
    name, pool = STORES.get(page.path, ("seeded", "p"))
    settings: Settings = request.getfixturevalue(name)
    instrument = market_world.present if panel.name == "depth" else traded  # nothing is open of what has closed
    chosen = {"pool": pool, "periods": 30, "tenant": EVERYBODY, "instrument": instrument}
    rows = Store(settings).query(panel.query.sql, **chosen, **panel.told)
    assert rows
    panel.kind.draw(rows)
    client = connect(settings)
    client.database = settings.clickhouse_database
    shown = next(each for each in grafana.dashboard(page)["panels"] if each["id"] == page.panels.index(panel) + 1)
    sql = _VARIABLE.sub(lambda found: f"'{chosen[found[1]]}'" if found[2] else str(chosen[found[1]]), shown["targets"][0]["rawSql"])
    assert list(client.query(sql).named_results()) == rows


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.name)
def test_without_rows_a_panel_says_so(bare: Settings, panel: Panel) -> None:
    chosen = {"pool": "p", "periods": 30, "tenant": EVERYBODY, "instrument": 1}
    rows = Store(bare).query(panel.query.sql, **chosen, **panel.told)
    drawn = json.dumps(panel.kind.draw(rows), default=lambda component: component.to_plotly_json(), ensure_ascii=False)
    nothing = getattr(panel.kind, "nothing", "–")
    assert nothing in drawn.replace("<br>", " "), "wrapped to the width that it has"
