"""`bourse keys api`: the keys with which tenants ask a gateway."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from infra.commands.market_trading import AsJson
from schemas.access import ApiKey
from streams import api_keys
from streams.settings import Settings

api = typer.Typer(
    name="api", add_completion=False, no_args_is_help=True, help="Issue and revoke the keys with which tenants ask gateways."
)


@api.command()
def issue(
    tenant: Annotated[str, typer.Argument(help="Whose requests come with it.")],
    *,
    pool: Annotated[
        list[str] | None, typer.Option(help="A pool that it opens; several times for several; default: every pool.")
    ] = None,
    label: Annotated[str, typer.Option(help="For people: where it is used.")] = "",
    as_json: AsJson = False,
) -> None:
    """Make a key and show it: this once, as only its digest is kept. It opens what it names within a second, on every gateway."""
    issued = asyncio.run(api_keys.issue(Settings.load(), tenant, pool or (), label))
    typer.echo(json.dumps({"secret": issued.secret, **_said(issued.key)}, ensure_ascii=False) if as_json else issued.secret)


@api.command("list")
def list_keys(as_json: AsJson = False) -> None:
    """All keys, revoked ones as well."""
    known = asyncio.run(api_keys.read_keys(Settings.load())).values()
    keys = sorted(known, key=lambda key: (key.tenant, key.issued_at, key.id))
    if as_json:
        typer.echo(json.dumps([_said(key) for key in keys], ensure_ascii=False))
        return
    table = Table("id", "tenant", "pools", "label", "issued", "revoked", header_style="bold")
    for key in keys:
        named = (key.id, key.tenant, ", ".join(key.pools) or "all", key.label)
        revoked = "" if key.revoked_at is None else _moment(key.revoked_at)
        table.add_row(*map(escape, named), _moment(key.issued_at), revoked, style="dim" if revoked else None)
    Console().print(table)


@api.command()
def revoke(
    name: Annotated[str, typer.Argument(metavar="ID", help="The key's id, or the key itself.")], *, as_json: AsJson = False
) -> None:
    """Take a key back: within a second it opens nothing on any gateway. Requests that run go on."""
    key = asyncio.run(api_keys.revoke(Settings.load(), name))
    typer.echo(json.dumps(_said(key), ensure_ascii=False) if as_json else f"{key.id} of {key.tenant} is revoked")


def _said(key: ApiKey) -> dict[str, Any]:
    return key.model_dump(exclude={"digest"})


def _moment(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
