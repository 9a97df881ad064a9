"""`bourse keys` and `bourse deposit`: what makes a tenant able to trade."""

from __future__ import annotations

import asyncio
import json
import shlex
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from infra.commands.api_keys import api
from infra.commands.market_trading import AsJson, Pool, Timeout, moment
from schemas.market import DepositCommand, KeyCommand, OperatorCommand
from streams.building import validated
from streams.errors import BadInput
from streams.operator_client import OperatorClient
from streams.settings import Settings
from streams.signatures import generate, public_key, read_private_key, write_private_key

From = Annotated[str | None, typer.Option("--from", help="Valid from then on: RFC 3339, milliseconds since 1970, or +5m from now.")]
Until = Annotated[str | None, typer.Option("--until", help="Not valid from then on.")]
Owner = Annotated[str, typer.Option("--tenant", help="Whose key it is.")]
Named = Annotated[str, typer.Argument(metavar="KEY", help="The public key, or the file of the private one.")]

keys = typer.Typer(
    name="keys",
    add_completion=False,
    no_args_is_help=True,
    help="Make, register and revoke tenants' signing keys; `api`: their API keys.",
)
keys.add_typer(api)


@keys.command()
def new(
    file: Annotated[Path, typer.Argument(help="Where the private key goes; only you may read it, and nothing is overwritten.")],
    *,
    register_it: Annotated[
        bool, typer.Option("--register", help="Register it, too: with --pool and --tenant, where you are the operator.")
    ] = False,
    pool: Annotated[str | None, typer.Option(help="Pool in which it will sign.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Whose key it will be.")] = None,
    valid_from: From = None,
    valid_until: Until = None,
    timeout: Timeout = 30.0,
    as_json: AsJson = False,
) -> None:
    """Make a key pair: the private key in a file, the public one for the operator to register.

    Each client that signs needs a key of its own; a tenant may have several.
    """
    owner = _owner(pool, tenant) if register_it else None
    private_key, public = generate()
    write_private_key(file, private_key)
    said: dict[str, Any] = {"file": str(file), "key": public}
    if owner is not None:
        command = _key_command(*owner, public, valid_from=valid_from, valid_until=valid_until)
        if not as_json:
            typer.echo(public)
        _do(command, timeout, {**said, "registered": True}, f"registered for {tenant} in {pool}", as_json=as_json)
        return
    asked = ["bourse", "keys", "register", pool or "POOL", public, "--tenant", tenant or "TENANT"]
    said["register"] = shlex.join(asked)
    typer.echo(json.dumps(said) if as_json else f"{public}\nregister it with: {said['register']}")


@keys.command()
def register(
    pool: Pool,
    key: Named,
    *,
    tenant: Owner,
    valid_from: From = None,
    valid_until: Until = None,
    timeout: Timeout = 30.0,
    as_json: AsJson = False,
) -> None:
    """Register a tenant's key, or limit one that is registered: it holds at once. For operators."""
    command = _key_command(pool, tenant, _public(key), valid_from=valid_from, valid_until=valid_until)
    _do(command, timeout, {"key": command.key, "registered": True}, f"registered for {tenant} in {pool}", as_json=as_json)


@keys.command()
def revoke(pool: Pool, key: Named, *, tenant: Owner, timeout: Timeout = 30.0, as_json: AsJson = False) -> None:
    """Take a tenant's key back: from now on nothing that it signed is taken. For operators."""
    command = _key_command(pool, tenant, _public(key), revoked=True)
    _do(command, timeout, {"key": command.key, "revoked": True}, f"revoked for {tenant} in {pool}", as_json=as_json)


def deposit(
    pool: Pool,
    tenant: Annotated[str, typer.Argument(help="Who paid it in.")],
    amount: Annotated[int, typer.Argument(min=1, help="Nanocredits: a billion is one credit.")],
    *,
    withdraw: Annotated[bool, typer.Option("--withdraw", help="It was paid out instead.")] = False,
    deposit_id: Annotated[
        str | None, typer.Option("--id", help="Books it once, however often you repeat; default: random.")
    ] = None,
    timeout: Timeout = 30.0,
    as_json: AsJson = False,
) -> None:
    """Book money that a tenant has paid in, or that was paid out to it. For operators. Exit code 1 if it was refused."""
    said = {"pool": pool, "tenant": tenant, "amount": -amount if withdraw else amount}
    command = validated(DepositCommand, {"id": deposit_id or str(uuid.uuid4()), **said})
    done = f"{amount:,} nanocredits {'paid out to' if withdraw else 'booked for'} {tenant} in {pool}"
    _do(command, timeout, {"id": command.id, **said}, done, as_json=as_json)


def _owner(pool: str | None, tenant: str | None) -> tuple[str, str]:
    if pool is None or tenant is None:
        raise BadInput("--register needs --pool and --tenant: where, and whose key it is")
    return pool, tenant


def _key_command(
    pool: str, tenant: str, key: str, *, valid_from: str | None = None, valid_until: str | None = None, revoked: bool = False
) -> KeyCommand:
    times = {"valid_from": valid_from, "valid_until": valid_until}
    fields: dict[str, Any] = {name: moment(text) for name, text in times.items() if text is not None}
    return validated(
        KeyCommand, {"id": str(uuid.uuid4()), "pool": pool, "tenant": tenant, "key": key, "revoked": revoked, **fields}
    )


def _public(named: str) -> str:
    """The public key that an argument is, or that goes with the private one in the file that it names."""
    path = Path(named)
    return public_key(read_private_key(path)) if path.is_file() else named


def _do(command: OperatorCommand, timeout: float, said: dict[str, Any], done: str, *, as_json: bool) -> None:
    """Has the engine do it, and tells what came of it; exit code 1 if it refused."""

    async def ask() -> Any:
        async with OperatorClient(command.pool, Settings.load()) as operator:
            return await operator.command(command, timedelta(seconds=timeout))

    refused = asyncio.run(ask())
    if as_json:
        refusal = {} if refused is None else {"reason": refused.reason, "detail": refused.detail}
        typer.echo(json.dumps({**said, "status": "done" if refused is None else "refused", **refusal}, ensure_ascii=False))
    elif refused is None:
        typer.echo(done)
    else:
        Console(stderr=True).print(f"refused: {refused.reason}; {refused.detail}", style="red", markup=False, soft_wrap=True)
    if refused is not None:
        raise typer.Exit(1)
