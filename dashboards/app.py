"""The dashboard: one page that asks ClickHouse for its panels every two seconds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dash import Dash, Input, Output, State, dcc, html, no_update
from dash.development.base_component import Component
from flask import Response, jsonify

from dashboards.panels import PANELS, Panel
from dashboards.store import Store, StoreAway
from streams.settings import Settings

REFRESH_MS = 2000
PERIODS = (30, 120, 720)
"""How many of the latest periods the charts show; with periods of a minute half an hour, two hours, half a day."""

META_TAGS = [{"name": "viewport", "content": "width=device-width, initial-scale=1"}]
ASSETS = str(Path(__file__).parent / "assets")
CHART_STYLE = {"height": "320px"}
GRAPH_CONFIG: Any = {"displayModeBar": False, "responsive": True}


def build_app(settings: Settings) -> Dash:
    """The Dash app; `.server` is its WSGI application. Nothing is asked of ClickHouse before a page is open."""
    store = Store(settings)
    app = Dash(
        "dashboards",
        title="tokenbourse",
        update_title="",
        serve_locally=True,
        compress=False,
        assets_folder=ASSETS,
        meta_tags=META_TAGS,
    )
    app.layout = _page()
    _answer_health(app, store)
    _fill_selector(app, store)
    for panel in PANELS:
        _fill_panel(app, store, panel)
    return app


def _page() -> Component:
    controls = html.Div(
        [
            html.Label(["Pool", dcc.Dropdown(id="pool", options=[], value=None, clearable=False, placeholder="no pool yet")]),
            html.Label(
                [
                    "Shown",
                    dcc.Dropdown(
                        id="periods",
                        options=[{"label": f"latest {count} periods", "value": count} for count in PERIODS],
                        value=PERIODS[0],
                        clearable=False,
                        searchable=False,
                    ),
                ]
            ),
        ],
        className="controls",
    )
    header = html.Header([html.Div([html.H1("tokenbourse"), html.Div(id="as-of", className="as-of")]), controls])
    return html.Div(
        [
            header,
            html.Div(id="banner", role="alert"),
            html.Main([_section(panel) for panel in PANELS]),
            dcc.Interval(id="refresh", interval=REFRESH_MS),
        ]
    )


def _section(panel: Panel) -> Component:
    body = dcc.Graph(id=panel.name, config=GRAPH_CONFIG, style=CHART_STYLE) if panel.is_figure else html.Div(id=panel.name)
    title = [html.H2([panel.title, html.Small(panel.unit)])] if panel.title else []
    return html.Section([*title, body], className=f"panel {panel.name}")


def _answer_health(app: Dash, store: Store) -> None:
    def healthz() -> Response:
        """200 while this process serves. ClickHouse is told beside it: to restart the dashboard would not bring it back."""
        try:
            store.query("pools")
        except StoreAway as away:
            return jsonify(dashboard="up", clickhouse="down", detail=str(away))
        return jsonify(dashboard="up", clickhouse="up")

    app.server.add_url_rule("/healthz", view_func=healthz)


def _fill_selector(app: Dash, store: Store) -> None:
    @app.callback(
        Output("pool", "options"),
        Output("pool", "value"),
        Output("banner", "children"),
        Output("banner", "className"),
        Output("as-of", "children"),
        Input("refresh", "n_intervals"),
        State("pool", "value"),
    )
    def pools(_n: int | None, chosen: str | None) -> Sequence[Any]:
        """The selector's pools; and the banner, since this is the one query that always runs."""
        try:
            names = [row["pool"] for row in store.query("pools")]
            latest = store.query("latest", pool=chosen) if chosen else []
        except StoreAway as away:
            return no_update, no_update, _away(away), "banner", no_update
        kept = chosen if chosen in names else next(iter(names), None)
        as_of = f"latest closed period: {latest[0]['period_start']:%H:%M:%S UTC, %e %B %Y}" if latest else "no closed period yet"
        return names, no_update if kept == chosen else kept, [], "", as_of


def _away(away: StoreAway) -> list[Any]:
    return [html.Strong("Figures are not up to date. "), f"{away}. Asked again every {REFRESH_MS // 1000} s."]


def _fill_panel(app: Dash, store: Store, panel: Panel) -> None:
    @app.callback(
        Output(panel.name, "figure" if panel.is_figure else "children"),
        Input("refresh", "n_intervals"),
        Input("pool", "value"),
        Input("periods", "value"),
    )
    def fill(_n: int | None, pool: str | None, periods: int) -> Any:
        """The panel, drawn anew; as it was while ClickHouse is away, which the banner tells."""
        try:
            rows = store.query(panel.name, pool=pool, periods=periods) if pool else []
        except StoreAway:
            return no_update
        return panel.kind.draw(rows)
