"""`bourse demo`: see it work, on a synthetic workload or a real trace, and a token pool beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from infra.demo.run import Choices, run
from infra.workloads import synthetic, trace
from schemas.published import Policy


def demo(
    *,
    seconds: Annotated[float, typer.Option(min=1, help="How long events are published.")] = 60.0,
    tenants: Annotated[int, typer.Option(min=1, max=10_000, help="How many tenants; of a Parquet trace its clients are.")] = 10,
    rate: Annotated[float, typer.Option(min=1, help="Requests per second, of a trace at most; each is two events.")] = 400.0,
    seed: Annotated[int, typer.Option(help="The same seed gives the same workload.")] = 1,
    period: Annotated[int, typer.Option(min=1, help="Length of a period, seconds.")] = 5,
    policy: Annotated[Policy, typer.Option(help="How the surplus is divided.")] = Policy.SEED,
    trace_file: Annotated[
        Path | None, typer.Option("--trace", help="Replay this trace: an Azure LLM CSV or a ServeGen Parquet.")
    ] = None,
    speed: Annotated[
        float | None, typer.Option(min=0.001, help="Times faster than it happened (CSV: 60, Parquet: 1440 unless given).")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything running at the end.")] = False,
) -> None:
    """Start everything, publish a workload for a minute, watch it, count it, prove it by replay, and stop.

    It lives in a home of its own (.bourse/demo, on free ports) unless BOURSE_HOME names one.
    """
    workload = (
        synthetic(seed, seconds, tenants, rate)
        if trace_file is None
        else trace(trace_file, speed=speed, seconds=seconds, tenants=tenants, rate=rate)
    )
    raise typer.Exit(run(Choices(workload, seed, seconds, period, policy, keep), Console()))
