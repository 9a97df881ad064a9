"""A pool's accounts as its engine has them, page by page: what `bourse audit` compares with the landed ledger."""

from __future__ import annotations

from heapq import nsmallest
from typing import Any, NamedTuple

import faust
from faust.types.tables import CollectionT
from faust.types.web import Request, Response
from faust.web import View

from processors.ledger import Ledger
from streams.partitioning import home_partition
from streams.roles.engine import Engine

LARGEST_PAGE = 10_000
"""Accounts. Finding a page among 200,000 accounts takes 40 ms, in which the engine decides nothing, and 20 ms to write as JSON."""

FIRST = (-2, "")
"""Before all accounts."""


class Page(NamedTuple):
    """(asset, account, balance, held) of accounts, in order of asset and account; asset -1 is money, else a delivery period."""

    accounts: list[tuple[int, str, int, int]]
    more: bool
    """Whether there are accounts behind these."""


def page_of(ledger: Ledger, after: tuple[int, str], limit: int) -> Page:
    """The next accounts behind (asset, account) `after` that are not at zero."""
    found = nsmallest(limit + 1, (account for account in ledger.standings if account > after))
    standings = [ledger.standings[account] for account in found[:limit]]
    return Page([(*each.account, each.balance, each.held) for each in standings], more=len(found) > limit)


def serve_accounts(app: faust.App, table: CollectionT, engine: Engine) -> None:
    """Add the page `/pools/{pool}/accounts?asset=…&account=…&limit=…`: those behind (asset, account); the first without them.

    `journal_offset` says of which moment the page is: everything up to it, itself included, is in it. Another page may be of a
    later moment. The worker that owns the pool answers.
    """

    @app.page("/pools/{pool}/accounts")
    @app.table_route(table, match_info="pool")
    async def accounts_page(view: View, request: Request, pool: str) -> Response:
        try:
            after = int(request.query.get("asset", FIRST[0])), str(request.query.get("account", FIRST[1]))
            limit = int(request.query.get("limit", LARGEST_PAGE))
        except ValueError:
            return view.error(400, "asset and limit: whole numbers are expected")
        if not 1 <= limit <= LARGEST_PAGE:
            return view.error(400, f"limit: 1 to {LARGEST_PAGE} accounts are given at once")
        partition = home_partition(pool.encode(), app.conf.topic_partitions)
        state = engine.states().get(partition)
        if state is None:
            return view.error(503, f"pool: {pool!r} is another worker's, or none's at this moment")
        found = state.pools.get(pool)
        if found is None:
            return view.error(404, f"pool: {pool!r} is not defined")
        page = page_of(found.market.ledger, after, limit)
        told: dict[str, Any] = {
            "pool": pool,
            "partition": partition,
            "journal_offset": engine.folded()[partition],
            "accounts": page.accounts,
            "more": page.more,
        }
        return view.json(told)
