"""`bourse simulate`: the rules of token pools on a modelled GPU, and the loops that move bases, against what else one could do."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from infra.commands.figure_files import JsonFile, PlotFile, check_files, write_figures
from infra.simulate import fairness as fairness_experiment
from infra.simulate import loop_plot, loop_report, plot, report, scaling_plot, scaling_report
from infra.simulate import overload as overload_experiment
from infra.simulate import rebalance as rebalance_experiment
from infra.simulate import scaling as scaling_experiment
from infra.simulate import sla as sla_experiment
from infra.simulate.machine import BATCHED_TOKENS, SEQUENCES, Machine
from infra.simulate.scaling import START_S
from infra.simulate.workloads import Trace, read

FILE_COLUMNS = 130
"""Width of the tables where nobody's terminal limits it."""
SHORTEST_S, LONGEST_S = 30, 7200
"""In less, a P99 stands on a handful of requests; more takes longer than a meal."""

Outcome = TypeVar("Outcome")

simulate = typer.Typer(
    name="simulate",
    add_completion=False,
    no_args_is_help=True,
    help="Try the rules of token pools on a modelled GPU, and the loops that move bases.",
)

Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="The same seed gives the same figures.")]
Seconds = Annotated[int, typer.Option(min=SHORTEST_S, max=LONGEST_S, help="How long requests arrive, in simulated seconds.")]
TraceFile = Annotated[
    Path | None, typer.Option("--trace", help="Take the requests' sizes from this trace: an Azure LLM CSV or a ServeGen Parquet.")
]
Sequences = Annotated[int, typer.Option(min=1, max=BATCHED_TOKENS - 1, help="Requests that a replica runs at once (max_num_seqs).")]


@simulate.command()
def overload(
    *,
    seed: Seed = 1,
    seconds: Seconds = 600,
    json_file: JsonFile = None,
    plot_file: PlotFile = None,
    trace_file: TraceFile = None,
    sequences: Sequences = SEQUENCES,
) -> None:
    """A guaranteed tenant, and spot traffic of several times the capacity, under token pools and three baselines."""
    machine = Machine(sequences=sequences)
    figures = _told(
        "overload",
        (json_file, plot_file),
        lambda progress: overload_experiment.simulate(seed, seconds, trace=_trace(trace_file), machine=machine, progress=progress),
        figures_of=report.overload_figures,
        draw=plot.overload_picture,
        table_of=report.overload_table,
    )
    _console().print(report.overload_notes(figures), markup=False, highlight=False, soft_wrap=True)


@simulate.command()
def fairness(
    *,
    seed: Seed = 1,
    seconds: Seconds = 1800,
    json_file: JsonFile = None,
    plot_file: PlotFile = None,
    trace_file: TraceFile = None,
    sequences: Sequences = SEQUENCES,
) -> None:
    """Elastic tenants of different weights, sizes and patience when half of the pool is lost: with debt and without."""
    machine = Machine(sequences=sequences)
    figures = _told(
        "fairness",
        (json_file, plot_file),
        lambda progress: fairness_experiment.simulate(seed, seconds, trace=_trace(trace_file), machine=machine, progress=progress),
        figures_of=report.fairness_figures,
        draw=plot.fairness_picture,
        table_of=report.fairness_table,
    )
    _console().print(report.fairness_notes(figures), markup=False, highlight=False, soft_wrap=True)


@simulate.command()
def sla(
    *,
    seed: Seed = 1,
    periods: Annotated[int, typer.Option(min=30, max=10_000, help="How many periods of a minute.")] = sla_experiment.PERIODS,
    json_file: JsonFile = None,
    plot_file: PlotFile = None,
) -> None:
    """The SLA loop on a step of load, a ramp, and a latency that tokens don't change."""
    _told(
        "SLA loop",
        (json_file, plot_file),
        lambda progress: sla_experiment.simulate(seed, periods, progress=progress),
        figures_of=loop_report.sla_figures,
        draw=loop_plot.sla_picture,
        table_of=loop_report.sla_table,
    )


@simulate.command()
def rebalance(
    *,
    seed: Seed = 1,
    hours: Annotated[int, typer.Option(min=48, max=10_000, help="How many periods of an hour.")] = rebalance_experiment.HOURS,
    json_file: JsonFile = None,
    plot_file: PlotFile = None,
) -> None:
    """Bases that have little to do with what tenants use follow their long-term use."""
    _told(
        "rebalancing",
        (json_file, plot_file),
        lambda progress: rebalance_experiment.simulate(seed, hours, progress=progress),
        figures_of=loop_report.rebalance_figures,
        draw=loop_plot.rebalance_picture,
        table_of=loop_report.rebalance_table,
    )


@simulate.command()
def scaling(
    *,
    trace_file: Annotated[Path, typer.Option("--trace", help="A day of it: a ServeGen Parquet, or an Azure LLM CSV.")],
    start_s: Annotated[int, typer.Option(min=0, max=3600, help="From asking for a replica to its first request.")] = START_S,
    json_file: JsonFile = None,
    plot_file: PlotFile = None,
) -> None:
    """A day of a real trace on replicas that are asked for by promises and forecasts, or by use, and start after a while."""
    _told(
        "scaling",
        (json_file, plot_file),
        lambda progress: scaling_experiment.simulate(scaling_experiment.load_of(trace_file), start_s, progress=progress),
        figures_of=scaling_report.scaling_figures,
        draw=scaling_plot.scaling_picture,
        table_of=scaling_report.scaling_table,
    )


def _told(
    title: str,
    files: tuple[Path | None, Path | None],
    run: Callable[[Callable[[float], None]], Outcome],
    *,
    figures_of: Callable[[Outcome], report.Figures],
    draw: Callable[[Outcome, report.Figures, Path], None],
    table_of: Callable[[report.Figures], Table],
) -> report.Figures:
    """Run an experiment under a progress bar, write its figures and its picture to `files`, print its table; its figures."""
    json_file, plot_file = files
    check_files(json_file, plot_file)
    with _progress(title) as progress:
        outcome = run(progress)
    figures = figures_of(outcome)
    write_figures(json_file, figures)
    if plot_file:
        draw(outcome, figures, plot_file)
    _console().print(table_of(figures))
    return figures


def _console() -> Console:
    return Console(width=None if sys.stdout.isatty() else FILE_COLUMNS)


def _trace(path: Path | None) -> Trace | None:
    return None if path is None else read(path)


@contextmanager
def _progress(title: str) -> Iterator[Callable[[float], None]]:
    console = Console(stderr=True)
    shown = Progress(
        TextColumn(title),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with shown:
        task = shown.add_task(title, total=1.0)
        yield lambda share: shown.update(task, completed=share)
