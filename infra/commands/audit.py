"""`bourse audit`: what landed in ClickHouse is added up again, and compared with what the engine says."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from clickhouse_connect.driver.exceptions import ClickHouseError
from rich.console import Console
from rich.progress import Progress

from infra.audit.checks import CHECKS, run
from infra.audit.engine import compare
from infra.audit.lines import lines, windows
from infra.audit.page import as_json, show
from infra.audit.standing import opening
from infra.audit.store import AuditStore, Scope, scopes
from infra.audit.terms import fees
from infra.audit.verdict import Verdict
from infra.commands.progress import counted
from processors.audit_lines import Checkpoint
from processors.auditor import Auditor
from streams.errors import BadInput, Unavailable
from streams.settings import Settings


def audit(
    pool: Annotated[str | None, typer.Option("--pool", help="Id of one pool; all of them without.")] = None,
    first: Annotated[int | None, typer.Option("--from", min=0, help="First period. What stood before is taken as landed.")] = None,
    last: Annotated[int | None, typer.Option("--to", min=0, help="Last period, a closed one.")] = None,
    engine: Annotated[
        bool, typer.Option("--engine/--no-engine", help="Compare with the engine's accounts as they are now.")
    ] = True,
    json_wanted: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Prove the market's books: every posting, hold, order and trade, added up by code that shares nothing with the market's.

    Debits equal credits, no account is ever overdrawn, holds equal open orders, tokens are conserved, trades are settled and
    posted, deliveries and allocations fit. It may run beside a running system. Exit code 1 if anything does not hold.
    """
    if first is not None and last is not None and last < first:
        raise BadInput(f"--to {last} is before --from {first}")
    settings = Settings.load()
    try:
        verdicts = _verdicts(settings, (pool, first, last), engine=engine, quiet=json_wanted)
    except ClickHouseError as error:
        where = settings.shown("clickhouse") or settings.clickhouse_url
        reason = (str(error) or type(error).__name__).splitlines()[0][:300]
        raise Unavailable(f"ClickHouse at {where}: {reason}; bourse status tells more") from error
    if json_wanted:
        typer.echo(json.dumps(as_json(verdicts), indent=2, ensure_ascii=False))
    else:
        show(Console(), verdicts)
    if not all(verdict.clean for verdict in verdicts):
        raise typer.Exit(1)


def _verdicts(settings: Settings, wanted: tuple[str | None, int | None, int | None], *, engine: bool, quiet: bool) -> list[Verdict]:
    store = AuditStore(settings)
    try:
        verdicts = []
        for scope in scopes(store, *wanted):
            with counted("rows", quiet=quiet) as progress:
                verdict = _judged(store, scope, progress)
            verdict.engine = compare(store, scope, settings) if engine else None
            verdicts.append(verdict)
        return verdicts
    finally:
        store.close()


def _judged(store: AuditStore, scope: Scope, progress: Progress) -> Verdict:
    """The auditor over all lines of the scope, then the checks over whole tables."""
    charged = fees(store, scope)
    auditor = Auditor()
    if scope.after >= 0:
        auditor.begin(opening(store, scope, dict(charged)))
    planned = windows(store, scope)
    task = progress.add_task(f"pool {scope.pool}", total=sum(window.rows for window in planned))
    for window in planned:
        for line in lines(store, scope, window, charged):
            auditor.take(line)
        progress.advance(task, window.rows)
    auditor.take(Checkpoint())
    return Verdict(scope, auditor.report, [run(store, scope, check) for check in CHECKS])
