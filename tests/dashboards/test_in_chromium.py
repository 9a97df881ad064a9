"""The pages as a browser shows them: every panel has data, nothing is complained of."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from chromium import PROGRAM, Tab, chromium
from test_panels import STORES
from werkzeug.serving import WSGIRequestHandler, make_server

from dashboards.app import build_app
from dashboards.panel import Page
from dashboards.panels import PAGES
from streams.settings import Settings

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="no Chromium here: apt-get install chromium")

EMPTY = """[...document.querySelectorAll('main:not(.hidden) .panel')].filter(panel => {
    const chart = panel.querySelector('.js-plotly-plot')
    if (chart) return !(chart.data || []).some(trace => trace.x && trace.x.length) || !panel.querySelector('.main-svg')
    const values = [...panel.querySelectorAll('.tiles .value')]
    if (values.length) return values.every(value => value.textContent.startsWith('–'))
    return !panel.querySelector('tbody td') || panel.querySelector('td.nothing')
}).map(panel => panel.className)"""
"""The panels of the page that have nothing to show."""

CUT_OFF = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


CUT_TEXTS = """[...document.querySelectorAll('main:not(.hidden) .annotation-text')].filter(text => {
    const [own, chart] = [text, text.closest('.js-plotly-plot')].map(each => each.getBoundingClientRect())
    return own.left < chart.left || own.right > chart.right
}).map(text => text.textContent)"""
"""Texts in place of charts that are wider than these."""


class SilentHandler(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """A browser's requests are no news."""


@contextmanager
def served(settings: Settings, tab: Tab) -> Iterator[str]:
    """The dashboard's address while it serves. In the end nothing may have been complained of."""
    server = make_server("127.0.0.1", 0, build_app(settings).server, threaded=True, request_handler=SilentHandler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
        assert tab.complaints == []
    finally:
        tab.open("about:blank")  # a page goes on asking
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with chromium(tmp_path_factory.mktemp("chromium")) as tab:
        yield tab


@pytest.mark.parametrize("page", [page for page in PAGES if page.panels], ids=lambda page: page.title)
def test_every_panel_has_data_and_nothing_is_complained_of(request: pytest.FixtureRequest, tab: Tab, page: Page) -> None:
    name, _ = STORES.get(page.path, ("seeded", "p"))
    # In the market what is traded and what is open is not the same instrument.
    full = f"({EMPTY}).length <= {2 if page.path == '/market' else 0}"
    with served(request.getfixturevalue(name), tab) as url:
        tab.open(url + page.path)
        tab.until(f"document.querySelectorAll('main:not(.hidden) .panel').length === {len(page.panels)} && {full}")
        assert tab.evaluate("document.querySelector('nav .here').textContent") == page.title
        tab.resize(width=700)
        tab.until(f"{CUT_OFF} === 0")


def test_a_page_without_data_says_so(bare: Settings, tab: Tab) -> None:
    with served(bare, tab) as url:
        tab.open(url + "/policies")
        tab.until("document.querySelector('main:not(.hidden) td.nothing')?.textContent.includes('bourse backtest')")
        tab.until(f"document.querySelector('main:not(.hidden) .annotation-text') && ({CUT_TEXTS}).length === 0")


def test_a_tenant_is_chosen(seeded: Settings, tab: Tab) -> None:
    lines = "document.querySelector('main:not(.hidden) .js-plotly-plot')?.data?.length"
    with served(seeded, tab) as url:
        tab.open(url + "/forecasts")
        tab.until(f"{lines} === 2")
        tab.evaluate(f"dash_clientside.set_props('tenant', {json.dumps({'value': 't03'})})")
        tab.until(f"{lines} === 5")


def test_a_period_is_explained_at_its_address(market_store: Settings, tab: Tab) -> None:
    shown = "document.querySelector('#explain-story h2')?.textContent"
    with served(market_store, tab) as url:
        tab.open(url + "/explain?pool=llm&period=6&tenant=ben")
        tab.until(f"{shown}?.startsWith('ben in period 6 of llm')")
        tab.until("document.querySelectorAll('#explain-changes tbody tr').length > 5")
        tab.evaluate(f"dash_clientside.set_props('explain-tenant', {json.dumps({'value': 'cat'})})")
        tab.until(f"{shown}?.startsWith('cat in period 6 of llm')")
        tab.until("location.search === '?pool=llm&period=6&tenant=cat'")
        tab.resize(width=700)
        tab.until(f"{CUT_OFF} === 0")
