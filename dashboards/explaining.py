"""The page `/explain`: why a tenant got what it got in a period, and what would have changed it (processors/explain).

What is chosen stands in the address, /explain?pool=…&period=…&tenant=…, so that a page can be sent to somebody. The rows come from
ClickHouse: a closed period does not change, so nothing is asked twice. The search for changes runs the rule hundreds of times,
3 to 5 s for 100,000 tenants; the rest of the page does not wait for it. Nor does it wait for the journal, which alone tells which
experts carried a forecast: once it is folded the story is drawn again. Where it is too long for that, the page says who tells.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from threading import Lock
from typing import Any
from urllib.parse import parse_qs, urlencode

from dash import Dash, Input, Output, ctx, dcc, html, no_update
from dash.development.base_component import Component

from dashboards.explained import changes, story
from dashboards.panels import EXPLAIN
from dashboards.store import Row, Store, StoreAway
from processors.explain import Circumstances, Explained, NotToldError, UnknownTenantError, explained
from streams.folded_period import Asked, NotFoldedError, folded_period
from streams.period_rows import PeriodRows
from streams.settings import Settings

log = logging.getLogger(__name__)

KEPT = 64
"""Pages that are remembered; each is some 20 KB."""

CHOOSE = "Choose a closed period and a tenant."


def layout() -> list[Component]:
    """The page before anything is chosen."""
    chosen: dict[str, Any] = {"clearable": False, "options": [], "value": None}
    choices = html.Section(
        [
            html.Label(["Period", dcc.Dropdown(id="explain-period", placeholder="no closed period yet", **chosen)]),
            html.Label(["Tenant", dcc.Dropdown(id="explain-tenant", placeholder="no tenant yet", **chosen)]),
        ],
        className="panel wide choices",
    )
    return [
        choices,
        html.Div(id="explain-story", className="steps"),
        dcc.Store(id="explain-told"),
        dcc.Loading(html.Div(id="explain-changes", className="steps"), parent_className="steps"),
    ]


def add(app: Dash, store: Store, settings: Settings) -> None:
    """Makes the page answer."""
    _fill_choices(app, store)

    @lru_cache(maxsize=KEPT)
    def told(pool: str, period: int, tenant: str, *, searching: bool) -> Explained:
        record = store.ask(lambda client: PeriodRows(client, settings.clickhouse_database).record(pool, period, tenant))
        return explained(record, tenant, searching=searching)

    def answer(pool: str | None, period: int | None, tenant: str | None, *, searching: bool) -> Any:
        if pool is None or period is None or not tenant:
            return [] if searching else _said(CHOOSE)
        try:
            found = told(pool, period, tenant, searching=searching)
        except StoreAway:
            return no_update  # the banner tells
        except NotToldError as absent:
            return [] if searching else _said(f"{absent}.")
        except UnknownTenantError:
            return [] if searching else _said(f"Tenant {tenant} had neither a profile in period {period} nor used anything.")
        return changes(found) if searching else story(found)

    chosen = (Input("pool", "value"), Input("explain-period", "value"), Input("explain-tenant", "value"))

    @app.callback(Output("explain-story", "children"), Output("explain-told", "data"), *chosen)
    def tell(pool: str | None, period: int | None, tenant: str | None) -> Any:
        """What happened; and of whom it is told, for those who can tell more."""
        said = answer(pool, period, tenant, searching=False)
        return said, no_update if said is no_update else [pool, period, tenant]

    _tell_more(app, settings, told)

    @app.callback(Output("explain-changes", "children"), *chosen)
    def search(pool: str | None, period: int | None, tenant: str | None) -> Any:
        """What would have changed it."""
        return answer(pool, period, tenant, searching=True)


def _tell_more(app: Dash, settings: Settings, told: Callable[..., Explained]) -> None:
    """Makes the story tell what the journal tells. One is folded at a time."""
    folding = Lock()

    @lru_cache(maxsize=KEPT)
    def folded(pool: str, period: int, tenant: str) -> Circumstances:
        return folded_period(Asked(settings.kafka_client_config(), settings.topic("journal"), pool, period, tenant))

    @app.callback(
        Output("explain-story", "children", allow_duplicate=True), Input("explain-told", "data"), prevent_initial_call=True
    )
    def tell_more(chosen: tuple[str | None, int | None, str | None]) -> Any:
        """The story once more, with experts and how limits moved."""
        pool, period, tenant = chosen
        if pool is None or period is None or not tenant:
            return no_update
        try:
            found = told(pool, period, tenant, searching=False)
            with folding:
                around = folded(pool, period, tenant)
        except (StoreAway, NotToldError, UnknownTenantError):
            return no_update  # the story tells
        except NotFoldedError as untold:
            log.info("period %s of %s in %s, from the journal: %s", period, tenant, pool, untold)
            return no_update
        return story(replace(found, around=around))


def asked_for(address: str | None) -> dict[str, str]:
    """What an address's query names: pool, period, tenant."""
    return {name: values[-1] for name, values in parse_qs((address or "").removeprefix("?")).items()}


def _fill_choices(app: Dash, store: Store) -> None:
    @app.callback(
        Output("explain-period", "options"),
        Output("explain-period", "value"),
        Output("explain-tenant", "options"),
        Output("explain-tenant", "value"),
        Output("where", "search"),
        Input("pool", "value"),
        Input("where", "pathname"),
        Input("where", "search"),
        Input("explain-period", "value"),
        Input("explain-tenant", "value"),
    )
    def choose(
        pool: str | None, pathname: str | None, address: str | None, period: int | None, tenant: str | None
    ) -> Sequence[Any]:
        """The selectors; the address says what is chosen, until somebody chooses otherwise."""
        if (pathname or "").rstrip("/") != EXPLAIN or pool is None:
            return [no_update] * 5
        named = asked_for(address)
        if named.get("pool", pool) == pool and not str(ctx.triggered_id).startswith("explain-"):
            period, tenant = _number(named.get("period"), period), named.get("tenant", tenant)
        try:
            periods = store.query("closed_periods", pool=pool)
            tenants = [row["tenant"] for row in store.query("tenants", pool=pool)]
        except StoreAway:
            return [no_update] * 5
        if ctx.triggered_id == "pool" and named.get("pool", pool) != pool:
            period = tenant = None
        period = period if period is not None else next((row["period"] for row in periods), None)
        tenant = tenant or next(iter(tenants), None)
        query = {"pool": pool, "period": period, "tenant": tenant}
        written = "?" + urlencode({name: value for name, value in query.items() if value is not None})
        return _periods(periods, period), period, _with(tenants, tenant), tenant, no_update if written == address else written


def _number(text: str | None, otherwise: int | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 19 else otherwise


def _periods(rows: Sequence[Row], chosen: int | None) -> list[dict[str, Any]]:
    """The newest, and the chosen one if it is older."""
    options = [{"label": f"{row['period']} · {row['period_start']:%H:%M:%S} UTC", "value": row["period"]} for row in rows]
    known = {row["period"] for row in rows}
    return options if chosen is None or chosen in known else [*options, {"label": str(chosen), "value": chosen}]


def _with(names: Sequence[str], chosen: str | None) -> list[str]:
    return [*names] if chosen is None or chosen in names else [*names, chosen]


def _said(text: str) -> list[Component]:
    return [html.Section(html.P(text), className="panel wide")]
