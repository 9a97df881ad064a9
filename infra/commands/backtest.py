"""`bourse backtest`: what another policy, or other settings of a pool, would have made of the recorded journal."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from clickhouse_connect.driver.exceptions import ClickHouseError
from rich.console import Console

from infra.backtest.figures import Figures, figures
from infra.backtest.folding import Outcome, fold_all
from infra.backtest.journal import KafkaJournal, journal_of
from infra.backtest.page import notes, table
from infra.backtest.record import Place, record
from infra.backtest.stretch import Stretch, stretch_of
from infra.backtest.variants import Variant, variants
from infra.broker import broker_answers
from infra.commands.figure_files import JsonFile, PlotFile, check_files, write_figures
from infra.commands.progress import counted
from streams.clickhouse import connect
from streams.errors import Unavailable, UserError
from streams.replay import ReplayError
from streams.settings import Settings

CONNECT_S = 5.0
FILE_COLUMNS = 160
"""Width of the table where nobody's terminal limits it."""


def backtest(
    *,
    policy: Annotated[list[str] | None, typer.Option(help="Divide the surplus by this; repeat it to compare several.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="name=value of the pool, as in its command, or of a part: sla.enabled=false; several with commas hold together. "
            "Repeat it for more.",
        ),
    ] = None,
    pool: Annotated[str | None, typer.Option(help="Id of the pool. Default: the only one that the journal defines.")] = None,
    processes: Annotated[
        int | None, typer.Option(min=1, max=64, help="How many fold at once. Default: as many as processors.")
    ] = None,
    json_file: JsonFile = None,
    plot_file: PlotFile = None,
    start: Annotated[str | None, typer.Option("--from", help="First period that is measured: its number, or a moment.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="The last one, by number; or the moment before which it starts.")] = None,
    keep: Annotated[bool, typer.Option("--record", help="Keep the figures in ClickHouse: table backtests.")] = False,
) -> None:
    """Fold the recorded journal again under other settings of a pool, and compare with what happened. Changes nothing of it.

    Every --policy is tried with every --set. A variant's settings hold from the journal's beginning, in every version of the pool,
    also where only a stretch of it is measured.
    """
    tried = variants(policy or [], settings or [])
    stretch = stretch_of(start, end)
    check_files(json_file, plot_file)
    use = Settings.load()
    with _told_plainly():
        journal, name = _journal(use, pool)
        outcomes = _folded(journal, tried, name, processes=processes, stretch=stretch)
    found = figures(outcomes, name)
    write_figures(json_file, found)
    kept = _record(use, journal, found, outcomes) if keep else None
    if plot_file:
        from infra.backtest.plot import picture  # noqa: PLC0415  a drawing library that only pictures need

        picture(found, plot_file)
    console = Console(width=None if sys.stdout.isatty() else FILE_COLUMNS)
    console.print(table(found))
    console.print(notes(found), markup=False, highlight=False, soft_wrap=True)
    if kept:
        console.print(f"Kept as {kept} in {use.clickhouse_database}.backtests.", markup=False, highlight=False, soft_wrap=True)


@contextmanager
def _told_plainly() -> Iterator[None]:
    try:
        yield
    except ReplayError as error:
        raise UserError(f"nothing can be told: {error}") from error


def _journal(settings: Settings, pool: str | None) -> tuple[KafkaJournal, str]:
    config = settings.kafka_client_config()
    if not broker_answers(config, timeout_s=CONNECT_S):
        raise Unavailable(f"Kafka at {settings.kafka_bootstrap} does not answer; bourse up starts it, bourse status tells more")
    return journal_of(config, settings.topic("journal"), pool)


def _record(settings: Settings, journal: KafkaJournal, found: Figures, outcomes: list[Outcome]) -> str:
    now_ms = int(time.time() * 1000)
    try:
        place = Place(journal.topic, journal.partition, settings.clickhouse_database, settings.upkeep)
        return record(connect(settings), place, found, outcomes, now_ms)
    except ClickHouseError as error:
        where = settings.shown("clickhouse") or settings.clickhouse_url
        reason = (str(error) or type(error).__name__).splitlines()[0][:300]
        raise Unavailable(f"ClickHouse at {where}: {reason}; bourse status tells more") from error


def _folded(journal: Any, tried: list[Variant], pool: str, *, processes: int | None, stretch: Stretch) -> list[Outcome]:
    with counted("records") as shown:
        tasks = [shown.add_task(variant.name, total=None) for variant in tried]
        return fold_all(
            journal,
            tried,
            pool,
            lambda place, read, length: shown.update(tasks[place], completed=read, total=length),
            processes=processes,
            stretch=stretch,
        )
