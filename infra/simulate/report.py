"""Figures of the experiments on token pools, as the JSON file has them, and as tables for people."""

from __future__ import annotations

from typing import Any

import numpy as np
from rich.table import Table

from infra.simulate import measure
from infra.simulate.fairness import TENANTS as ELASTIC
from infra.simulate.fairness import Fairness
from infra.simulate.overload import CONTROLS, GUARANTEED, GUARANTEED_LOAD, SPOT, SPOT_LOAD, Overload
from infra.simulate.world import Run

Figures = dict[str, Any]


def overload_figures(outcome: Overload) -> Figures:
    """A group of figures for each control, and what they are measured by. Milliseconds, tokens per second."""
    alone = measure.latencies_ms(outcome.unloaded, GUARANTEED)
    unloaded_p99 = measure.percentile_ms(alone, 99)
    uncontrolled = measure.throughput(outcome.runs["none"])
    scenario = outcome.unloaded.scenario
    figures: Figures = {
        "seed": scenario.seed,
        "seconds": scenario.seconds,
        "capacity_tokens_s": round(outcome.loads.guaranteed.tokens, 1),
        "capacity_requests_s": round(outcome.loads.guaranteed.requests, 3),
        "spot_capacity_tokens_s": round(outcome.loads.spot.tokens, 1),
        "spot_capacity_requests_s": round(outcome.loads.spot.requests, 3),
        "guaranteed_load": GUARANTEED_LOAD,
        "spot_load": SPOT_LOAD,
        "unloaded": {
            "guaranteed_requests": int(alone.size),
            "guaranteed_p50_ms": measure.percentile_ms(alone, 50),
            "guaranteed_p99_ms": unloaded_p99,
            "guaranteed_ttft_p99_ms": _ttft_p99(outcome.unloaded, GUARANTEED),
        },
    }
    for name in CONTROLS:
        figures[name] = _control(outcome.runs[name], unloaded_p99, uncontrolled)
    dedicated = outcome.runs["dedicated"]
    idle = 1 - measure.utilisation_of(dedicated, GUARANTEED)
    figures["dedicated"] |= {
        "replicas": dedicated.scenario.replicas,
        "stranded_share": round(idle / dedicated.scenario.replicas, 4),
        "stranded_tokens_s": round(idle * outcome.loads.spot.tokens, 1),
    }
    return figures


def _control(run: Run, unloaded_p99: float | None, uncontrolled: float) -> Figures:
    guaranteed, spot = measure.latencies_ms(run, GUARANTEED), measure.latencies_ms(run, SPOT)
    p99 = measure.percentile_ms(guaranteed, 99)
    throughput = measure.throughput(run)
    return {
        "guaranteed_p50_ms": measure.percentile_ms(guaranteed, 50),
        "guaranteed_p99_ms": p99,
        "guaranteed_p99_ratio": round(p99 / unloaded_p99, 3) if p99 and unloaded_p99 else None,
        "guaranteed_ttft_p99_ms": _ttft_p99(run, GUARANTEED),
        "spot_p50_ms": measure.percentile_ms(spot, 50),
        "spot_p99_ms": measure.percentile_ms(spot, 99),
        "spot_ttft_p99_ms": _ttft_p99(run, SPOT),
        "throughput_tokens_s": throughput,
        "throughput_ratio": round(throughput / uncontrolled, 4) if uncontrolled else None,
        "utilisation": measure.utilisation(run),
        "guaranteed": measure.counted(run, GUARANTEED),
        "spot": measure.counted(run, SPOT),
        "preemptions": run.preemptions,
        "recomputed_tokens": run.recomputed,
    }


def _ttft_p99(run: Run, tenant: int) -> float | None:
    return measure.percentile_ms(measure.latencies_ms(run, tenant, to_first_token=True), 99)


def fairness_figures(outcome: Fairness) -> Figures:
    """Shares with and without debt, from the cut to the end, and how far they are from the entitled ones."""
    scenario = outcome.runs["debt"].scenario
    figures: Figures = {
        "seed": scenario.seed,
        "seconds": scenario.seconds,
        "cut_s": outcome.cut_s,
        "capacity_tokens_s": round(outcome.capacity.tokens, 1),
    }
    for name, run in outcome.runs.items():
        shares = outcome.shares(name)
        figures[name] = {
            "tenants": {
                tenant.name: {
                    "entitled_share": round(entitled, 5),
                    "got_share": round(float(share), 5),
                    "weight": tenant.weight,
                    "p99_ms": measure.percentile_ms(measure.latencies_ms(run, index, arrived=(outcome.cut_s, np.inf)), 99),
                    **measure.counted(run, index),
                }
                for index, (tenant, entitled, share) in enumerate(zip(ELASTIC, outcome.entitled, shares, strict=True))
            },
            "worst_share_error": round(float(outcome.errors_so_far(name)[-1]), 5),
            "jain": measure.jain((shares / np.array(outcome.entitled)).tolist()),
            "converged_s": outcome.converged_s(name),
            "throughput_tokens_s": measure.throughput(run, outcome.cut_s),
        }
    return figures


def overload_table(figures: Figures) -> Table:
    """For people: a row for each control."""
    unloaded = figures["unloaded"]
    table = Table(
        title=f"Overload: {figures['guaranteed_load']:.0%} of a replica guaranteed, spot up to {figures['spot_load']:g} times it; "
        f"unloaded P99 {_seconds(unloaded['guaranteed_p99_ms'])}",
        header_style="bold",
    )
    table.add_column("")
    for heading in (
        "guaranteed P99",
        "× unloaded",
        "P99 first token",
        "spot P99",
        "spot served",
        "tokens/s",
        "of none",
        "utilisation",
    ):
        table.add_column(heading, justify="right")
    for name in CONTROLS:
        row = figures[name]
        table.add_row(
            name,
            _seconds(row["guaranteed_p99_ms"]),
            _plain(row["guaranteed_p99_ratio"], ".2f"),
            _seconds(row["guaranteed_ttft_p99_ms"]),
            _seconds(row["spot_p99_ms"]),
            f"{row['spot']['served']:,}",
            _plain(row["throughput_tokens_s"], ",.0f"),
            _plain(row["throughput_ratio"], ".2f"),
            _plain(row["utilisation"], ".0%"),
        )
    return table


def overload_notes(figures: Figures) -> str:
    """What the table can't say."""
    dedicated = figures["dedicated"]
    return (
        f"dedicated has {dedicated['replicas']} replicas for one and strands {dedicated['stranded_share']:.0%} of them: "
        f"{dedicated['stranded_tokens_s']:,.0f} tokens/s that the spot tenant's queue waits for"
    )


def fairness_table(figures: Figures) -> Table:
    """For people: a row for each tenant."""
    table = Table(title=f"Fairness: shares from the cut at {figures['cut_s']} s to the end", header_style="bold")
    table.add_column("")
    for heading in ("weight", "entitled", "with debt", "off by", "without", "off by"):
        table.add_column(heading, justify="right")
    for name, row in figures["debt"]["tenants"].items():
        other = figures["no_debt"]["tenants"][name]
        entitled = row["entitled_share"]
        cells = [f"{one['got_share']:.1%}|{one['got_share'] / entitled - 1:+.1%}".split("|") for one in (row, other)]
        table.add_row(name, str(row["weight"]), f"{entitled:.1%}", *cells[0], *cells[1])
    return table


def fairness_notes(figures: Figures) -> str:
    """What the table can't say."""
    told = []
    for name, title in (("debt", "with debt"), ("no_debt", "without")):
        run = figures[name]
        converged = "never within 5 %" if run["converged_s"] is None else f"within 5 % from {run['converged_s']} s after the cut on"
        told.append(f"{title}: {converged}, worst {run['worst_share_error']:.1%}, Jain's index {run['jain']:.4f}")
    return "\n".join(told)


def _seconds(milliseconds: float | None) -> str:
    return "–" if milliseconds is None else f"{milliseconds / 1000:,.2f} s"


def _plain(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)
