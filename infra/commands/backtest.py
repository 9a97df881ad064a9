"""`bourse backtest`: what another policy, or other settings of a pool, would have made of the recorded journal."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from infra.backtest.figures import Figures, figures
from infra.backtest.folding import Outcome, fold_all
from infra.backtest.journal import journal_of
from infra.backtest.page import notes, table
from infra.backtest.variants import Variant, variants
from infra.broker import broker_answers
from streams.errors import BadInput, Unavailable, UserError
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
            help="name=value of the pool, as in its command; several with commas hold together. Repeat it for more.",
        ),
    ] = None,
    pool: Annotated[str | None, typer.Option(help="Id of the pool. Default: the only one that the journal defines.")] = None,
    processes: Annotated[
        int | None, typer.Option(min=1, max=64, help="How many fold at once. Default: as many as processors.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all figures, of each period too, to this file.")] = None,
    plot_file: Annotated[Path | None, typer.Option("--plot", help="Write a picture to this PNG file.")] = None,
) -> None:
    """Fold the recorded journal again under other settings of a pool, and compare with what happened. Changes nothing.

    Every --policy is tried with every --set. A variant's settings hold from the journal's beginning, in every version of the pool.
    """
    tried = variants(policy or [], settings or [])
    _check(json_file, plot_file)
    found = _found(tried, pool, processes)
    _write(json_file, found)
    if plot_file:
        from infra.backtest.plot import picture  # noqa: PLC0415  a drawing library that only pictures need

        picture(found, plot_file)
    console = Console(width=None if sys.stdout.isatty() else FILE_COLUMNS)
    console.print(table(found))
    console.print(notes(found), markup=False, highlight=False, soft_wrap=True)


def _found(tried: list[Variant], pool: str | None, processes: int | None) -> Figures:
    settings = Settings.load()
    config = settings.kafka_client_config()
    if not broker_answers(config, timeout_s=CONNECT_S):
        raise Unavailable(f"Kafka at {settings.kafka_bootstrap} does not answer; bourse up starts it, bourse status tells more")
    try:
        journal, name = journal_of(config, settings.topic("journal"), pool)
        return figures(_folded(journal, tried, name, processes), name)
    except ReplayError as error:
        raise UserError(f"nothing can be told: {error}") from error


def _folded(journal: Any, tried: list[Variant], pool: str, processes: int | None) -> list[Outcome]:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TextColumn("records"))
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True, disable=not console.is_terminal) as shown:
        tasks = [shown.add_task(variant.name, total=None) for variant in tried]
        return fold_all(
            journal, tried, pool, lambda place, read, length: shown.update(tasks[place], completed=read, total=length), processes
        )


def _check(json_file: Path | None, plot_file: Path | None) -> None:
    """What is wrong with the files is told before the journal is folded, not after."""
    if plot_file and plot_file.suffix.lower() != ".png":
        raise BadInput(f"--plot {plot_file}: a name that ends in .png is expected")
    for option, path in (("--json", json_file), ("--plot", plot_file)):
        if path and path.is_dir():
            raise BadInput(f"{option} {path}: is a directory")
        if path and not path.parent.is_dir():
            raise BadInput(f"{option} {path}: no directory {path.parent}")


def _write(path: Path | None, found: Figures) -> None:
    if path is None:
        return
    try:
        path.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise BadInput(f"--json {path}: {error.strerror or error}") from error
