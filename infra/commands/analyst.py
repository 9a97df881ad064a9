"""`bourse analyst`: users of a ClickHouse server who may read our database and change nothing."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from infra.commands.on_clickhouse import client_of
from streams.analysts import LONGEST_S, MOST_MEMORY, create_analyst, drop_analyst, new_password
from streams.errors import BadInput
from streams.settings import Settings

Name = Annotated[str, typer.Argument(help="Name of the user in ClickHouse.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]

analyst = typer.Typer(
    name="analyst",
    add_completion=False,
    no_args_is_help=True,
    help="Make and remove users who may only read, on your ClickHouse server.",
)


@analyst.command()
def create(
    name: Name,
    *,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input; else one is made and printed once.")
    ] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Make a user of this name anew, with another password.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make a user who may SELECT from our database, with limits of time and memory.

    The password goes to the server as a salted hash only. Exit code 1 if the server lets us make no users.
    """
    settings = Settings.load()
    given = sys.stdin.readline().rstrip("\r\n") if password_stdin else ""
    if password_stdin and len(given) < 12:
        raise BadInput("the password on standard input has fewer than 12 characters")
    password = given or new_password()
    with client_of(settings) as client:
        create_analyst(client, settings.clickhouse_database, name, password, replace=replace)
    told = {"user": name, "database": settings.clickhouse_database, "url": settings.shown("clickhouse")}
    if as_json:
        typer.echo(json.dumps(told if given else told | {"password": password}))
        return
    typer.echo(
        f"{name} may read {settings.clickhouse_database} at {settings.shown('clickhouse') or settings.clickhouse_url}, "
        f"{LONGEST_S} s and {MOST_MEMORY >> 30} GiB for one query"
    )
    if not given:
        typer.echo(f"password, shown only now: {password}")


@analyst.command()
def drop(name: Name) -> None:
    """Remove such a user."""
    settings = Settings.load()
    with client_of(settings) as client:
        drop_analyst(client, name)
    typer.echo(f"there is no user {name} any more")
