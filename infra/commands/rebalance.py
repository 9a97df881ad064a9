"""`bourse rebalance POOL`: bases move a step towards long-term use, now; or what that would do.

It does what the planner does every hour: reads from ClickHouse what tenants used (streams/history.py) and proposes what they need.
What comes of it is computed by the engine's own functions on the state that the pool's journal gives up to now.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Annotated

import typer
from clickhouse_connect.driver.exceptions import ClickHouseError
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from infra.backtest.journal import journal_of
from infra.broker import broker_answers
from infra.commands.market_trading import AsJson, Timeout
from infra.commands.progress import counted
from processors.broken import BrokenJournalError
from processors.engine import facts_of
from processors.history import History
from processors.state import PartitionState
from schemas.facts import CommandRefused
from schemas.loop_facts import BaseChanges, NeedsTaken
from schemas.planning import RebalanceCommand
from streams.clickhouse import connect
from streams.errors import BadInput, Unavailable, UserError
from streams.history import HOUR_S, Reader, hours_to_read
from streams.operator_client import OperatorClient
from streams.planner import rebalance as proposal
from streams.replay import FETCH_RECORDS, ReplayError, record_at
from streams.settings import Settings

CONNECT_S = 5.0
FILE_COLUMNS = 110
"""Width of the table where nobody's terminal limits it."""
SHOWN = 40
"""Most rows of the table: those that move most."""


@dataclass(frozen=True, slots=True)
class Row:
    """One tenant of a proposal: tokens per period. `base` and `after` with what the SLA loop has moved."""

    tenant: str
    need: int
    base: int
    after: int


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """What the engine would make of a proposal: rows in the order of their tenants' ids, or why it would refuse it."""

    rows: list[Row]
    refused: CommandRefused | None = None
    known: bool = False
    """It has taken this proposal already."""


def rebalance(
    pool: Annotated[str | None, typer.Argument(help="Id of the pool. Default: the only one that there is.")] = None,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the proposal; publish nothing.")] = False,
    timeout: Timeout = 30.0,
    as_json: AsJson = False,
) -> None:
    """Move bases one bounded step towards what tenants need in the long run, and show who gives and who gets.

    A need is a high quantile of what a tenant used over the look-back. Nothing that was contracted or is sold forward moves. The
    planner does the same every hour; the engine takes each hour's proposal once.

    Exit code 1 if the engine refuses it, 2 if there is no such pool.
    """
    settings = Settings.load()
    with counted(quiet=as_json) as shown:
        pool, commands = _proposal(settings, pool, shown)
        rehearsed = _rehearse(settings, pool, commands, shown)
    refused = rehearsed.refused
    if refused is None and not dry_run and not rehearsed.known:
        for command in commands:
            asyncio.run(_publish(settings, command, timedelta(seconds=timeout)))
    status = "refused" if refused else "nothing known" if not commands else "taken before" if rehearsed.known else ""
    status = status or ("proposed" if dry_run else "done")
    if as_json:
        said = {} if refused is None else {"reason": str(refused.reason), "detail": refused.detail}
        typer.echo(json.dumps({"pool": pool, "status": status, **said, "rows": [asdict(row) for row in rehearsed.rows]}))
    else:
        _print(pool, rehearsed, status)
    if refused is not None:
        raise typer.Exit(1)


def rehearse(records: Iterable[tuple[int, RebalanceCommand]], state: PartitionState) -> Rehearsed:
    """What a state makes of a proposal's commands; the state is changed by it.

    Args:
        records: (journal offset, command) behind what the state was folded from.
        state: of the pool's journal partition.
    """
    rows: list[Row] = []
    needs: dict[str, int] = {}
    known = True
    for offset, command in records:
        for fact in facts_of(state, command, offset):
            known = False
            if isinstance(fact, CommandRefused):
                return Rehearsed([], fact)
            if isinstance(fact, NeedsTaken):
                needs |= dict(zip(fact.tenant, fact.need, strict=True))
            if isinstance(fact, BaseChanges):
                columns = zip(fact.tenant, fact.before, fact.after, strict=True)
                rows += [Row(tenant, needs[tenant], before, after) for tenant, before, after in columns]
    return Rehearsed(rows, known=known)


def table_of(pool: str, rows: list[Row]) -> Table:
    """For people: those that move most, givers and takers by amount."""
    moving = sorted(rows, key=lambda row: (-abs(row.after - row.base), row.tenant))
    gave = sum(row.base - row.after for row in rows if row.after < row.base)
    title = f"{escape(pool)}: {gave:,} tokens a period move, {len(rows):,} bases change"
    more = len(rows) - SHOWN
    table = Table(title=title, header_style="bold", caption=f"and {more:,} that change less" if more > 0 else None)
    table.add_column("tenant")
    for heading in ("needs", "base", "moves by", "base after"):
        table.add_column(heading, justify="right")
    for row in moving[:SHOWN]:
        table.add_row(escape(row.tenant), f"{row.need:,}", f"{row.base:,}", f"{row.after - row.base:+,}", f"{row.after:,}")
    return table


def _proposal(settings: Settings, pool: str | None, shown: Progress) -> tuple[str, list[RebalanceCommand]]:
    """The pool, and its commands as of the last hour that has landed whole; none if nobody's need is known."""
    reader = Reader(settings.clickhouse_database)
    try:
        client = connect(settings)
        found = {each.pool: each for each in reader.pools(client)}
        pool = _chosen(pool, sorted(found))
        closed = found[pool]
        terms = reader.rebalancing(client, closed)
        if terms is None:
            raise BadInput(f"pool {pool!r} has rebalancing switched off; its command's rebalance.enabled says so")
        as_of_s = closed.end_s // HOUR_S * HOUR_S
        history = History(closed.period_s, terms.look_back_h)
        hours = hours_to_read(history, closed, as_of_s)
        for hour in shown.track(hours, len(hours), description="history"):
            used = reader.hour(client, closed, hour)
            history.take(hour, used.tenant, used.tokens)
        return pool, list(proposal(pool, as_of_s, history, reader.standings(client, closed), terms))
    except ClickHouseError as error:
        where = settings.shown("clickhouse") or settings.clickhouse_url
        reason = (str(error) or type(error).__name__).splitlines()[0][:300]
        raise Unavailable(f"ClickHouse at {where}: {reason}; bourse status tells more") from error


def _chosen(pool: str | None, landed: list[str]) -> str:
    """The pool that is named, or the only one of those of which a closed period has landed."""
    if pool is None and len(landed) == 1:
        return landed[0]
    if pool in landed:
        return pool
    said = "say which pool" if pool is None else f"no closed period of pool {pool!r} has landed in ClickHouse"
    raise BadInput(f"{said}; there are: {', '.join(landed) or 'none'}")


def _rehearse(settings: Settings, pool: str, commands: list[RebalanceCommand], shown: Progress) -> Rehearsed:
    if not commands:
        return Rehearsed([])
    config = settings.kafka_client_config()
    if not broker_answers(config, timeout_s=CONNECT_S):
        raise Unavailable(f"Kafka at {settings.kafka_bootstrap} does not answer; bourse up starts it, bourse status tells more")
    state, behind = PartitionState(), 0
    try:
        journal, _ = journal_of(config, settings.topic("journal"), pool)
        with journal.opened() as (name, length, records):
            task = shown.add_task("journal", total=length)
            for read, (offset, data) in enumerate(records):
                for _ in facts_of(state, record_at(data, offset, name), offset):
                    pass
                behind = offset + 1
                if read % FETCH_RECORDS == 0:
                    shown.update(task, completed=read)
    except (ReplayError, BrokenJournalError) as error:
        raise UserError(f"the journal can't be folded: {error}") from error
    return rehearse(_numbered(commands, behind), state)


def _numbered(commands: list[RebalanceCommand], first: int) -> Iterator[tuple[int, RebalanceCommand]]:
    return ((first + place, command) for place, command in enumerate(commands))


async def _publish(settings: Settings, command: RebalanceCommand, patience: timedelta) -> None:
    async with OperatorClient(command.pool, settings) as operator:
        refused = await operator.command(command, patience)
    if refused is not None:
        raise UserError(f"refused: {refused.reason}; {refused.detail}")


def _print(pool: str, rehearsed: Rehearsed, status: str) -> None:
    console = Console(width=None if sys.stdout.isatty() else FILE_COLUMNS)
    refused = rehearsed.refused
    if refused is not None:
        Console(stderr=True).print(f"refused: {refused.reason}; {refused.detail}", style="red", markup=False, soft_wrap=True)
        return
    told = {
        "nothing known": "nobody was observed in enough hours for a need to be known; nothing moves",
        "taken before": "the engine has taken this hour's proposal already",
        "proposed": "nothing was published; without --dry-run it holds from the next period on",
        "done": "published and taken: it holds from the next period on",
    }
    if rehearsed.rows:
        console.print(table_of(pool, rehearsed.rows))
    elif status in {"proposed", "done"}:
        console.print("no base moves: all are where they are needed, or nobody has anything to give", soft_wrap=True)
    console.print(told[status], markup=False, soft_wrap=True)
