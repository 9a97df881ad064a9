"""`python -m dashboards.grafana` writes grafana/*.json, one for each page: its panels and SQL for the ClickHouse data source."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from dashboards.blocks import Table
from dashboards.figures import Candles, Depth, Lines, Series, Stack
from dashboards.panels import PAGES, Page, Panel
from dashboards.store import statement

FOLDER = Path(__file__).parent / "grafana"
DATASOURCE = {"type": "grafana-clickhouse-datasource", "uid": "${datasource}"}
WIDTH = 24
"""Columns of Grafana's grid."""

_PARAMETER = re.compile(r"\{(\w+):(\w+)\}")


def dashboard(page: Page) -> dict[str, Any]:
    """A page's dashboard, importable into Grafana 10 or newer."""
    panels: list[dict[str, Any]] = []
    x = y = 0
    for number, panel in enumerate(page.panels, start=1):
        width = WIDTH // 2 if panel.is_figure else WIDTH
        height = 9 if panel.is_figure else 12 if isinstance(panel.kind, Table) else 5
        if x + width > WIDTH:
            x, y = 0, y + panels[-1]["gridPos"]["h"]
        panels.append(_panel(panel, number) | {"gridPos": {"x": x, "y": y, "w": width, "h": height}})
        x += width
    return {
        "uid": _name(page),
        "title": f"tokenbourse: {page.title.lower()}",
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "refresh": "5s",
        "timezone": "utc",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": _variables(page)},
        "panels": panels,
    }


def rendered() -> dict[str, str]:
    """File name -> text."""
    return {
        f"{_name(page)}.json": json.dumps(dashboard(page), indent=2, ensure_ascii=False) + "\n" for page in PAGES if page.panels
    }


def _name(page: Page) -> str:
    """The first page's is as it was before there were others."""
    return "tokenbourse" + page.path.rstrip("/").replace("/", "-")


def _panel(panel: Panel, number: int) -> dict[str, Any]:
    kind, options, custom = _kind(panel)
    unit = panel.kind.unit if isinstance(panel.kind, Lines | Stack | Series) else ""
    over_time = isinstance(panel.kind, Lines | Stack | Series | Candles)
    return {
        "id": number,
        "type": kind,
        "title": panel.title or "As a whole",
        "description": panel.unit,
        "datasource": DATASOURCE,
        "fieldConfig": {"defaults": {"unit": "percent" if unit == "%" else "short", "custom": custom}, "overrides": []},
        "options": options,
        "targets": [
            {
                "refId": "A",
                "datasource": DATASOURCE,
                "editorType": "sql",
                "queryType": "timeseries" if over_time else "table",
                "format": 0 if over_time else 1,
                "rawSql": _with_variables(panel.sql, panel.told),
            }
        ],
    }


def _kind(panel: Panel) -> tuple[str, dict[str, Any], dict[str, Any]]:  # noqa: PLR0911  one for each kind
    """Grafana's name of a panel's kind, its options, and those of its fields."""
    legend = {"legend": {"displayMode": "list", "placement": "right"}, "tooltip": {"mode": "multi"}}
    match panel.kind:
        case Lines():
            return "timeseries", legend, {}
        case Series():
            return "timeseries", legend, {"lineInterpolation": "stepAfter"}
        case Stack():
            return "timeseries", legend, {"drawStyle": "bars", "fillOpacity": 90, "stacking": {"mode": "normal", "group": "A"}}
        case Candles():
            return "candlestick", {"mode": "candles+volume", "candleStyle": "candles", "colorStrategy": "open-close"}, {}
        case Depth():
            return "barchart", {"xField": "price", "colorByField": "side", "legend": {"showLegend": False}}, {"fillOpacity": 80}
        case Table():
            return "table", {}, {}
        case _:
            return "stat", {"reduceOptions": {"values": True, "calcs": ["lastNotNull"], "fields": "/.*/"}}, {}


def _variables(page: Page) -> list[dict[str, Any]]:
    periods: dict[str, Any] = {
        "name": "periods",
        "label": "Latest periods",
        "type": "custom",
        "query": "30,120,720",
        "current": {"text": "120", "value": "120"},
    }
    chosen: dict[str, list[dict[str, Any]]] = {
        "/": [periods],
        "/market": [
            {
                "name": "instrument",
                "label": "Instrument (period)",
                "type": "query",
                "datasource": DATASOURCE,
                "query": _with_variables("instruments"),
                "refresh": 2,
            }
        ],
        "/token-pools": [
            periods,
            {
                "name": "tenant",
                "label": "Tenant",
                "type": "query",
                "datasource": DATASOURCE,
                "query": f"SELECT '' AS tenant UNION ALL ({_with_variables('tenants')})",
                "refresh": 2,
            },
        ],
    }
    pools = "token_pools" if page.path == "/token-pools" else "pools"
    return [
        {"name": "datasource", "label": "ClickHouse", "type": "datasource", "query": "grafana-clickhouse-datasource"},
        {"name": "pool", "label": "Pool", "type": "query", "datasource": DATASOURCE, "query": statement(pools), "refresh": 2},
        *chosen[page.path],
    ]


def _with_variables(name: str, told: Mapping[str, str] = MappingProxyType({})) -> str:
    """Grafana has no server-side parameters: a text becomes a quoted and escaped variable, a number a plain one.

    What a panel is about stands in its SQL as it is: these are words of ours.
    """

    def value(found: re.Match[str]) -> str:
        parameter, kind = found.groups()
        if parameter in told:
            return f"'{told[parameter]}'"
        return f"${{{parameter}:sqlstring}}" if kind == "String" else f"${{{parameter}}}"

    return _PARAMETER.sub(value, statement(name))


def main() -> int:
    """Writes the files."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in rendered().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
