"""`python -m dashboards.grafana` writes grafana/*.json, one for each page: its panels and SQL for the ClickHouse data source."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from dashboards.bands import Bands
from dashboards.bars import Bars
from dashboards.blocks import Table
from dashboards.figures import Candles, Depth, Lines, Series, Stack
from dashboards.panel import Page, Panel
from dashboards.panels import PAGES
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
        width = WIDTH if panel.is_wide else WIDTH // 2
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
    unit = panel.kind.unit if isinstance(panel.kind, Lines | Bands | Stack | Series) else ""
    over_time = isinstance(panel.kind, Lines | Bands | Stack | Series | Candles)
    return {
        "id": number,
        "type": kind,
        "title": panel.title or "As a whole",
        "description": panel.unit,
        "datasource": DATASOURCE,
        "fieldConfig": {"defaults": {"unit": "percent" if unit == "%" else "short", "custom": custom}, "overrides": []},
        "options": options,
        **_transformed(panel),
        "targets": [
            {
                "refId": "A",
                "datasource": DATASOURCE,
                "editorType": "sql",
                "queryType": "timeseries" if over_time else "table",
                "format": 0 if over_time else 1,
                "rawSql": _with_variables(panel.query.sql, panel.told),
            }
        ],
    }


def _transformed(panel: Panel) -> dict[str, Any]:
    """Grafana has one axis for all bars of a chart: only shares can be compared there. Tables show the rest."""
    if not isinstance(panel.kind, Bars):
        return {}
    names = ["variant", *(measure.column for measure in panel.kind.measures if measure.is_share)]
    return {"transformations": [{"id": "filterFieldsByName", "options": {"include": {"names": names}}}]}


def _kind(panel: Panel) -> tuple[str, dict[str, Any], dict[str, Any]]:  # noqa: PLR0911  one for each kind
    """Grafana's name of a panel's kind, its options, and those of its fields."""
    legend = {"legend": {"displayMode": "list", "placement": "right"}, "tooltip": {"mode": "multi"}}
    match panel.kind:
        case Lines() | Bands():
            return "timeseries", legend, {}
        case Series():
            return "timeseries", legend, {"lineInterpolation": "stepAfter"}
        case Stack():
            return "timeseries", legend, {"drawStyle": "bars", "fillOpacity": 90, "stacking": {"mode": "normal", "group": "A"}}
        case Candles():
            return "candlestick", {"mode": "candles+volume", "candleStyle": "candles", "colorStrategy": "open-close"}, {}
        case Depth():
            return "barchart", {"xField": "price", "colorByField": "side", "legend": {"showLegend": False}}, {"fillOpacity": 80}
        case Bars():
            return "barchart", {"xField": "variant", "showValue": "always", **legend}, {"fillOpacity": 80}
        case Table():
            return "table", {}, {}
        case _:
            return "stat", {"reduceOptions": {"values": True, "calcs": ["lastNotNull"], "fields": "/.*/"}}, {}


def _variables(page: Page) -> list[dict[str, Any]]:
    """The source, the pool, and what else is chosen on the page."""
    chosen: dict[str, dict[str, Any]] = {
        "periods": {
            "name": "periods",
            "label": "Latest periods",
            "type": "custom",
            "query": "30,120,720",
            "current": {"text": "120", "value": "120"},
        },
        "instrument": _asked("instrument", "Instrument (period)", _with_variables("instruments")),
        "tenant": _asked("tenant", "Tenant", f"SELECT '' AS tenant UNION ALL ({_with_variables('tenants')})"),
    }
    source = {"name": "datasource", "label": "ClickHouse", "type": "datasource", "query": "grafana-clickhouse-datasource"}
    return [source, _asked("pool", "Pool", statement(page.pools)), *(chosen[name] for name in page.controls)]


def _asked(name: str, label: str, sql: str) -> dict[str, Any]:
    """A variable whose values ClickHouse gives."""
    return {"name": name, "label": label, "type": "query", "datasource": DATASOURCE, "query": sql, "refresh": 2}


def _with_variables(name: str, told: Mapping[str, str] = MappingProxyType({})) -> str:
    """Grafana has no server-side parameters: a text becomes a quoted and escaped variable, a number a plain one.

    What a panel is about stands in its SQL as it is: these are words of ours.
    """

    def value(found: re.Match[str]) -> str:
        parameter, kind = found.groups()
        if parameter in told:
            return f"'{told[parameter]}'" if kind == "String" else told[parameter]
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
