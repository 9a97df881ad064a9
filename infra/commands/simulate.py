"""`bourse simulate`: the rules of token pools on a modelled GPU, and the loops that move bases, against what else one could do."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from infra.commands.figure_files import JsonFile, PlotFile, check_files, write_figures
from infra.simulate import fairness as fairness_experiment
from infra.simulate import loop_report, report
from infra.simulate import overload as overload_experiment
from infra.simulate import rebalance as rebalance_experiment
from infra.simulate import sla as sla_experiment
from infra.simulate.machine import BATCHED_TOKENS, SEQUENCES, Machine
from infra.simulate.workloads import Trace, read

FILE_COLUMNS = 130
"""Width of the tables where nobody's terminal limits it."""
SHORTEST_S, LONGEST_S = 30, 7200
"""In less, a P99 stands on a handful of requests; more takes longer than a meal."""

simulate = typer.Typer(no_args_is_help=True, help="Try the rules of token pools on a modelled GPU, and the loops that move bases.")

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
    check_files(json_file, plot_file)
    trace = _trace(trace_file)
    with _progress("overload") as progress:
        outcome = overload_experiment.simulate(seed, seconds, trace=trace, machine=Machine(sequences=sequences), progress=progress)
    figures = report.overload_figures(outcome)
    write_figures(json_file, figures)
    if plot_file:
        from infra.simulate.plot import overload_picture  # noqa: PLC0415  a drawing library that only pictures need

        overload_picture(outcome, figures, plot_file)
    console = _console()
    console.print(report.overload_table(figures))
    console.print(report.overload_notes(figures), markup=False, highlight=False, soft_wrap=True)


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
    check_files(json_file, plot_file)
    trace = _trace(trace_file)
    with _progress("fairness") as progress:
        outcome = fairness_experiment.simulate(seed, seconds, trace=trace, machine=Machine(sequences=sequences), progress=progress)
    figures = report.fairness_figures(outcome)
    write_figures(json_file, figures)
    if plot_file:
        from infra.simulate.plot import fairness_picture  # noqa: PLC0415  a drawing library that only pictures need

        fairness_picture(outcome, figures, plot_file)
    console = _console()
    console.print(report.fairness_table(figures))
    console.print(report.fairness_notes(figures), markup=False, highlight=False, soft_wrap=True)


@simulate.command()
def sla(
    *,
    seed: Seed = 1,
    periods: Annotated[int, typer.Option(min=30, max=10_000, help="How many periods of a minute.")] = sla_experiment.PERIODS,
    json_file: JsonFile = None,
    plot_file: PlotFile = None,
) -> None:
    """The SLA loop on a step of load, a ramp, and a latency that tokens don't change."""
    check_files(json_file, plot_file)
    with _progress("SLA loop") as progress:
        outcome = sla_experiment.simulate(seed, periods, progress=progress)
    figures = loop_report.sla_figures(outcome)
    write_figures(json_file, figures)
    if plot_file:
        from infra.simulate.loop_plot import sla_picture  # noqa: PLC0415  a drawing library that only pictures need

        sla_picture(outcome, figures, plot_file)
    _console().print(loop_report.sla_table(figures))


@simulate.command()
def rebalance(
    *,
    seed: Seed = 1,
    hours: Annotated[int, typer.Option(min=48, max=10_000, help="How many periods of an hour.")] = rebalance_experiment.HOURS,
    json_file: JsonFile = None,
    plot_file: PlotFile = None,
) -> None:
    """Bases that have little to do with what tenants use follow their long-term use."""
    check_files(json_file, plot_file)
    with _progress("rebalancing") as progress:
        outcome = rebalance_experiment.simulate(seed, hours, progress=progress)
    figures = loop_report.rebalance_figures(outcome)
    write_figures(json_file, figures)
    if plot_file:
        from infra.simulate.loop_plot import rebalance_picture  # noqa: PLC0415  a drawing library that only pictures need

        rebalance_picture(outcome, figures, plot_file)
    _console().print(loop_report.rebalance_table(figures))


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
