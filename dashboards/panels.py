"""All pages and their panels. Another panel is a file in `sql/` and an entry in a page; Grafana gets it too (`make render`)."""

from __future__ import annotations

from dashboards.pages import capacity, forecasts, gateway, market, policies, sla, token_pools
from dashboards.panel import Page, Panel

EXPLAIN = "/explain"

PAGES: tuple[Page, ...] = (
    capacity.PAGE,
    market.PAGE,
    token_pools.PAGE,
    gateway.PAGE,
    forecasts.PAGE,
    sla.PAGE,
    policies.PAGE,
    Page(EXPLAIN, "Explain", (), ()),  # no panels: a rule is run again, which no SQL does (dashboards/explaining.py)
)
PANELS: tuple[Panel, ...] = tuple(panel for page in PAGES for panel in page.panels)
