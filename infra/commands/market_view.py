"""`bourse account`, `positions`, `depth` and `trades`: what a tenant has, and what everybody may see of the market."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from dataclasses import asdict
from typing import Annotated, Any

import httpx
import typer
from clickhouse_connect.driver.exceptions import ClickHouseError
from rich.console import Console
from rich.live import Live

from infra.commands.market_trading import AsJson, Period, Pool, Tenant
from infra.market_page import (
    account_table,
    depth_said,
    depth_table,
    holdings,
    offers_table,
    orders_table,
    positions_table,
    trade_line,
)
from infra.named_period import named_period
from streams.clickhouse import connect
from streams.errors import BadInput, Unavailable
from streams.market_reader import MarketReader
from streams.settings import Settings
from streams.tenant_state import TenantState, read_state
from streams.updates import Trade

LATEST = (
    "SELECT period, toUnixTimestamp64Milli(time) AS at, price, qty, taker, offset FROM {db}.trades "
    "WHERE pool = {{pool:String}} AND ({{period:Int64}} < 0 OR period = {{period:Int64}}) "
    "ORDER BY journal_offset DESC, fact_index DESC, number DESC LIMIT {{many:Int64}}"
)
Once = Annotated[bool, typer.Option("--once", help="Print what is now, and stop.")]


def account(pool: Pool, *, tenant: Tenant = None, as_json: AsJson = False) -> None:
    """Show a tenant's money, and what it may use of the present period: from the engine, as it is now."""
    settings, named = _whose(tenant)
    found = asyncio.run(_state(settings, pool, named)).account
    if as_json:
        typer.echo(json.dumps({"pool": pool, "tenant": named, **asdict(found)}, ensure_ascii=False))
    else:
        Console().print(account_table(pool, named, found))


def positions(pool: Pool, *, tenant: Tenant = None, as_json: AsJson = False) -> None:
    """Show a tenant's tokens by period, its open orders, and exchanges that it offers or may accept: as they are now."""
    settings, named = _whose(tenant)
    found = asyncio.run(_state(settings, pool, named))
    if as_json:
        typer.echo(json.dumps({"pool": pool, "tenant": named, **holdings(found)}, ensure_ascii=False))
        return
    console = Console()
    console.print(positions_table(found.positions))
    for rows, table in ((found.orders, orders_table(found.orders)), (found.offers, offers_table(found.offers))):
        if rows:
            console.print(table)


def depth(
    pool: Pool,
    period: Period,
    *,
    levels: Annotated[int, typer.Option(min=1, max=10, help="Prices of each side.")] = 10,
    once: Once = False,
    as_json: AsJson = False,
) -> None:
    """Show the book of a period, live until it closes or you interrupt. With --json: one object for each change."""
    with suppress(KeyboardInterrupt):  # how a live view ends
        asyncio.run(_depth(Settings.load(), pool, period, levels, once=once, as_json=as_json))


def trades(
    pool: Pool,
    *,
    period: Annotated[str | None, typer.Option(help="Only those of this period: its number, `now`, or `+N`.")] = None,
    last: Annotated[int, typer.Option(min=0, max=100_000, help="How many past ones to begin with, from ClickHouse.")] = 20,
    once: Once = False,
    as_json: AsJson = False,
) -> None:
    """Show the latest trades, then each new one until you interrupt. With --json: one object a line."""
    with suppress(KeyboardInterrupt):  # how a live view ends
        asyncio.run(_trades(Settings.load(), pool, period, last, once=once, as_json=as_json))


def _whose(tenant: str | None) -> tuple[Settings, str]:
    settings = Settings.load()
    named = tenant or settings.tenant
    if named is None:
        raise BadInput("tenant: whose? --tenant NAME, or set BOURSE_TENANT")
    return settings, named


async def _state(settings: Settings, pool: str, tenant: str) -> TenantState:
    async with httpx.AsyncClient() as web:
        return await read_state(web, settings, pool, tenant)


async def _depth(settings: Settings, pool: str, named: str, levels: int, *, once: bool, as_json: bool) -> None:
    period = await named_period(settings, pool, named)
    async with MarketReader(pool, settings) as market, aclosing(market.depth(period)) as changes:
        if as_json:
            async for book in changes:
                typer.echo(json.dumps(depth_said(pool, period, book, levels)))
                if once:
                    return
        elif once:
            Console().print(depth_table(pool, period, await anext(changes), levels))
        elif not (console := Console()).is_terminal:  # nothing can be drawn over: one book below the other
            async for book in changes:
                console.print(depth_table(pool, period, book, levels))
        else:
            with Live(console=console, auto_refresh=False) as screen:
                async for book in changes:
                    screen.update(depth_table(pool, period, book, levels), refresh=True)


async def _trades(settings: Settings, pool: str, named: str | None, last: int, *, once: bool, as_json: bool) -> None:
    period = None if named is None else await named_period(settings, pool, named)
    past = await asyncio.to_thread(_latest, settings, pool, period, last)
    for trade in past:
        _tell(trade, as_json=as_json)
    if once:
        return
    async with MarketReader(pool, settings) as market:
        # Behind the newest that was told: nothing is left out between the table and the topic.
        new: AsyncIterator[Trade] = market.trades(period, after=past[-1].offset if past else None)
        async for trade in new:
            _tell(trade, as_json=as_json)


def _tell(trade: Trade, *, as_json: bool) -> None:
    said: dict[str, Any] = {name: value for name, value in asdict(trade).items() if name != "offset"}
    typer.echo(json.dumps(said) if as_json else trade_line(trade))


def _latest(settings: Settings, pool: str, period: int | None, many: int) -> list[Trade]:
    """The newest trades that have landed, the oldest of them first."""
    if not many:
        return []
    text = LATEST.format(db=f"`{settings.clickhouse_database}`")
    try:
        rows = (
            connect(settings)
            .query(text, parameters={"pool": pool, "period": -1 if period is None else period, "many": many})
            .result_rows
        )
    except ClickHouseError as error:
        reason = (str(error) or type(error).__name__).splitlines()[0][:300]
        where = settings.shown("clickhouse") or settings.clickhouse_url
        raise Unavailable(f"ClickHouse at {where}: {reason}; --last 0 does without the past") from error
    return [Trade(pool, number, at, price, qty, taker, offset) for number, at, price, qty, taker, offset in reversed(rows)]
