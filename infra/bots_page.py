"""Bots in a terminal: a table of all, and what a dry run came to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from datetime import UTC, datetime
from typing import Any

from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from processors.bots.rehearsal import Account, Did, Rehearsal
from schemas.bots import BotAction

SHOWN_ROWS = 40
"""Of what a bot did, in a terminal; --json tells all."""

MEANING = {
    "money": "account, change in nanocredits",
    "bought": "tokens bought",
    "sold": "tokens sold",
    "paid": "paid for them, fees included",
    "earned": "earned by them, fees taken off",
    "refunded": "paid back, as not delivered",
    "billed": "billed by the auction",
    "allocated": "tokens allocated, closed periods",
    "used": "used of them",
    "idle": "idle: allocated, not used",
    "over": "over: used, not allocated",
    "refused": "own orders rejected",
    "pool_trades": "trades of everybody",
    "pool_tokens": "tokens traded by everybody",
}

HONESTY = (
    "What people and outside programs ordered, and what everybody used, stands as it was recorded: perhaps they would have acted "
    "otherwise. Other bots act on what they would have seen."
)


def bots_table(rows: Iterable[Mapping[str, Any]]) -> Group:
    """One row for each bot, and below them, in lines that may wrap, why each does no more."""
    table = Table(header_style="bold", box=box.SIMPLE)
    for heading in ("pool", "tenant", "bot", "strategy", "ahead", "orders", "last"):
        table.add_column(heading, justify="right" if heading == "orders" else "left")
    reasons = []
    for row in rows:
        first, last = row["first_ahead"], row["last_ahead"]
        table.add_row(
            row["pool"],
            row["tenant"],
            row["name"],
            row["strategy"] if row["enabled"] else f"{row['strategy']}, off",
            str(first) if first == last else f"{first} to {last}",
            f"{row['orders']:,}",
            _short(*((row["action"], row["acted"]) if row["action"] else ("set", row["since"]))),
        )
        if row["reason"]:
            reasons.append(Text(f"{row['name']} of {row['tenant']} does no more: {row['reason']}: {row['detail']}"))
    return Group(table, *reasons)


def _short(action: str, epoch_ms: int | None) -> str:
    """What was done when, of a year in which everybody knows to be."""
    return f"{action} {_time(epoch_ms)[5:]}"


def rehearsal_page(console: Console, rehearsal: Rehearsal) -> None:
    """What the bot would have done, and what that would have changed."""
    command = rehearsal.command
    console.print(
        f"{command.name} ({command.strategy}) of {command.tenant} in {command.pool}, from {_time(rehearsal.begun_ms)} to "
        f"{_time(rehearsal.ended_ms)}, {rehearsal.periods:,} periods closed",
        style="bold",
        markup=False,
        highlight=False,
    )
    console.print(_actions_table(rehearsal.did))
    console.print(_compared_table(rehearsal))
    for line in _summary(rehearsal):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    console.print(HONESTY, style="dim", soft_wrap=True)


def rehearsal_said(rehearsal: Rehearsal) -> dict[str, Any]:
    """The same for programs: everything that the bot did and traded."""
    reason, about = rehearsal.reason()
    return {
        "pool": rehearsal.command.pool,
        "tenant": rehearsal.command.tenant,
        "bot": rehearsal.command.name,
        "from": rehearsal.begun_ms,
        "to": rehearsal.ended_ms,
        "periods": rehearsal.periods,
        "actions": [{"time": did.time, **_said(did)} for did in rehearsal.did],
        "trades": [trade._asdict() for trade in rehearsal.trades],
        "open": [asdict(order) for order in rehearsal.standing()],
        "reason": reason,
        "field": about,
        "actual": asdict(rehearsal.actual),
        "with_bot": asdict(rehearsal.imagined),
        "assumed": HONESTY,
    }


def _said(did: Did) -> dict[str, Any]:
    return {name: value for name, value in did.row._asdict().items() if name not in {"tenant", "bot"}}


def _actions_table(all_done: list[Did]) -> Table:
    """What it did, its first and its last, and nothing between where that is much."""
    table = Table(header_style="bold")
    for heading in ("time", "did", "period", "side", "price", "tokens", "why"):
        table.add_column(heading, justify="right" if heading in {"period", "price", "tokens"} else "left")
    left_out = len(all_done) - SHOWN_ROWS
    shown = all_done if left_out <= 0 else [*all_done[: SHOWN_ROWS // 2], None, *all_done[-SHOWN_ROWS // 2 :]]
    for did in shown:
        if did is None:
            table.add_row("…", f"{left_out:,} more", *[""] * 5)
            continue
        row = did.row
        numbers = (f"{row.price:,}", f"{row.qty:,}") if row.side else ("", "")
        content = "its orders are as it wants them" if row.action is BotAction.RESTS else ""
        why = f"{row.reason}: {row.detail}" if row.reason else content
        table.add_row(_time(did.time), row.action, "" if row.period is None else str(row.period), row.side, *numbers, why)
    return table


def _compared_table(rehearsal: Rehearsal) -> Table:
    table = Table(header_style="bold")
    table.add_column("")
    for heading in ("as it was", "with the bot", "difference"):
        table.add_column(heading, justify="right")
    for name in (each.name for each in fields(Account)):
        was, would = getattr(rehearsal.actual, name), getattr(rehearsal.imagined, name)
        table.add_row(MEANING[name], f"{was:,}", f"{would:,}", f"{would - was:+,}" if would != was else "")
    return table


def _summary(rehearsal: Rehearsal) -> list[str]:
    done = Counter(did.row.action for did in rehearsal.did)
    placed = sum(did.row.qty for did in rehearsal.did if did.row.action is BotAction.PLACED)
    lines = [f"It would have placed {done[BotAction.PLACED]:,} orders for {placed:,} tokens."]
    for side, word in (("buy", "bought"), ("sell", "sold")):
        trades = [trade for trade in rehearsal.trades if trade.side == side]
        if trades:
            tokens, money = sum(trade.qty for trade in trades), sum(trade.money for trade in trades)
            lines.append(f"They would have {word} {tokens:,} tokens in {len(trades):,} trades for {money:,} nanocredits.")
    standing = rehearsal.standing()
    if standing:
        lines.append(f"{len(standing):,} of its orders, for {sum(order.open for order in standing):,} tokens, would be open.")
    reason, about = rehearsal.reason()
    if reason:
        lines.append(f"In the end it would do no more: {reason}{f' ({about})' if about else ''}.")
    return lines


def _time(epoch_ms: int | None) -> str:
    if epoch_ms is None:
        return "–"
    return datetime.fromtimestamp(epoch_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
