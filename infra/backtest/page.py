"""A backtest as a table: a column a variant, what happened first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rich import box
from rich.table import Table

from infra.backtest.figures import Figures

CREDIT = 1_000_000_000
"""Nanocredits."""
UNKNOWN = "–"


def table(figures: Figures) -> Table:
    """All variants side by side; under each figure how far it is from what happened."""
    shown = Table(header_style="bold", box=box.SIMPLE_HEAD, title=f"pool {figures['pool']}", title_justify="left")
    shown.add_column("")
    for variant in figures["variants"]:
        shown.add_column(variant["name"], justify="right", overflow="fold")
    recorded = figures["variants"][0]
    for name, told in LINES:
        shown.add_row(name, *(_cell(told, variant, recorded) for variant in figures["variants"]))
    return shown


def notes(figures: Figures) -> str:
    """What the figures leave open, and which variants change nothing."""
    same = [variant["name"] for variant in figures["variants"][1:] if variant["same_as_recorded"]]
    lines = [f"{name}: reproduces what happened, state for state." for name in same]
    return "\n".join([*lines, "What a backtest can't know:", *(f"  - {line}" for line in figures["cannot_know"])])


def _cell(told: Callable[[Figures], tuple[str, float | None]], variant: Figures, recorded: Figures) -> str:
    text, value = told(variant)
    before = told(recorded)[1]
    if variant is recorded or value is None or before is None or value == before:
        return text
    change = f"{(value - before) / abs(before):+.1%}" if before else "from none"
    return f"{text} ({change})"


def _tokens(name: str) -> Callable[[Figures], tuple[str, float | None]]:
    return lambda variant: (f"{variant[name]:,.0f}", variant[name])


def _part(name: str) -> Callable[[Figures], tuple[str, float | None]]:
    """Shares are compared by eye: a change of a percentage in per cent misleads."""
    return lambda variant: (UNKNOWN if variant[name] is None else f"{variant[name]:.2%}", None)


def _revenue(variant: Figures) -> tuple[str, float | None]:
    return f"{variant['revenue'] / CREDIT:,.6g}", variant["revenue"]


def _sla(variant: Figures) -> tuple[str, float | None]:
    sla: dict[str, Any] | None = variant["sla"]
    if sla is None:
        return UNKNOWN, None
    low, high = f"{sla['low']:.1%}", f"{sla['high']:.1%}"
    return (low if low == high else f"{low} to {high}"), None


LINES: tuple[tuple[str, Callable[[Figures], tuple[str, float | None]]], ...] = (
    ("closed periods", _tokens("periods")),
    ("revenue, credits", _revenue),
    ("demand, tokens", _tokens("demand")),
    ("served, tokens", _tokens("served")),
    ("unmet demand, tokens", _tokens("unmet")),
    ("unmet, of demand", _part("unmet_share")),
    ("utilisation: served, of capacity", _part("utilisation")),
    ("Jain's index of served shares", lambda variant: (f"{variant['jain']:.4f}", None)),
    ("requests within SLA", _sla),
    ("welfare, tokens × elasticity", _tokens("welfare")),
    ("welfare, of the optimum", _part("welfare_share")),
    ("budgets charged", _part("budget_use")),
)
