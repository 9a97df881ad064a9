"""What the demo shows of its token pool: how far it is, and at the end what tiers came to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from infra.demo.gateway import Gateway
from infra.demo.store import Entitlement
from infra.demo.view import NARROW, mark


def line(gateway: Gateway, act: str) -> str:
    """The token pool now."""
    counts = (sum(each.values()) for each in (gateway.admitted, gateway.refused, gateway.stopped))
    admitted, refused, stopped = (f"{count:,}" for count in counts)
    told = f"{admitted} admitted, {refused} refused, {stopped} stopped, {gateway.in_flight} running"
    return f"token pool: {told}; {act}" if act else f"token pool: {told}"


def entitlements(rows: Sequence[Entitlement], counted: Mapping[str, tuple[int, int, int]]) -> Group:
    """A line for each tenant.

    Args:
        rows: from ClickHouse.
        counted: by the gateway: admitted, refused, stopped.
    """
    table = Table(box=box.SIMPLE_HEAD, **{**NARROW, "padding": 0})
    table.add_column("tenant")
    table.add_column("tier", style="dim")
    for name in ("admitted", "stopped", "own", "tokens", "blocks", "slots", "debt", "now"):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(
            Text(row.tenant),
            row.tier,
            *(_count(n) for n in (row.admitted, row.stopped, row.own, *row.pool)),
            *(f"{n:+,}" if n else "" for n in (max(row.most_owed, row.most_owing, key=abs), row.owed)),
        )
    return Group(
        Text("The token pool of this run, from ClickHouse", style="italic"),
        Text(
            "Requests that were admitted, stopped for others, and refused: by the tenant's\n"
            "own limit, or as the pool had no tokens, KV-cache blocks or slots for its tier.\n"
            "Debt, at its most and now: tokens that it is owed; below 0, that it owes.",
            style="dim",
        ),
        table,
        Text("  The gateway counted the same: ", style="dim").append_text(mark(agrees(rows, counted))),
        Text(),
    )


def agrees(rows: Sequence[Entitlement], counted: Mapping[str, tuple[int, int, int]]) -> bool:
    """Whether what landed is what the gateway counted."""
    return {row.tenant: (row.admitted, row.refused, row.stopped) for row in rows} == dict(counted)


def _count(requests: int) -> str:
    return f"{requests:,}" if requests else ""
