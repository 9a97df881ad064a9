"""`bourse explain POOL PERIOD TENANT`: why a tenant got what it got, from the journal alone, and what would have changed it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import Annotated, Any

import typer
from clickhouse_connect.driver.exceptions import ClickHouseError
from rich.console import Console
from rich.progress import Progress, TaskID

from infra.backtest.journal import journal_of
from infra.broker import broker_answers
from infra.commands.progress import counted
from infra.explain_page import page
from processors.broken import BrokenJournalError
from processors.explain import Explained, NotToldError, PeriodRecord, UnknownTenantError, explained, journal_record
from schemas.model import Event
from streams.clickhouse import connect
from streams.errors import BadInput, Unavailable, UserError
from streams.period_rows import NAMED, PeriodRows
from streams.replay import FETCH_RECORDS, ReplayError, record_at
from streams.settings import Settings

LAST = "last"
CONNECT_S = 5.0
FILE_COLUMNS = 132
"""Width of the page where nobody's terminal limits it."""


def explain(
    pool: Annotated[str, typer.Argument(help="Id of the pool.")],
    period: Annotated[str, typer.Argument(help="Number of a closed period, or `last`.")],
    tenant: Annotated[str, typer.Argument(help="Id of the tenant.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    from_rows: Annotated[
        bool,
        typer.Option("--from-clickhouse", help="Read the period from ClickHouse: at once, but without a forecast's experts."),
    ] = False,
    searching: Annotated[
        bool, typer.Option("--what-if/--no-what-if", help="Search for what would have changed the outcome.")
    ] = True,
) -> None:
    """Tell why a tenant got what it got in a period: profile, forecast, bid, rank, caps, price, debt, trades, limits.

    Folds the journal from its beginning to the period's close; nothing else is needed. Then the nearest change of each input is
    searched that would have changed the outcome, by running the rule again.

    Exit code 1 if the recorded row is not what the rule gives, 2 if there is no such pool, period or tenant.
    """
    number = _number(period)
    settings = Settings.load()
    with counted(quiet=as_json) as shown:
        record = _of_clickhouse(settings, pool, number, tenant) if from_rows else _of_journal(settings, pool, number, tenant, shown)
        told = _told(record, tenant, shown, searching=searching)
    if as_json:
        typer.echo(json.dumps(as_object(told), indent=2, ensure_ascii=False))
    else:
        Console(width=None if sys.stdout.isatty() else FILE_COLUMNS).print(page(told))
    if not told.auction.proved:
        raise typer.Exit(1)


def as_object(told: Explained) -> dict[str, Any]:
    """Everything that is told, as JSON values."""
    said = asdict(told)
    return {**said.pop("auction"), "proved": told.auction.proved, **said.pop("around"), **said}


def _number(text: str) -> int | None:
    if text == LAST:
        return None
    if not text.isascii() or not text.isdigit() or int(text) >= 2**63:
        raise BadInput(f"period {text!r}: the number of a period or {LAST!r} is expected")
    return int(text)


def _of_journal(settings: Settings, pool: str, period: int | None, tenant: str, shown: Progress) -> PeriodRecord:
    config = settings.kafka_client_config()
    if not broker_answers(config, timeout_s=CONNECT_S):
        raise Unavailable(f"Kafka at {settings.kafka_bootstrap} does not answer; bourse up starts it, bourse status tells more")
    try:
        journal, _ = journal_of(config, settings.topic("journal"), pool)
        with journal.opened() as (name, length, records):
            task = shown.add_task("journal", total=length)
            record = journal_record(_decoded(records, name, shown, task), pool, period, tenant)
            shown.update(task, visible=False)
            return record
    except NotToldError as absent:
        raise BadInput(str(absent)) from absent
    except (ReplayError, BrokenJournalError) as error:
        raise UserError(f"nothing can be told: {error}") from error


def _decoded(records: Any, name: str, shown: Progress, task: TaskID) -> Iterator[tuple[int, Event]]:
    for read, (offset, data) in enumerate(records, 1):
        if read % FETCH_RECORDS == 0:
            shown.update(task, completed=read)
        yield offset, record_at(data, offset, name)


def _of_clickhouse(settings: Settings, pool: str, period: int | None, tenant: str) -> PeriodRecord:
    try:
        return PeriodRows(connect(settings), settings.clickhouse_database).record(pool, period, tenant)
    except NotToldError as absent:
        raise BadInput(str(absent)) from absent
    except ClickHouseError as error:
        where = settings.shown("clickhouse") or settings.clickhouse_url
        reason = (str(error) or type(error).__name__).splitlines()[0][:300]
        raise Unavailable(f"ClickHouse at {where}: {reason}; bourse status tells more") from error


def _told(record: PeriodRecord, tenant: str, shown: Progress, *, searching: bool) -> Explained:
    task = shown.add_task("what if", total=None, visible=searching)
    try:
        return explained(
            record, tenant, searching=searching, progress=lambda done, of: shown.update(task, completed=done, total=of)
        )
    except UnknownTenantError as unknown:
        inputs = record.inputs
        raise BadInput(
            f"tenant {tenant!r} has no row in period {inputs.period} of pool {inputs.pool!r}: {_some(inputs.rows['tenant'])}"
        ) from unknown


def _some(rows: Any) -> str:
    tenants = sorted(map(str, rows))
    more = f" and {len(tenants) - NAMED:,} more" if len(tenants) > NAMED else ""
    return f"it has rows of {', '.join(tenants[:NAMED])}{more}" if tenants else "it has no rows"
