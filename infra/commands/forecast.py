"""`bourse forecast FILE`: every period's demand forecast from the periods before it, or how good that is."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv
import typer
from pyarrow import parquet
from rich.console import Console
from rich.progress import track

from infra.demand_file import SUFFIXES, DemandFile, read
from processors.forecast import Score, Step, walk
from streams.errors import BadInput

BATCH = 100_000
"""Rows written at once; their columns take 5 MB."""

FORECAST = (("period", pa.int64()), *((name, pa.float64()) for name in ("mean", "p50", "p90", "p99")))
"""Columns that are written, beside the tenant."""


def forecast(
    file: Annotated[Path, typer.Argument(help="CSV or Parquet with the columns tenant, period (int), tokens (null = gap).")],
    *,
    output: Annotated[Path | None, typer.Option(help="Write the forecasts to this .csv or .parquet file.")] = None,
    score: Annotated[bool, typer.Option("--score", help="Print how good the forecasts are instead.")] = False,
    first: Annotated[int | None, typer.Option("--from", help="With --score: the first period that counts; default: half.")] = None,
    period_seconds: Annotated[int, typer.Option(min=1, max=604_800, help="Length of a period: it says how long a day is.")] = 600,
    as_json: Annotated[bool, typer.Option("--json", help="With --score: print one JSON object.")] = False,
) -> None:
    r"""Forecast each tenant's demand, one period ahead: mean, and the quantiles 0.5, 0.9 and 0.99.

    Out: CSV tenant, period, mean, p50, p90, p99, by period and tenant: for each period of the file, and each tenant from its first
    row on, the forecast for that period made from earlier periods alone. A row without tokens for the next period asks for it.

    Rows may come in any order. A missing row is a gap, as is a period in which nobody has tokens after one in which three or more
    had: nothing is learned of it and it isn't scored. Ratios of --score are of the demand.
    """
    _check(output=output, score=score, first=first, as_json=as_json)
    demand = read(file)
    steps = walk(demand.history, period_seconds)
    many = len(np.unique(demand.history.periods))
    if score:
        _print(_score(_shown(steps, many), demand, first), as_json=as_json)
    else:
        _write(_shown(steps, many), demand, output)


def _check(*, output: Path | None, score: bool, first: int | None, as_json: bool) -> None:
    """What is wrong with the options is told before a minute has passed, not after."""
    if score and output:
        raise BadInput(f"--output {output}: --score writes no forecasts")
    if not score and first is not None:
        raise BadInput(f"--from {first}: is for --score")
    if not score and as_json:
        raise BadInput("--json: is for --score")
    if output is None:
        return
    if output.suffix.lower() not in SUFFIXES:
        raise BadInput(f"--output {output}: a name that ends in {' or '.join(SUFFIXES)} is expected")
    if output.is_dir():
        raise BadInput(f"--output {output}: is a directory")
    if not output.parent.is_dir():
        raise BadInput(f"--output {output}: no directory {output.parent}")


def _shown(steps: Iterator[Step], many: int) -> Iterable[Step]:
    console = Console(stderr=True)
    return track(steps, "forecasting", total=many, console=console, transient=True, disable=not console.is_terminal)


def _score(steps: Iterable[Step], demand: DemandFile, first: int | None) -> Score:
    periods = np.unique(demand.history.periods)
    if first is not None and first > periods[-1]:
        raise BadInput(f"--from {first}: the last period is {periods[-1]}")
    begin = int(periods[len(periods) // 2]) if first is None else first
    total = Score()
    for step in steps:
        if step.period >= begin:
            total.add(step)
    return total


def _print(score: Score, *, as_json: bool) -> None:
    figures = {
        "wape": score.wape,
        "last_value_wape": score.last_value_wape,
        "pinball_90": score.pinball,
        "coverage_90": score.coverage,
    }
    if as_json:
        counts = {"from": score.first, "to": score.last, "periods": score.periods, "gaps": score.gaps, "rows": score.rows}
        typer.echo(json.dumps(counts | figures, indent=2))
        return
    gaps = f", and {score.gaps:,} gaps that don't count" if score.gaps else ""
    typer.echo(f"{score.rows:,} rows of {score.periods:,} periods, {score.first} to {score.last}{gaps}")
    for label, value in zip(("WAPE", "last value's WAPE", "pinball at 0.9", "coverage of 0.9"), figures.values(), strict=True):
        typer.echo(f"{label:18} {'no demand' if value is None else f'{value:.4f}'}")


def _write(steps: Iterable[Step], demand: DemandFile, output: Path | None) -> None:
    schema = pa.schema([("tenant", demand.names.type), *((name, kind) for name, kind in FORECAST)])
    batches = _batches(steps, demand, schema)
    if output is None:
        _write_csv(typer.get_binary_stream("stdout"), batches, demand)
        return
    partial = output.with_name(f"{output.name}.partial")  # whoever finds the file finds all of it
    try:
        if output.suffix.lower() == ".parquet":
            with parquet.ParquetWriter(partial, schema) as writer:
                for batch in batches:
                    writer.write_batch(batch)
        else:
            with partial.open("wb") as file:
                _write_csv(file, batches, demand)
        partial.replace(output)
    except OSError as error:
        raise BadInput(f"--output {output}: {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)


def _write_csv(file: BinaryIO, batches: Iterable[Any], demand: DemandFile) -> None:
    names = demand.names.cast(pa.string())
    quoting = "needed" if pc.any(pc.match_substring_regex(names, r"[\",\r\n]")).as_py() else "none"
    options = arrow_csv.WriteOptions(include_header=False, quoting_style=quoting)
    file.write(",".join(("tenant", *(name for name, _ in FORECAST))).encode() + b"\n")
    for batch in batches:
        text = pa.BufferOutputStream()
        arrow_csv.write_csv(batch, text, options)
        file.write(text.getvalue())
    file.flush()


def _batches(steps: Iterable[Step], demand: DemandFile, schema: Any) -> Iterator[Any]:
    """Forecasts as rows, so many at a time that writing them costs little, and few enough to be held."""
    waiting: list[Step] = []
    rows = 0
    for step in steps:
        waiting.append(step)
        rows += len(step.tenants)
        if rows >= BATCH:
            yield _batch(waiting, demand, schema)
            waiting, rows = [], 0
    if waiting:
        yield _batch(waiting, demand, schema)


def _batch(steps: list[Step], demand: DemandFile, schema: Any) -> Any:
    tenants = demand.names.take(pa.array(np.concatenate([step.tenants for step in steps])))
    periods = np.concatenate([np.full(len(step.tenants), step.period) for step in steps])
    mean = np.concatenate([step.forecast.mean for step in steps])
    quantiles = np.concatenate([step.forecast.quantiles for step in steps], axis=1)
    return pa.record_batch([tenants, *(pa.array(column) for column in (periods, mean, *quantiles))], schema=schema)
