"""Forecasting: time, memory and error, against gradient-boosted trees (LightGBM) that are refitted every day.

Run alone: `python tests/benchmarks/bench_forecast.py [TENANTS] [REPEATS]`. Times are processor seconds of one thread. Both forecast
the second week of ../shared/data/servegen-m-small.parquet (a made-up fortnight where that is missing), with all before it to learn
from. The trees' time for that, fits and forecasts of mean and one quantile, is spread over tenants and periods as ours for mean and
three quantiles is: once on the same tenants, and once 1,000 of ours, as a step of few tenants is mostly numpy's calls, where the
time of trees grows with the rows. LightGBM lives in an environment of its own.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from pyarrow import parquet
from rivals import Rival, UnavailableError, environment

from processors.forecast import Calendar, State, learn, predict

TRACE = Path(__file__).parents[2].parent / "shared" / "data" / "servegen-m-small.parquet"
LIGHTGBM = Rival("lightgbm", "4.7.0", (3, 9), (3, 99), passes=1)
PERIOD_S, HALF = 600, 1008
SECONDS_LIMIT = 3600
MS_GOAL, TREES_GOAL, LAST_VALUE_GOAL, COVERAGE_GOAL = 2.0, 1 / 50, 0.9, 0.85
Row = dict[str, object]


def run(tenants: int = 100_000, repeats: int = 3) -> list[Row]:
    """Rows of {name, value, unit, baseline, baseline_value, ratio, goal, met}."""
    name, tokens = trace()
    ours, step_ms = _mixture(tokens)
    per_thousand, many = _step(1_000, repeats * 20), _step(tenants, repeats)
    rows = [
        _row("forecast and learn, 1,000 tenants a step", per_thousand, "ms", goal=MS_GOAL),
        _row(f"forecast and learn, 1,000 of {tenants:,} tenants a step", many, "ms", goal=MS_GOAL),
        _row("memory of a tenant, 10-minute periods", State(Calendar(PERIOD_S)).bytes_per_tenant, "bytes"),
        _row("memory of a tenant, 1-minute periods", State(Calendar(60)).bytes_per_tenant, "bytes"),
    ]
    wape, pinball, coverage, last = _figures(tokens, ours)
    rows.append(_row(f"error (WAPE), {name}", wape, "", ("last value", last), LAST_VALUE_GOAL))
    rows.append(
        {**_row(f"coverage of the 0.9 quantile, {name}", coverage, ""), "goal": COVERAGE_GOAL, "met": coverage >= COVERAGE_GOAL}
    )
    try:
        trees, trees_ms = _trees(tokens, repeats=1)
    except UnavailableError as error:
        print(f"LightGBM is not measured: {error}", file=sys.stderr)
        return rows
    trees_wape, trees_pinball, trees_coverage, _ = _figures(tokens, trees)
    label = f"LightGBM refitted daily, covers {trees_coverage:.0%}"
    rows.append(_row(f"error (WAPE), {name}", wape, "", (label, trees_wape), 1.0))
    rows.append(_row(f"pinball loss at 0.9, {name}", pinball, "", (label, trees_pinball), 1.0))
    rows.append(_row(f"1,000 of its {tokens.shape[1]} tenants a step, {name}", step_ms, "ms", (label, trees_ms), TREES_GOAL))
    rows.append(_row("1,000 tenants a step", per_thousand, "ms", (label, trees_ms), TREES_GOAL))
    return rows


def trace() -> tuple[str, np.ndarray]:
    """What is forecast, and its name: tokens of periods and tenants, NaN where telemetry was away."""
    if not TRACE.exists():
        rng = np.random.default_rng(1)
        time_of_day = np.sin(2 * np.pi * (np.arange(2 * HALF)[:, None] / 144 + rng.random(38)))
        return "made up", np.floor(1e5 * (1.5 + time_of_day) * np.exp(rng.normal(0, 0.3, (2 * HALF, 38))))
    table = parquet.read_table(TRACE, columns=["client", "w", "tokens"])
    client, window = (np.asarray(table.column(column)) for column in ("client", "w"))
    tokens = np.full((window.max() + 1, client.max() + 1), np.nan)
    tokens[window, client] = np.asarray(table.column("tokens"))
    tokens = tokens[:, ~np.isnan(tokens).all(axis=0)]
    tokens[np.nansum(tokens, axis=1) == 0] = np.nan
    return "ServeGen, second week", tokens


def _mixture(tokens: np.ndarray) -> tuple[np.ndarray, float]:
    """Mean and 0.9 quantile of the second half, and milliseconds of a step for 1,000 tenants, in the mean."""
    state, seen, whole = State(Calendar(PERIOD_S)), ~np.isnan(tokens), np.nan_to_num(tokens)
    state.add(tokens.shape[1])
    found, spent = np.empty((2, len(tokens) - HALF, tokens.shape[1])), 0.0
    for period in range(len(tokens)):
        began = time.process_time()
        forecast = predict(state, period)
        learn(state, period, whole[period], seen[period])
        if period >= HALF:
            spent += time.process_time() - began
            found[:, period - HALF] = forecast.mean, forecast.quantiles[1]
    return found, spent * 1e6 / (len(tokens) - HALF) / tokens.shape[1]


def _step(tenants: int, repeats: int) -> float:
    """Milliseconds for 1,000 tenants: the best step."""
    rng = np.random.default_rng(1)
    level, observed = np.exp(rng.normal(10, 2, tenants)), np.ones(tenants, np.bool_)
    state = State(Calendar(PERIOD_S))
    state.add(tenants)
    best = float("inf")
    for period in range(repeats + 3):
        tokens = np.floor(level * np.exp(rng.normal(0, 0.2, tenants)))
        began = time.process_time()
        predict(state, period)
        learn(state, period, tokens, observed)
        best = min(best, time.process_time() - began)
    return best * 1e6 / tenants


def _trees(tokens: np.ndarray, repeats: int) -> tuple[np.ndarray, float]:
    """As `_mixture`, of the trees.

    Raises:
        UnavailableError: LightGBM can't be installed here.
    """
    python = environment(LIGHTGBM)
    with tempfile.TemporaryDirectory() as folder:
        asked, told = Path(folder, "tokens.npy"), Path(folder, "forecasts.npy")
        np.save(asked, tokens)
        script = Path(__file__).with_name("forecast_trees.py")
        command = [str(python), str(script), str(asked), str(told), str(HALF), str(repeats)]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS_LIMIT, check=False)
        if ran.returncode:
            raise RuntimeError(f"{LIGHTGBM.label} failed: {ran.stderr}")
        found = np.load(told)
    return found, float(ran.stdout) * 1e6 / (len(tokens) - HALF) / tokens.shape[1]


def _figures(tokens: np.ndarray, forecasts: np.ndarray) -> tuple[float, float, float, float]:
    """WAPE, pinball loss at 0.9 and coverage, as shares of the demand of the second half; last value's WAPE."""
    last, held = np.empty_like(tokens), np.zeros(tokens.shape[1])
    for period, values in enumerate(tokens):
        last[period] = held
        held = np.where(np.isnan(values), held, values)
    seen = ~np.isnan(tokens[HALF:])
    used, before, (mean, quantile) = tokens[HALF:][seen], last[HALF:][seen], forecasts[:, seen]
    total, above = used.sum(), used - quantile
    return (
        float(np.abs(used - mean).sum() / total),
        float(np.maximum(0.9 * above, -0.1 * above).sum() / total),
        float(used[above <= 0].sum() / total),
        float(np.abs(used - before).sum() / total),
    )


def _row(name: str, value: float, unit: str, baseline: tuple[str, float] | None = None, goal: float | None = None) -> Row:
    """A goal is a most: of the ratio where there is a baseline, else of the value."""
    baseline_name, baseline_value = baseline or (None, None)
    ratio = None if baseline_value is None else value / baseline_value
    judged = value if ratio is None else ratio
    return {
        "name": name,
        "value": value,
        "unit": unit,
        "baseline": baseline_name,
        "baseline_value": baseline_value,
        "ratio": ratio,
        "goal": goal,
        "met": None if goal is None else judged <= goal,
    }


if __name__ == "__main__":
    sizes = [int(argument) for argument in sys.argv[1:]]
    for figure in run(*sizes):
        print(json.dumps(figure, ensure_ascii=False))
