"""`bourse bots`: trading bots that act in the engine: which there are, how one is set, and what one would have done."""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from clickhouse_connect.driver.exceptions import ClickHouseError
from pydantic import TypeAdapter, ValidationError
from rich.console import Console

from infra.bots_page import bots_table, rehearsal_page, rehearsal_said
from infra.broker import broker_answers
from infra.commands.market_trading import AsJson, KeyFile, Timeout, Wait
from infra.commands.progress import counted
from processors.bots.rehearsal import Rehearsal
from processors.bots.settings import fault
from schemas.market import BotCommand
from schemas.units import Time
from streams.building import validated
from streams.clickhouse import connect
from streams.errors import BadInput, Unavailable, UserError
from streams.rehearsing import rehearse
from streams.replay import ReplayError
from streams.settings import Settings
from streams.tenant_client import TenantClient

CONNECT_S = 5.0

# {db} becomes the database. Of each bot its newest settings, and what it did and told last.
LIST = (
    "SELECT b.pool AS pool, b.tenant AS tenant, b.name AS name, b.strategy AS strategy, b.enabled AS enabled, "
    "b.first_ahead AS first_ahead, b.last_ahead AS last_ahead, toUnixTimestamp64Milli(b.time) AS since, "
    "a.placed AS orders, toUnixTimestamp64Milli(a.acted) AS acted, a.last_action AS action, a.why AS reason, a.told AS detail "
    "FROM (SELECT * FROM {db}.bots ORDER BY journal_offset DESC LIMIT 1 BY pool, tenant, name) AS b "
    "LEFT JOIN (SELECT pool, tenant, bot, countIf(action = 'placed') AS placed, max(time) AS acted, "
    "argMax(action, (journal_offset, fact_index, record_row)) AS last_action, "
    "argMaxIf(reason, (journal_offset, fact_index, record_row), action = 'rests') AS why, "
    "argMaxIf(detail, (journal_offset, fact_index, record_row), action = 'rests') AS told "
    "FROM {db}.bot_actions WHERE action != 'rejected' GROUP BY pool, tenant, bot) AS a "
    "ON a.pool = b.pool AND a.tenant = b.tenant AND a.bot = b.name "
    "WHERE ({pool:String} = '' OR b.pool = {pool:String}) AND ({tenant:String} = '' OR b.tenant = {tenant:String}) "
    "ORDER BY pool, tenant, name"
)

File = Annotated[str, typer.Argument(help="JSON file with the bot's settings; - for standard input.")]
InPool = Annotated[str | None, typer.Option("--pool", help="Id of the pool. Default: the file's.")]
OfTenant = Annotated[str | None, typer.Option("--tenant", help="Whose bot it is. Default: the file's, else BOURSE_TENANT.")]

_TIME: TypeAdapter[int] = TypeAdapter(Time)

bots = typer.Typer(name="bots", add_completion=False, no_args_is_help=True, help="Trading bots that act in the engine.")


@bots.command("list")
def list_all(
    pool: Annotated[str | None, typer.Argument(help="Only of this pool.")] = None,
    *,
    tenant: Annotated[str | None, typer.Option(help="Only of this tenant.")] = None,
    as_json: AsJson = False,
) -> None:
    """Which bots there are, as ClickHouse has them: settings in force, and what each did and told last."""
    settings = Settings.load()
    text = LIST.replace("{db}", f"`{settings.clickhouse_database}`")
    try:
        found = connect(settings).query(text, parameters={"pool": pool or "", "tenant": tenant or ""})
    except ClickHouseError as error:
        where = settings.shown("clickhouse") or settings.clickhouse_url
        reason = (str(error) or type(error).__name__).splitlines()[0][:300]
        raise Unavailable(f"ClickHouse at {where}: {reason}; bourse status tells more") from error
    rows: list[dict[str, Any]] = list(found.named_results())
    if as_json:
        typer.echo(json.dumps({"bots": rows}, ensure_ascii=False))
    else:
        Console().print(bots_table(rows) if rows else "there are no bots")


@bots.command("set")
def set_one(
    file: File,
    *,
    pool: InPool = None,
    tenant: OfTenant = None,
    key: KeyFile = None,
    wait: Wait = True,
    timeout: Timeout = 30.0,
    as_json: AsJson = False,
) -> None:
    """Set a bot: new, or in place of the one of its name, which takes its orders back first.

    Exit code 0 if it holds from the next tick on, 1 if it was rejected or not decided in time, 2 if it could be no bot.
    """
    settings = Settings.load()
    command = _command(settings, file, pool, tenant)
    outcome = asyncio.run(_set(settings, command, key, timedelta(seconds=timeout) if wait else None))
    status = "acknowledged" if outcome is None else str(outcome.status)
    said = {"pool": command.pool, "tenant": command.tenant, "name": command.name, "status": status}
    rejected = outcome is not None and outcome.rejected
    if as_json:
        why = {} if outcome is None else {"reason": outcome.reason, "field": outcome.field, "detail": outcome.detail}
        typer.echo(json.dumps({**said, **why}, ensure_ascii=False))
    elif outcome is not None and rejected:
        line = f"rejected: {outcome.reason}; {outcome.field}: {outcome.detail}"
        Console(stderr=True).print(line, style="red", markup=False, soft_wrap=True)
    else:
        typer.echo(f"{command.name}: {'set' if wait else status}; bourse bots list {command.pool} tells what it does")
    if rejected:
        raise typer.Exit(1)


@bots.command("test")
def try_out(
    file: File,
    *,
    history: Annotated[bool, typer.Option("--history", help="Try it on the recorded journal.")] = False,
    pool: InPool = None,
    tenant: OfTenant = None,
    since: Annotated[
        str | None, typer.Option("--from", help="Set it then: RFC 3339 or milliseconds since 1970; default: as early as can be.")
    ] = None,
    until: Annotated[str | None, typer.Option("--to", help="End before then; default: where the journal ends.")] = None,
    as_json: AsJson = False,
) -> None:
    """Check a bot's settings; with --history tell what it would have done, and what that would have changed. Changes nothing.

    The recorded journal is folded twice, as it is and with the bot in it. What others ordered and used stands as it was recorded;
    perhaps they would have acted otherwise. Exit code 2 if the settings would be refused.
    """
    settings = Settings.load()
    command = _command(settings, file, pool, tenant)
    if not history:
        found = fault(command)
        if found is not None:
            raise BadInput(f"{found.field}: {found.detail}")
        typer.echo(json.dumps({"good": True}) if as_json else f"{command.name}: good settings; --history tries them on the journal")
        return
    rehearsal = _rehearsed(settings, command, _moment("--from", since), _moment("--to", until), quiet=as_json)
    if as_json:
        typer.echo(json.dumps(rehearsal_said(rehearsal), indent=2, ensure_ascii=False))
    else:
        rehearsal_page(Console(), rehearsal)


async def _set(settings: Settings, command: BotCommand, key: Path | None, patience: timedelta | None) -> Any:
    async with TenantClient(command.tenant, pool=command.pool, key=key, settings=settings) as client:
        ticket = await client.send(command)
        return None if patience is None else await ticket.outcome(patience)


def _command(settings: Settings, file: str, pool: str | None, tenant: str | None) -> BotCommand:
    """The bot of a file. Pool and tenant of the command line count more than the file's, and these more than BOURSE_TENANT.

    Raises:
        BadInput: the file can't be read, is no JSON object, or no bot could have a field of it.
    """
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
        said = json.loads(text)
    except OSError as error:
        raise BadInput(f"{file}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{file}: no JSON: {error}") from error
    if not isinstance(said, dict):
        raise BadInput(f"{file}: one JSON object is expected")
    fields = {"id": secrets.token_hex(8), **({} if settings.tenant is None else {"tenant": settings.tenant}), **said}
    fields |= {name: value for name, value in (("pool", pool), ("tenant", tenant)) if value is not None}
    return validated(BotCommand, fields)


def _moment(option: str, text: str | None) -> int | None:
    """Milliseconds since 1970.

    Raises:
        BadInput: it is no time.
    """
    if text is None:
        return None
    try:
        return _TIME.validate_python(int(text) if text.isascii() and text.isdigit() else text)
    except ValidationError as wrong:
        raise BadInput(
            f"{option} {text}: RFC 3339, such as 2026-01-31T12:00:00Z, or milliseconds since 1970 is expected"
        ) from wrong


def _rehearsed(settings: Settings, command: BotCommand, since: int | None, until: int | None, *, quiet: bool) -> Rehearsal:
    config = settings.kafka_client_config()
    if not broker_answers(config, timeout_s=CONNECT_S):
        raise Unavailable(f"Kafka at {settings.kafka_bootstrap} does not answer; bourse up starts it, bourse status tells more")
    with counted("records", quiet=quiet) as shown:
        task = shown.add_task("journal")

        def progress(done: int, of: int) -> None:
            shown.update(task, completed=done, total=of)

        try:
            return rehearse(config, settings.topic("journal"), command, progress, from_ms=since, to_ms=until)
        except ReplayError as error:
            raise UserError(f"nothing can be told: {error}") from error
