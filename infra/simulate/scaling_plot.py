"""The picture of scaling, as a PNG file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from infra.simulate.machine import SEQUENCES
from infra.simulate.plot import BLUE, GREY, ORANGE, canvas, legend, share_limits, write
from infra.simulate.report import Figures
from infra.simulate.scaling import TICK_S, Course, Scalings
from infra.simulate.scaling_report import waits_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BIN_S = 600
LEAST_WAIT_S = 0.1
"""What nobody waits is drawn here: the scale is logarithmic."""


def scaling_picture(outcome: Scalings, figures: Figures, path: Path) -> None:
    """Replicas beside what they had to do, and how long requests waited: a column for each control.

    Raises:
        BadInput: the file can't be written.
    """
    figure, axes = canvas(2, len(outcome.courses), (16.0, 7.2), figures | {"seconds": figures["hours"]})
    for column, (name, course) in enumerate(outcome.courses.items()):
        row = figures[name]
        axes[0, column].set_title(
            f"{name}\n{row['replica_hours']:,.0f} replica-hours, {row['utilisation']:.0%} used\n"
            f"others in time: {row['others']['in_time']:.2%}\nbelow what is promised: {row['hours_below_promised']:.1f} h",
            fontsize=9.5,
        )
        _replicas(axes[0, column], outcome, course)
        _waits(axes[1, column], outcome, course)
        axes[1, column].set_xlabel("hours")
    axes[0, 0].set_ylabel("replicas")
    axes[1, 0].set_ylabel("P99 wait of ten minutes, s")
    for colour, title in ((BLUE, "guaranteed"), (ORANGE, "others")):
        axes[0, 0].plot([], [], color=colour, lw=1.3, label=f"wait: {title}")
    share_limits(axes)
    for place, least in ((0, 0.0), (1, LEAST_WAIT_S * 0.8)):
        for axis in axes[place]:
            axis.set_ylim(bottom=least)
    legend(figure, axes[0, 0])
    write(figure, path)


def _replicas(axis: Axes, outcome: Scalings, course: Course) -> None:
    hours = np.arange(len(course.ready)) * TICK_S / 3600
    work = outcome.load.work.sum(axis=1) / (TICK_S * SEQUENCES)
    width = BIN_S // TICK_S
    smoothed = np.convolve(work, np.ones(width) / width, "same")
    axis.fill_between(hours, smoothed, color=GREY, alpha=0.35, lw=0, label="replicas' work that came")
    axis.plot(hours, course.paid, color="#0f9d76", lw=3.5, alpha=0.45, label="asked for")
    axis.plot(hours, course.ready, color="black", lw=1.2, label="serving")
    axis.axhline(outcome.promised, color="#b91c1c", lw=1, ls="--", label="promised")


def _waits(axis: Axes, outcome: Scalings, course: Course) -> None:
    width = BIN_S // TICK_S
    for place, colour in ((0, BLUE), (1, ORANGE)):
        waits, _ = waits_of(outcome.load, course, place)
        whole = waits[: waits.size // width * width].reshape(-1, width)
        axis.plot(
            (np.arange(whole.shape[0]) + 0.5) * BIN_S / 3600,
            np.maximum(np.quantile(whole, 0.99, axis=1), LEAST_WAIT_S),
            color=colour,
            lw=1.3,
        )
    axis.set_yscale("log")
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
