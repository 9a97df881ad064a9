"""The market in the demo: a line while it runs; at the end who traded what, and what that changed."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from infra.demo.traders import Trader
from infra.demo.trading import Met, Traded, Volume
from infra.demo.view import NARROW, SHOWN_TENANTS, in_credits

OPERATOR = ""


def line(volume: Volume) -> str:
    """The market so far."""
    if not volume.trades:
        return "market: no trades yet"
    return (
        f"market: last price {volume.last:,} nanocredits/token, {volume.trades:,} trades of {volume.tokens:,} tokens, "
        f"{in_credits(volume.money)} credits paid"
    )


def traded(volume: Volume, rows: Sequence[Traded], traders: Sequence[Trader], met: tuple[Met, Met]) -> Group:
    """What each trader bought and sold, and how much of what it used was unmet, which is beyond its allocations.

    Args:
        volume: all trades.
        rows: of those who traded.
        traders: all that have bots.
        met: had nobody traded, and as it was.
    """
    told = (
        f"{volume.trades:,} trades, {volume.tokens:,} tokens, {in_credits(volume.money)} credits; "
        f"nanocredits a token: {volume.low:,} to {volume.high:,}, mean {volume.average:,}"
        if volume.trades
        else "nobody traded"
    )
    table = Table(box=box.SIMPLE_HEAD, **NARROW)
    table.add_column("tenant")
    table.add_column("its bots", style="dim")
    for name in ("bought", "sold", "paid", "earned", "unmet untraded", "unmet"):
        table.add_column(name, justify="right")
    found = {row.tenant: row for row in rows}
    for trader in traders[:SHOWN_TENANTS]:
        row = found.get(trader.tenant, Traded(trader.tenant, 0, 0, 0, 0))
        beyond = (f"{each.beyond.get(trader.tenant, 0):,}" for each in met)
        table.add_row(Text(trader.tenant), trader.trades, *_cells(row), *beyond)
    if rest := traders[SHOWN_TENANTS:]:
        names = {trader.tenant for trader in rest}
        beyond = (f"{sum(each.beyond.get(name, 0) for name in names):,}" for each in met)
        table.add_row(f"{len(rest):,} more", "", *_cells(_together([row for row in rows if row.tenant in names])), *beyond)
    if OPERATOR in found:
        table.add_row("operator", "unsold surplus", *_cells(found[OPERATOR]), "", "")
    return Group(Text("The market of this run, from ClickHouse", style="italic"), Text(told, style="dim"), table, Text())


def changed(periods: range, without: Met, actual: Met) -> Group:
    """What trading changed in these periods."""
    table = Table(
        title=f"What trading changed in {len(periods)} periods, {periods.start} to {periods.stop - 1}",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    table.add_column("")
    for name in ("without trading", "with trading", "change"):
        table.add_column(name, justify="right")
    for told, before, after in (
        ("used within allocations", without.within, actual.within),
        ("used beyond allocations (unmet demand)", sum(without.beyond.values()), sum(actual.beyond.values())),
        ("allocated and not used (idle)", without.idle, actual.idle),
    ):
        table.add_row(told, *(f"{tokens:,}" for tokens in (before, after)), f"{after - before:+,}")
    shares = [100 * each.within / each.capacity if each.capacity else 0.0 for each in (without, actual)]
    table.add_row(
        Text("utilisation within allocations", style="bold"),
        *(f"{share:.1f} %" for share in shares),
        Text(f"{shares[1] - shares[0]:+.1f} points", style="bold"),
    )
    return Group(
        table,
        Text(
            "Without trading: the same journal folded again, tenants' commands left out. A gateway would have\n"
            "refused what is beyond allocations; the demo's backends hold nothing back, so that both sides have\n"
            "the same requests.",
            style="dim",
        ),
        Text(),
    )


def _together(rows: Sequence[Traded]) -> Traded:
    bought, sold, paid, earned = (sum(getattr(row, name) for row in rows) for name in ("bought", "sold", "paid", "earned"))
    return Traded("", bought, sold, paid, earned)


def _cells(row: Traded) -> tuple[str, ...]:
    return f"{row.bought:,}", f"{row.sold:,}", in_credits(row.paid), in_credits(row.earned)
