"""Figures of scaling, as the JSON file has them, and as a table for people."""

from __future__ import annotations

import numpy as np
from rich.table import Table

from infra.simulate.report import Figures
from infra.simulate.scaling import MOST_REPLICAS, SOON_S, TICK_S, Course, Load, Scalings
from infra.simulate.workloads import Floats

CLASSES = ("guaranteed", "others")


def scaling_figures(outcome: Scalings) -> Figures:
    """A group of figures for each control; hours, seconds, shares."""
    load = outcome.load
    ticks = load.work.shape[0]
    return {
        "trace": load.title,
        "hours": ticks * TICK_S / 3600,
        "seconds": ticks * TICK_S,
        "start_s": outcome.start_s,
        "tenants": len(load.tenants),
        "tokens": int(load.tokens.sum()),
        "promised_replicas": outcome.promised,
        "replica_tokens_per_s": load.tokens_per_s,
        **{name: _course(load, course, outcome.promised) for name, course in outcome.courses.items()},
    }


def _course(load: Load, course: Course, promised: int) -> Figures:
    ready, paid = np.array(course.ready), np.array(course.paid)
    figures: Figures = {
        "replica_hours": round(float(paid.sum()) * TICK_S / 3600, 1),
        "mean_replicas": round(float(ready.mean()), 2),
        "fewest": int(ready.min()),
        "most": int(ready.max()),
        "changes": int((np.diff(paid) != 0).sum()),
        "utilisation": round(float(np.average(course.used, weights=ready)), 4),
        "hours_below_promised": round(float((ready < promised).sum()) * TICK_S / 3600, 2),
    }
    for place, name in enumerate(CLASSES):
        waits, requests = waits_of(load, course, place)
        figures[name] = {
            "in_time": round(float(requests[waits <= SOON_S].sum() / requests.sum()), 6),
            "p99_wait_s": round(_percentile(waits, requests, 0.99), 1),
            "longest_wait_s": round(float(waits[requests > 0].max()), 1),
        }
    return figures


def waits_of(load: Load, course: Course, place: int) -> tuple[Floats, Floats]:
    """How long what came in the midst of each tick waited until its class had come to it, seconds, and the requests it was.

    Between two ticks both what came and what was served lie on a line. What was never begun waits to the end.
    """
    rows = load.guaranteed if place == 0 else ~load.guaranteed
    came = np.concatenate([[0.0], np.cumsum(load.work[:, rows].sum(axis=1))])
    served = np.concatenate([[0.0], np.array([each[place] for each in course.served])])
    times = np.arange(came.size) * float(TICK_S)
    half = (came[1:] + came[:-1]) / 2
    # Rounding leaves the sums a hair apart where nothing waits.
    begun = np.interp(half * (1 - 1e-12), served, times)
    waits = np.maximum(begun - (times[1:] - TICK_S / 2), 0.0)
    return waits, load.requests[:, rows].sum(axis=1)


def _percentile(waits: Floats, requests: Floats, share: float) -> float:
    order = np.argsort(waits)
    upto = np.cumsum(requests[order])
    return float(waits[order][np.searchsorted(upto, share * upto[-1])])


def scaling_table(figures: Figures) -> Table:
    """For people: a row for each control."""
    table = Table(
        title=f"Scaling: {figures['hours']:.0f} h of {figures['trace']}, replicas start in {figures['start_s']} s; "
        f"{figures['promised_replicas']} promised, {MOST_REPLICAS} at most",
        header_style="bold",
    )
    table.add_column("")
    for heading in (
        "replica-hours",
        "replicas",
        "utilisation",
        "hours below promised",
        "guaranteed in time",
        "others in time",
        "P99 wait",
        "changes",
    ):
        table.add_column(heading, justify="right")
    for name, row in figures.items():
        if isinstance(row, dict):
            table.add_row(
                name,
                f"{row['replica_hours']:,.0f}",
                f"{row['fewest']} to {row['most']}",
                f"{row['utilisation']:.0%}",
                f"{row['hours_below_promised']:.1f}",
                f"{row['guaranteed']['in_time']:.2%}",
                f"{row['others']['in_time']:.2%}",
                f"{row['others']['p99_wait_s']:,.1f} s",
                str(row["changes"]),
            )
    return table
