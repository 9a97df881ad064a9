"""What the demo shows: a live table on a terminal, a line for each period elsewhere, and the counts at the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from infra.demo.store import Arrival, Boosts, Period, TenantSums
from infra.workloads import Temper

SHOWN_TENANTS = 20
LEAST_SHOWN = 3
OTHER_LINES = 18
"""Of the live view: both pools' headlines, the tables' heads and ends, and the other pool's six tenants."""
SHOWN_PERIODS = 24
BAR = 20
NARROW: Mapping[str, Any] = {"padding": (0, 1, 0, 0), "pad_edge": False, "show_edge": False}
"""Of tables with so many columns that 100 characters must be spent with care."""
SPARK = "▁▂▃▄▅▆▇█"


def live(
    pool: Mapping[str, Any] | None,
    tempers: Mapping[str, Temper],
    periods: Sequence[Period],
    told: Sequence[str],
    *,
    beside: RenderableType,
    height: int,
) -> RenderableType:
    """The table of the open period, under the pool's utilisation and over what was published; then the other pool.

    Args:
        pool: the engine's web view of the pool; None before it answers.
        tempers: how each tenant behaves.
        periods: closed so far.
        told: lines below the table.
        beside: the token pool's table.
        height: of the terminal, lines: tenants for whom there is no room are left out.
    """
    below = [*(Text(line, style="dim") for line in told), beside]
    if pool is None:
        return Group(Text("waiting for the engine"), *below)
    shown = max(LEAST_SHOWN, min(SHOWN_TENANTS, height - OTHER_LINES))
    return Group(_headline(pool), _utilisation(pool, periods), _table(pool, tempers, shown), *below)


def _headline(pool: Mapping[str, Any]) -> Text:
    return Text.assemble(
        ("pool ", "dim"),
        (pool["pool"], "bold"),
        (f"   {pool['capacity']:,} tokens in {pool['period_s']} s   surplus at {pool['price'] or 0:,} nanocredits/token", "dim"),
    )


def _utilisation(pool: Mapping[str, Any], periods: Sequence[Period]) -> Text:
    """The latest closed period as a bar, those before it as a line of small ones, the open one as a number."""
    shares = [period.utilisation for period in periods]
    latest = shares[-1] if shares else 0.0
    filled = min(BAR, round(BAR * latest))
    colour = "green" if latest < 0.85 else "yellow" if latest <= 1 else "red"
    spark = "".join(SPARK[min(len(SPARK) - 1, int(share * len(SPARK)))] for share in shares[-SHOWN_PERIODS:])
    return Text.assemble(
        ("utilisation ", "dim"),
        ("█" * filled + "░" * (BAR - filled), colour),
        (f" {latest:.0%}" if shares else "  – ", "bold"),
        ("   closed periods ", "dim"),
        (spark, "cyan"),
        (f"   open period so far {pool['utilisation'] or 0.0:.0%}", "dim"),
    )


def _table(pool: Mapping[str, Any], tempers: Mapping[str, Temper], most: int) -> Table:
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", **NARROW)
    table.add_column("tenant", no_wrap=True)
    table.add_column("habit", no_wrap=True, style="dim")
    for name in ("base", "demand", "bid", "surplus", "traded", "allocated", "used", "charge"):
        table.add_column(name, justify="right", no_wrap=True)
    rows = pool["tenants"]
    shown = rows if len(rows) <= most else sorted(rows, key=lambda row: -row["allocated"])[: most - 1]
    for row in shown:
        temper = tempers.get(row["tenant"])
        over = row["used"] > row["allocated"]
        table.add_row(
            Text(row["tenant"]),
            temper.habit if temper else "",
            *(f"{row[name]:,}" for name in ("base", "demand", "bid", "surplus")),
            _traded(row["bought"] - row["sold"]),
            f"{row['allocated']:,}",
            Text(f"{row['used']:,}", style="red" if over else ""),
            in_credits(row["charge"]),
        )
    if len(rows) > len(shown):
        table.add_row(Text(f"… and {len(rows) - len(shown):,} more", style="dim"))
    return table


def _traded(net: int) -> Text:
    """Bought less sold."""
    return Text(f"{net:+,}" if net else "", style="green" if net > 0 else "yellow")


def line(period: Period) -> str:
    """A closed period in one line."""
    traded = f"traded {period.traded:,} at {period.traded_at:,}" if period.traded else "nothing traded"
    return (
        f"period {period.period} ({period.start} UTC): utilisation {period.utilisation:.0%}, used {period.used:,}, "
        f"allocated {period.allocated:,} of {period.capacity:,} tokens, surplus at {period.price:,} nanocredits, {traded}"
    )


def sla(found: Boosts) -> str:
    """What the SLA loop did, in one line."""
    tenants = f"{found.tenants:,} tenant{'s' if found.tenants > 1 else ''} with an SLA"
    held = f"SLA loop: {tenants}, exceeded in {found.exceeded:,} of {found.periods:,} periods"
    if not found.most:
        return f"{held}; no base was moved"
    return (
        f"{held}; boosts of up to {found.most:,} tokens in {found.boosted:,} periods, lent by {found.payers:,} tenants; "
        f"{found.left:,} still lent at the end"
    )


def arrivals(rows: Sequence[Arrival]) -> Table:
    """The proof by counting."""
    table = Table(title="Events of this run, counted in ClickHouse", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("pool")
    table.add_column("event")
    for name in ("published", "landed", "lost", "doubled", "dead", ""):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(
            row.pool, row.kind, *(f"{n:,}" for n in (row.published, row.landed, row.lost, row.doubled, row.dead)), mark(row.exact)
        )
    return table


def sums(rows: Sequence[TenantSums]) -> Table:
    """Tokens per tenant, three times counted."""
    table = Table(title="Tokens by tenant", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("tenant")
    for name in ("published", "landed", "in periods", "credits", ""):
        table.add_column(name, justify="right")
    for row in rows[:SHOWN_TENANTS]:
        table.add_row(
            Text(row.tenant),
            *(f"{n:,}" for n in (row.published, row.landed, row.counted)),
            in_credits(row.charge),
            mark(row.exact),
        )
    if rest := rows[SHOWN_TENANTS:]:
        exact = all(row.exact for row in rest)
        table.add_row(
            f"{len(rest):,} more",
            f"{sum(row.published for row in rest):,}",
            f"{sum(row.landed for row in rest):,}",
            f"{sum(row.counted for row in rest):,}",
            in_credits(sum(row.charge for row in rest)),
            mark(exact),
        )
    return table


def mark(good: bool) -> Text:
    """Whether counts agree."""
    return Text("✓ exact", style="green") if good else Text("✗ differs", style="bold red")


def in_credits(nanocredits: int) -> str:
    """For people."""
    return f"{nanocredits / 1e9:,.4f}"
