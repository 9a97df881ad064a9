"""Figures of the loops that move bases, as the JSON file has them, and as tables for people."""

from __future__ import annotations

import numpy as np
from rich.table import Table

from infra.simulate.rebalance import TENANTS, Rebalances
from infra.simulate.report import Figures
from infra.simulate.sla import CASES, SLA_MS, Course, SlaLoops
from schemas.loops import BaseReason

PERIOD_S = 60


def sla_figures(outcome: SlaLoops) -> Figures:
    """A group of figures for each case; periods and tokens."""
    figures: Figures = {"seed": outcome.seed, "periods": outcome.periods, "seconds": outcome.periods * PERIOD_S, "sla_ms": SLA_MS}
    for name in CASES:
        looped, alone = outcome.looped[name], outcome.alone[name]
        figures[name] = _course(looped) | {"breached_without": _breached(alone)}
    return figures


def _course(course: Course) -> Figures:
    boosts = np.array([bases["vip"] for bases in course.bases]) - course.bases[0]["vip"]
    moves = np.diff(boosts)
    signs = np.sign(moves[moves != 0])
    return {
        "breached": _breached(course),
        "raised": int((moves > 0).sum()),
        "released": int((moves < 0).sum()),
        "turns": int((np.diff(signs) != 0).sum()),
        "largest_boost": int(boosts.max()),
        "last_boost": int(boosts[-1]),
        "boosted_periods": int((boosts > 0).sum()),
        "not_token_bound": sum(reason == BaseReason.NOT_TOKEN_BOUND for _, reason in course.said),
    }


def _breached(course: Course) -> int:
    return sum(latency > SLA_MS for latency in course.latency_ms)


def sla_table(figures: Figures) -> Table:
    """For people: a row for each case."""
    table = Table(title=f"SLA loop: {figures['periods']} periods, P99 against {SLA_MS / 1000:g} s", header_style="bold")
    table.add_column("")
    for heading in (
        "breached",
        "without the loop",
        "raised",
        "released",
        "turns",
        "largest boost",
        "in the end",
        "not token bound",
    ):
        table.add_column(heading, justify="right")
    for name, case in CASES.items():
        row = figures[name]
        columns = ("breached", "breached_without", "raised", "released", "turns", "largest_boost", "last_boost", "not_token_bound")
        table.add_row(case.title, *(f"{row[column]:,}" for column in columns))
    return table


def rebalance_figures(outcome: Rebalances) -> Figures:
    """What bases were, what was needed, and by how much the pool missed it; tokens a period of an hour."""
    bases, needed = np.array(outcome.bases), np.array(outcome.needed)
    short = np.maximum(needed - bases, 0).sum(axis=1)
    return {
        "seed": outcome.seed,
        "hours": outcome.hours,
        "seconds": outcome.hours * 3600,
        "moved": sum(outcome.moved),
        "steps": sum(moved > 0 for moved in outcome.moved),
        "sums": sorted(set(bases.sum(axis=1).tolist())),
        "short_before": int(np.maximum(needed[-1] - bases[0], 0).sum()),
        "short_after": int(short[-1]),
        "tenants": {
            tenant.name: {"declared": tenant.base, "floor": tenant.floor, "need": need, "base": base}
            for tenant, need, base in zip(TENANTS, needed[-1].tolist(), bases[-1].tolist(), strict=True)
        },
    }


def rebalance_table(figures: Figures) -> Table:
    """For people: a row for each tenant."""
    table = Table(title=f"Rebalancing: {figures['steps']} steps in {figures['hours']} hours", header_style="bold")
    table.add_column("")
    for heading in ("declared", "contracted", "needs", "base in the end"):
        table.add_column(heading, justify="right")
    for name, row in figures["tenants"].items():
        table.add_row(name, *(f"{row[column]:,}" for column in ("declared", "floor", "need", "base")))
    return table
