"""The dashboard: pages that ask ClickHouse for their panels every two seconds, those of the page that is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from dash import Dash, Input, Output, State, dcc, html, no_update
from dash.development.base_component import Component
from flask import Response, jsonify

from dashboards import explaining
from dashboards.figures import figure_of
from dashboards.panel import Page, Panel, Query
from dashboards.panels import EXPLAIN, PAGES, PANELS
from dashboards.store import Row, Store, StoreAway
from streams.settings import Settings

REFRESH_MS = 2000
"""From one round of answers to the next question."""

QUERIES_AT_ONCE = 3
PERIODS = (30, 120, 720)
"""How many of the latest periods the charts show; with periods of a minute half an hour, two hours, half a day."""

PRESENT = -1
"""Chosen as instrument: the period that is open, whichever it is."""

EVERYBODY = ""
"""Chosen as tenant: the whole pool."""

CONTROLS = ("periods", "instrument", "tenant")
"""Choices that are not on every page."""

META_TAGS = [{"name": "viewport", "content": "width=device-width, initial-scale=1"}]
ASSETS = str(Path(__file__).parent / "assets")
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
    app.layout = _layout()
    _answer_health(app, store)
    _show_page(app)
    _fill_selector(app, store)
    _fill_instruments(app, store)
    _fill_tenants(app, store)
    _fill_panels(app, store)
    explaining.add(app, store, settings)
    return app


def _layout() -> Component:
    shown = [{"label": f"latest {count} periods", "value": count} for count in PERIODS]
    controls = html.Div(
        [
            _control("Pool", "pool", options=[], value=None, placeholder="no pool yet"),
            _control("Shown", "periods", options=shown, value=PERIODS[0], searchable=False),
            _control("Instrument: tokens of the period", "instrument", options=_instruments([]), value=PRESENT),
            _control("Tenant", "tenant", options=_tenants([]), value=EVERYBODY),
        ],
        className="controls",
    )
    pages = html.Nav([dcc.Link(page.title, href=page.path, id=_id("to", page.path)) for page in PAGES])
    header = html.Header([html.Div([html.H1("tokenbourse"), html.Div(id="as-of", className="as-of")]), pages, controls])
    return html.Div(
        [
            dcc.Location(id="where", refresh=False),  # what is chosen is written to it
            dcc.Store(id="delivery"),
            header,
            html.Div(id="banner", role="alert"),
            # All are hidden until the address says which is shown.
            *(html.Main(_body(page), id=_id("page", page.path), className="hidden") for page in PAGES),
            dcc.Interval(id="refresh", interval=REFRESH_MS),
        ]
    )


def _body(page: Page) -> list[Component]:
    return explaining.layout() if page.path == EXPLAIN else [_section(panel) for panel in page.panels]


def _control(label: str, name: str, **chosen: Any) -> Component:
    """A labelled choice."""
    return html.Label([label, dcc.Dropdown(id=name, clearable=False, **chosen)], id=f"control-{name}")


def _id(kind: str, path: str) -> str:
    return f"{kind}-{path.strip('/') or 'capacity'}"


def _shown(pathname: str | None) -> Page:
    """The page at a path; the first one at any other."""
    return next((page for page in PAGES if page.path == (pathname or "").rstrip("/")), PAGES[0])


def _show_page(app: Dash) -> None:
    """Pages that are not shown stay in the document, hidden, and ask for nothing."""

    @app.callback(
        *(Output(_id(kind, page.path), "className") for page in PAGES for kind in ("page", "to")),
        *(Output(f"control-{name}", "className") for name in CONTROLS),
        Input("where", "pathname"),
    )
    def show(pathname: str | None) -> Sequence[str]:
        shown = _shown(pathname)
        names = [name for page in PAGES for name in (("", "here") if page is shown else ("hidden", ""))]
        return [*names, *("" if name in shown.controls else "hidden" for name in CONTROLS)]


def _section(panel: Panel) -> Component:
    body = _chart(panel) if panel.is_figure else html.Div(id=panel.name)
    width = "wide" if panel.is_wide else "half"
    title = [html.H2([panel.title, html.Small(panel.unit)])] if panel.title else []
    return html.Section([*title, body], className=f"panel {width} {panel.name}")


def _chart(panel: Panel) -> Component:
    """Empty, without the axes that Plotly would make up, until the first answer."""
    return dcc.Graph(id=panel.name, figure=figure_of([], {}, ""), config=GRAPH_CONFIG, style={"height": f"{panel.height}px"})


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
        Input("where", "pathname"),
        State("where", "search"),
        State("pool", "value"),
    )
    def pools(_n: int | None, pathname: str | None, address: str | None, chosen: str | None) -> Sequence[Any]:
        """The selector's pools; and the banner, since this is the one query that always runs."""
        try:
            names = [row["pool"] for row in store.query(_shown(pathname).pools) or store.query("pools")]
            wanted = chosen or explaining.asked_for(address).get("pool")
            kept = wanted if wanted in names else next(iter(names), None)
            latest = store.query("latest", pool=kept) if kept else []
        except StoreAway as away:
            return no_update, no_update, _away(away), "banner", no_update
        as_of = f"latest closed period: {latest[0]['period_start']:%H:%M:%S UTC, %e %B %Y}" if latest else "no closed period yet"
        return names, no_update if kept == chosen else kept, [], "", as_of


def _away(away: StoreAway) -> list[Any]:
    return [html.Strong("Figures are not up to date. "), f"{away}. Asked again every {REFRESH_MS // 1000} s."]


def _fill_instruments(app: Dash, store: Store) -> None:
    @app.callback(
        Output("instrument", "options"),
        Output("instrument", "value"),
        Output("delivery", "data"),
        Input("refresh", "n_intervals"),
        Input("where", "pathname"),
        Input("pool", "value"),
        Input("instrument", "value"),
    )
    def instruments(_n: int | None, pathname: str | None, pool: str | None, chosen: int | None) -> Sequence[Any]:
        """The market's selector, and the delivery period that is chosen."""
        if "instrument" not in _shown(pathname).controls:
            return no_update, no_update, no_update
        try:
            rows = store.query("instruments", pool=pool) if pool else []
        except StoreAway:
            return no_update, no_update, no_update
        known = {row["period"] for row in rows}
        kept = chosen if chosen in known else PRESENT
        return _instruments(rows), no_update if kept == chosen else kept, _present(rows) if kept == PRESENT else kept


def _instruments(rows: Sequence[Row]) -> list[dict[str, Any]]:
    named = [{"label": f"{row['starts']:%H:%M:%S} UTC · {_ahead(row['ahead'])}", "value": row["period"]} for row in reversed(rows)]
    return [{"label": "the open period, always", "value": PRESENT}, *named]


def _ahead(periods: int) -> str:
    if periods == 0:
        return "open now"
    return f"closed, {-periods} ago" if periods < 0 else f"in {periods} period{'s' if periods > 1 else ''}"


def _present(rows: Sequence[Row]) -> int | None:
    """The open period; where nobody has traded it, the next one that somebody has, and else the last."""
    return next((row["period"] for row in rows if row["ahead"] >= 0), rows[-1]["period"] if rows else None)


def _fill_tenants(app: Dash, store: Store) -> None:
    @app.callback(
        Output("tenant", "options"),
        Output("tenant", "value"),
        Input("refresh", "n_intervals"),
        Input("where", "pathname"),
        Input("pool", "value"),
        State("tenant", "value"),
    )
    def tenants(_n: int | None, pathname: str | None, pool: str | None, chosen: str) -> Sequence[Any]:
        """The pool's tenants; another pool's are not kept."""
        if "tenant" not in _shown(pathname).controls:
            return no_update, no_update
        try:
            names = [row["tenant"] for row in store.query("tenants", pool=pool)] if pool else []
        except StoreAway:
            return no_update, no_update
        return _tenants(names), no_update if chosen in {EVERYBODY, *names} else EVERYBODY


def _tenants(names: Sequence[str]) -> list[dict[str, Any]]:
    return [{"label": "the whole pool", "value": EVERYBODY}, *({"label": name, "value": name} for name in names)]


def _fill_panels(app: Dash, store: Store) -> None:
    """All panels in one round: a browser drops the answer to a question that it has asked again meanwhile.

    So the next round is not asked for before the last one is answered: a slow ClickHouse makes figures come late, not never.
    """
    workers = ThreadPoolExecutor(QUERIES_AT_ONCE, thread_name_prefix="panel")

    @app.callback(
        *(Output(panel.name, "figure" if panel.is_figure else "children") for panel in PANELS),
        Input("refresh", "n_intervals"),
        Input("pool", "value"),
        Input("periods", "value"),
        Input("delivery", "data"),
        Input("tenant", "value"),
        Input("where", "pathname"),
        running=[(Output("refresh", "disabled"), True, False)],
    )
    def fill(  # the order of the inputs above
        _n: int | None, pool: str | None, periods: int, delivery: int | None, tenant: str, pathname: str | None
    ) -> Sequence[Any]:
        """The panels of the page that is shown, drawn anew."""
        shown = _shown(pathname)
        known = pool is not None and (delivery is not None or "instrument" not in shown.controls)
        asked = {"pool": pool, "periods": periods, "instrument": delivery, "tenant": tenant}
        # Panels that show the same rows ask for them once.
        queries = list(dict.fromkeys(panel.query for panel in shown.panels)) if known else []
        answers = dict(zip(queries, workers.map(lambda query: _answer(store, query, asked), queries), strict=True))
        return [_drawn(panel, answers.get(panel.query, [])) if panel in shown.panels else no_update for panel in PANELS]


def _answer(store: Store, query: Query, asked: Mapping[str, Any]) -> list[Row] | None:
    """Rows; None while ClickHouse is away, which the banner tells."""
    try:
        return store.query(query.sql, **asked, **dict(query.told))
    except StoreAway:
        return None


def _drawn(panel: Panel, rows: list[Row] | None) -> Any:
    """A panel; as it was if nothing is known."""
    return no_update if rows is None else panel.kind.draw(rows)
