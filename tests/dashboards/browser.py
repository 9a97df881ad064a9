"""What the dashboard's tests share: a browser's questions, and rows as the sink's tables take them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from clickhouse_connect.driver.client import Client
from dash import Dash

from dashboards.app import EVERYBODY, PRESENT, build_app
from schemas.clickhouse import tables
from streams.settings import Settings

START = datetime(2026, 1, 1, tzinfo=UTC)


def insert(client: Client, settings: Settings, name: str, rows: list[dict[str, Any]]) -> None:
    (table,) = (each for each in tables(settings.clickhouse_database) if each.name == name)
    known = {column.name for column in table.columns}
    assert all(row.keys() <= known for row in rows), f"{name} has no column of such a name"
    data = [[row.get(column.name, empty(column.clickhouse_type)) for column in table.columns] for row in rows]
    client.insert(
        f"{settings.clickhouse_database}.{table.insert_into}", data, column_names=[column.name for column in table.columns]
    )


def empty(clickhouse_type: str) -> Any:
    if "Nullable" in clickhouse_type:
        return None
    if "DateTime64" in clickhouse_type:
        return START
    if "Array" in clickhouse_type:
        return []
    return 0 if "Int" in clickhouse_type or "Decimal" in clickhouse_type else ""


def ask(asked: Settings | Dash, output: str, **inputs: Any) -> Any:
    """The answer of a callback as a browser gets it: `ask(settings, "pool.options", pool=None)`; {} if nothing changes."""
    app = build_app(asked) if isinstance(asked, Settings) else asked
    (key,) = (key for key in app.callback_map if f".{output}." in f".{key}.")
    told = app.callback_map[key]
    state = {
        "refresh.n_intervals": 1,
        "pool.value": inputs.get("pool"),
        "periods.value": inputs.get("periods", 30),
        "where.pathname": inputs.get("path", "/"),
        "where.search": inputs.get("address", ""),
        "explain-period.value": inputs.get("period"),
        "explain-tenant.value": inputs.get("explained"),
        "instrument.value": inputs.get("instrument", PRESENT),
        "delivery.data": inputs.get("delivery"),
        "tenant.value": inputs.get("tenant", EVERYBODY),
        "explain-told.data": [inputs.get("pool"), inputs.get("period"), inputs.get("explained")],
    }

    def given(kind: str) -> list[dict[str, Any]]:
        return [{**each, "value": state[f"{each['id']}.{each['property']}"]} for each in told[kind]]

    outputs = [dict(zip(("id", "property"), part.rsplit(".", 1), strict=True)) for part in key.strip(".").split("...")]
    body = {
        "output": key,
        "outputs": outputs if key.startswith("..") else outputs[0],
        "inputs": given("inputs"),
        "state": given("state"),
        "changedPropIds": [inputs.get("changed", "refresh.n_intervals")],
    }
    response = app.server.test_client().post("/_dash-update-component", json=body)
    assert response.status_code in {200, 204}, response.text
    return response.get_json()["response"] if response.status_code == 200 else {}
