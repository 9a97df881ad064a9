"""Pictures of the loops that move bases, as PNG files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from infra.simulate.loop_report import PERIOD_S
from infra.simulate.plot import FOUR, GREY, canvas, legend, share_limits, write
from infra.simulate.rebalance import TENANTS, Rebalances
from infra.simulate.report import Figures
from infra.simulate.sla import CASES, SLA_MS, Course, SlaLoops
from schemas.loops import BaseReason

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = dict(zip(("vip", "elastic", "spot"), (FOUR[0], FOUR[1], FOUR[3]), strict=True))
TITLES = {"vip": "tenant with the SLA", "elastic": "elastic", "spot": "spot"}
FIVE = (*FOUR, "#7c3aed")


def sla_picture(outcome: SlaLoops, figures: Figures, path: Path) -> None:
    """Latency against the SLA, and everybody's base with boosts and loans: a column for each case.

    Raises:
        BadInput: the file can't be written.
    """
    figure, axes = canvas(2, len(CASES), (14.0, 7.2), figures | {"seconds": figures["periods"]})
    for column, (name, case) in enumerate(CASES.items()):
        row = figures[name]
        verdict = f"{row['breached']} periods above the SLA, {row['breached_without']} without the loop"
        axes[0, column].set_title(f"{case.title}\n{verdict}", fontsize=10)
        _latency(axes[0, column], outcome.looped[name], outcome.alone[name])
        _bases(axes[1, column], outcome.looped[name])
        axes[1, column].set_xlabel(f"periods of {PERIOD_S} s")
    axes[0, 0].set_ylabel("P99 latency of the tenant, s")
    axes[1, 0].set_ylabel("base with boosts and loans, tokens a period")
    share_limits(axes)
    _legend_of_both(axes[0, 0], axes[1, 0])
    legend(figure, axes[0, 0])
    write(figure, path)


def _latency(axis: Axes, looped: Course, alone: Course) -> None:
    for course, colour, title in ((alone, GREY, "P99 without the loop"), (looped, COLOURS["vip"], "P99 with it")):
        seconds = np.where(np.array(course.latency_ms) < 0, np.nan, np.array(course.latency_ms) / 1000)
        axis.plot(seconds, color=colour, lw=1.3, label=title)
    axis.axhline(SLA_MS / 1000, color="black", lw=0.9, ls=":", label="SLA")
    axis.set_yscale("log")
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:g}")


def _bases(axis: Axes, course: Course) -> None:
    for name, colour in COLOURS.items():
        tokens, label = [bases[name] for bases in course.bases], f"base: {TITLES[name]}"
        axis.plot(tokens, color=colour, lw=1.5, drawstyle="steps-post", label=label)
    axis.plot(course.offered, color=GREY, lw=1, ls="--", label="offered by it")
    stopped = [period for period, reason in course.said if reason == BaseReason.NOT_TOKEN_BOUND]
    # Above the payers' lines, where nothing else is.
    axis.plot(stopped, [22_500] * len(stopped), ls="", marker="x", color="#b91c1c", label="not token bound")


def _legend_of_both(upper: Axes, lower: Axes) -> None:
    """The figure has one legend, of the upper axes: what only the lower ones show is named there."""
    for handle, title in zip(*lower.get_legend_handles_labels(), strict=True):
        upper.plot([], [], color=handle.get_color(), ls=handle.get_linestyle(), marker=handle.get_marker(), label=title)  # type: ignore[attr-defined]  # all of them are lines


def rebalance_picture(outcome: Rebalances, figures: Figures, path: Path) -> None:
    """Bases beside what was needed, and what was used.

    Raises:
        BadInput: the file can't be written.
    """
    figure, axes = canvas(2, 1, (12.0, 7.6), figures | {"seconds": figures["hours"]})
    bases, needed, used = (np.array(each, float) for each in (outcome.bases, outcome.needed, outcome.used))
    for column, (tenant, colour) in enumerate(zip(TENANTS, FIVE, strict=True)):
        contracted = f", {tenant.floor:,} contracted" if tenant.floor else ""
        axes[0, 0].plot(bases[:, column], color=colour, lw=1.7, drawstyle="steps-post", label=f"{tenant.name}{contracted}")
        axes[0, 0].plot(np.where(needed[:, column] < 0, np.nan, needed[:, column]), color=colour, lw=1, ls="--", alpha=0.8)
        axes[1, 0].plot(used[:, column], color=colour, lw=1)
    axes[0, 0].plot([], [], color=GREY, lw=1, ls="--", label="needed: P95 of the week before")
    axes[0, 0].set_title(
        f"needs that bases miss: {figures['short_before']:,} tokens as declared, {figures['short_after']:,} in the end"
        f" · {figures['steps']} steps · sum of bases always {figures['sums'][0]:,}",
        fontsize=10.5,
    )
    axes[0, 0].set_ylabel("base, tokens an hour")
    axes[1, 0].set_ylabel("used, tokens an hour")
    axes[1, 0].set_xlabel("hours")
    legend(figure, axes[0, 0])
    write(figure, path)
