"""A browser's questions, as the dashboard's tests ask them."""

from __future__ import annotations

from typing import Any

from dash import Dash

from dashboards.app import EVERYBODY, PRESENT, build_app
from streams.settings import Settings


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
