"""The market in a terminal: books, trades, positions, accounts, and what became of a command."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import zip_longest
from typing import Any

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from schemas.outputs import Depth
from schemas.trading import CancelReason
from streams.tenant_state import Account, OpenOffer, OpenOrder, Position, TenantState
from streams.tickets import Outcome, Status, Ticket
from streams.updates import Trade

BAR = 16
"""Characters of the longest bar of a book."""
NANO = 1_000_000_000


def said_of(ticket: Ticket, outcome: Outcome | None, pool: str, period: int) -> dict[str, Any]:
    """What became of a command, for programs; without an outcome: that it was acknowledged."""
    told: dict[str, Any] = {"id": ticket.id, "pool": pool, "period": period, "tenant": ticket.command.tenant}
    if outcome is None:
        return {**told, "status": "acknowledged"}
    values = {name: getattr(outcome, name) for name in ("filled", "notional", "open", "reason", "field", "detail")}
    return {**told, "status": str(outcome.status), **values}


def line_of(ticket: Ticket, outcome: Outcome) -> str:
    """What became of a command, for people."""
    if outcome.status is Status.REJECTED:
        field = f"{outcome.field}: " if outcome.field and not outcome.detail.startswith(outcome.field) else ""
        return f"rejected: {outcome.reason}; {field}{outcome.detail}".rstrip("; ")
    parts = [str(outcome.status)]
    if outcome.filled:
        parts.append(f"{outcome.filled:,} tokens traded at {outcome.notional / outcome.filled:,.2f} on average")
    if outcome.open:
        parts.append(f"{outcome.open:,} tokens open")
    if outcome.status is Status.CANCELLED and outcome.reason not in {"", CancelReason.USER}:
        parts.append(outcome.reason)
    return f"{', '.join(parts)} (id {ticket.id})"


def account_table(pool: str, tenant: str, account: Account) -> Table:
    """Money and the open period's tokens."""
    table = Table(title=escape(f"{tenant} in {pool}"), header_style="bold")
    table.add_column("")
    table.add_column("nanocredits", justify="right")
    table.add_column("credits", justify="right")
    for name in ("available", "held", "balance"):
        amount = getattr(account, name)
        table.add_row(name, f"{amount:,}", f"{amount / NANO:,.9f}")
    table.add_section()
    table.add_row(f"period {'–' if account.period is None else account.period}", "tokens", "", style="bold")
    for name in ("allocated", "used", "limit"):
        table.add_row(name, f"{getattr(account, name):,}", "")
    table.add_row("base of later periods", f"{account.base_ahead:,}", "")
    return table


def positions_table(positions: Iterable[Position]) -> Table:
    """Tokens by period."""
    return _table(Position, positions)


def orders_table(orders: Iterable[OpenOrder]) -> Table:
    """Orders that rest."""
    return _table(OpenOrder, orders)


def offers_table(offers: Iterable[OpenOffer]) -> Table:
    """Exchanges that wait."""
    return _table(OpenOffer, offers)


def holdings(state: TenantState) -> dict[str, list[dict[str, Any]]]:
    """Positions, orders and exchanges for programs."""
    return {name: [asdict(row) for row in getattr(state, name)] for name in ("positions", "orders", "offers")}


def depth_table(pool: str, period: int, depth: Depth | None, levels: int) -> RenderableType:
    """A book: bids left, asks right, the best on top."""
    if depth is None:
        return Text(f"{pool}, period {period}: no book: nobody has ordered yet, or the period has closed")
    last = "no trade yet" if depth.last_price is None else f"last {depth.last_price:,}"
    table = Table(title=escape(f"{pool}, period {period}: {depth.phase}, {last}, {depth.volume:,} traded"), header_style="bold")
    for name in ("", "tokens", "bid", "ask", "tokens", ""):
        table.add_column(name, justify="right" if name in {"tokens", "bid"} else "left", min_width=BAR if not name else None)
    most = max([*depth.bid_qty[:levels], *depth.ask_qty[:levels]], default=1)
    bids = zip(depth.bid_price[:levels], depth.bid_qty[:levels], strict=True)
    asks = zip(depth.ask_price[:levels], depth.ask_qty[:levels], strict=True)
    for bid, ask in zip_longest(bids, asks):
        left = ("", "", "") if bid is None else (f"[green]{_bar(bid[1], most):>{BAR}}[/]", f"{bid[1]:,}", f"[green]{bid[0]:,}[/]")
        right = ("", "", "") if ask is None else (f"[red]{ask[0]:,}[/]", f"{ask[1]:,}", f"[red]{_bar(ask[1], most)}[/]")
        table.add_row(*left, *right)
    return table


def depth_said(pool: str, period: int, depth: Depth | None, levels: int) -> dict[str, Any]:
    """A book for programs: [price, tokens] of each level."""
    if depth is None:
        return {"pool": pool, "period": period, "phase": None, "bids": [], "asks": []}
    return {
        "pool": pool,
        "period": period,
        "phase": depth.phase,
        "last_price": depth.last_price,
        "volume": depth.volume,
        "bids": [list(level) for level in zip(depth.bid_price[:levels], depth.bid_qty[:levels], strict=True)],
        "asks": [list(level) for level in zip(depth.ask_price[:levels], depth.ask_qty[:levels], strict=True)],
    }


def trade_line(trade: Trade) -> str:
    """A trade for people."""
    return f"{_clock(trade.time)}  period {trade.period}  {trade.qty:>12,} at {trade.price:>12,}  {trade.taker}"


def _clock(epoch_ms: int) -> str:
    return datetime.fromtimestamp(epoch_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _bar(qty: int, most: int) -> str:
    return "█" * max(1, round(BAR * qty / most))


def _table(kind: type[Any], rows: Iterable[Any]) -> Table:
    names = list(kind.__slots__)
    table = Table(header_style="bold")
    for name in names:
        table.add_column(name, justify="left" if name in {"order", "transfer", "tenant", "to", "side"} else "right")
    for row in rows:
        table.add_row(*(_cell(name, getattr(row, name)) for name in names))
    return table


def _cell(name: str, value: object) -> str:
    if value is None:
        return "–"
    if name == "period":
        return str(value)
    if name == "expire" and isinstance(value, int):
        return _clock(value)
    if isinstance(value, bool):
        return "yes" if value else ""
    return f"{value:,}" if isinstance(value, int) else escape(str(value))
