"""`bourse rollups`: how fresh usage_by_minute, allocations_by_hour and the others are, and how to have them fresher."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from infra.commands.on_clickhouse import client_of
from streams.errors import UserError
from streams.rollups import Refreshed, how_fresh, rebuild, refresh
from streams.settings import Settings

LONGEST_S = 3600.0
"""How long a refresh may take; it goes on in ClickHouse if we stop waiting."""


def rollups(
    *,
    now: Annotated[bool, typer.Option("--refresh", help="Bring them up to date first, and wait for it.")] = False,
    anew: Annotated[
        bool, typer.Option("--rebuild", help="Compute them anew from all events and facts that are there, and wait for it.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array.")] = False,
) -> None:
    """Show when ClickHouse brought each rollup up to date. Exit code 1 if one failed, or ClickHouse is down."""
    settings = Settings.load()
    with client_of(settings, LONGEST_S) as client:
        if anew:
            rebuild(client, settings.clickhouse_database, settings.upkeep)
        if now or anew:
            refresh(client, settings.clickhouse_database)
        found = how_fresh(client, settings.clickhouse_database)
    if as_json:
        typer.echo(json.dumps([asdict(each) for each in found], default=str, indent=2))
    else:
        Console().print(_table(found))
    if failed := [each for each in found if each.failure]:
        raise UserError("; ".join(f"{each.name}: {each.failure}" for each in failed))
    if not found:
        raise UserError("there are no rollups yet: bourse up makes them")


def _table(found: list[Refreshed]) -> Table:
    table = Table("rollup", "rows", "as of", "next", "took", header_style="bold")
    for each in found:
        table.add_row(
            each.name,
            f"{each.rows:,}",
            str(each.succeeded or "–"),
            str(each.next or "–"),
            "–" if each.took_ms is None else f"{each.took_ms / 1000:.1f} s",
            style="yellow" if each.failure else None,
        )
    return table
