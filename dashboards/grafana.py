"""`python -m dashboards.grafana` writes grafana/tokenbourse.json: the same panels and SQL for the ClickHouse data source."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from dashboards.panels import PANELS, Lines, Panel, Stack, Table
from dashboards.store import statement

FILE = Path(__file__).parent / "grafana" / "tokenbourse.json"
DATASOURCE = {"type": "grafana-clickhouse-datasource", "uid": "${datasource}"}
WIDTH = 24
"""Columns of Grafana's grid."""

_PARAMETER = re.compile(r"\{(\w+):(\w+)\}")


def dashboard() -> dict[str, Any]:
    """The dashboard, importable into Grafana 10 or newer."""
    panels: list[dict[str, Any]] = []
    x = y = 0
    for number, panel in enumerate(PANELS, start=1):
        width = WIDTH // 2 if panel.is_figure else WIDTH
        height = {Lines: 9, Stack: 9, Table: 12}.get(type(panel.kind), 5)
        if x + width > WIDTH:
            x, y = 0, y + panels[-1]["gridPos"]["h"]
        panels.append(_panel(panel, number) | {"gridPos": {"x": x, "y": y, "w": width, "h": height}})
        x += width
    return {
        "uid": "tokenbourse",
        "title": "tokenbourse",
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "refresh": "5s",
        "timezone": "utc",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": _variables()},
        "panels": panels,
    }


def rendered() -> str:
    """The file's text."""
    return json.dumps(dashboard(), indent=2, ensure_ascii=False) + "\n"


def _panel(panel: Panel, number: int) -> dict[str, Any]:
    kind, options, custom = "stat", {"reduceOptions": {"values": True, "calcs": ["lastNotNull"], "fields": "/.*/"}}, {}
    if panel.is_figure:
        kind, options = "timeseries", {"legend": {"displayMode": "list", "placement": "right"}, "tooltip": {"mode": "multi"}}
    if isinstance(panel.kind, Stack):
        custom = {"drawStyle": "bars", "fillOpacity": 90, "stacking": {"mode": "normal", "group": "A"}}
    if isinstance(panel.kind, Table):
        kind, options = "table", {}
    unit = panel.kind.unit if isinstance(panel.kind, Lines | Stack) else ""
    return {
        "id": number,
        "type": kind,
        "title": panel.title or "Latest period as a whole",
        "description": panel.unit,
        "datasource": DATASOURCE,
        "fieldConfig": {"defaults": {"unit": "percent" if unit == "%" else "short", "custom": custom}, "overrides": []},
        "options": options,
        "targets": [
            {
                "refId": "A",
                "datasource": DATASOURCE,
                "editorType": "sql",
                "queryType": "timeseries" if panel.is_figure else "table",
                "format": 0 if panel.is_figure else 1,
                "rawSql": _with_variables(panel.name),
            }
        ],
    }


def _variables() -> list[dict[str, Any]]:
    return [
        {"name": "datasource", "label": "ClickHouse", "type": "datasource", "query": "grafana-clickhouse-datasource"},
        {"name": "pool", "label": "Pool", "type": "query", "datasource": DATASOURCE, "query": statement("pools"), "refresh": 2},
        {
            "name": "periods",
            "label": "Latest periods",
            "type": "custom",
            "query": "30,120,720",
            "current": {"text": "120", "value": "120"},
        },
    ]


def _with_variables(name: str) -> str:
    """Grafana has no server-side parameters: a text becomes a quoted and escaped variable, a number a plain one."""
    return _PARAMETER.sub(
        lambda found: f"${{{found[1]}:sqlstring}}" if found[2] == "String" else f"${{{found[1]}}}", statement(name)
    )


def main() -> int:
    """Writes the file."""
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(rendered(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
