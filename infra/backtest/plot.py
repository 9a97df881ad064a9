"""A backtest as a picture: what each variant came to, and how it went over time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from infra.backtest.figures import Figures
from infra.backtest.page import CREDIT
from streams.errors import BadInput

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = ("#64748b", "#2563eb", "#ea8a1f", "#0f9d76", "#d9488b", "#7c3aed", "#b45309", "#0891b2")
POINTS = 300
"""Of a line, at most: each is the mean of as many periods as it takes."""
NAME_CHARACTERS = 34


def picture(figures: Figures, path: Path) -> None:
    """Draw it: bars of revenue, Jain's index, unmet demand and welfare above; prices, fairness and unmet demand over time below.

    Raises:
        BadInput: the file can't be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415  half a second that only pictures need
    from matplotlib.figure import Figure  # noqa: PLC0415  the same

    found = figures["variants"]
    figure = Figure(figsize=(14, 4.4 + 3.2 + 0.22 * len(found)), dpi=90, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, 4)
    figure.suptitle(f"Backtest of pool {figures['pool']}: {found[0]['periods']:,} recorded periods", fontsize=12)
    for axis, (title, value, text) in zip(axes[0], BARS, strict=True):
        _bars(axis, title, [value(variant) for variant in found], text)
    for axis, (title, drawn) in zip(axes[1], LINES, strict=True):
        _lines(axis, title, [(variant["by_period"], drawn(variant["by_period"])) for variant in found], figures["from_ms"])
    handles, labels = axes[1, 0].get_legend_handles_labels()
    names = [_short(variant["name"]) for variant in found]
    figure.legend(handles, names[: len(labels)], loc="outside lower center", ncols=4, fontsize=9, frameon=False)
    try:
        figure.savefig(path)
    except OSError as error:
        raise BadInput(f"--plot {path}: {error.strerror or error}") from error


def _short(name: str) -> str:
    return name if len(name) <= NAME_CHARACTERS else f"{name[: NAME_CHARACTERS - 1]}…"


def _colour(place: int) -> str:
    return COLOURS[place % len(COLOURS)]


def _bars(axis: Axes, title: str, values: list[float | None], text: str) -> None:
    axis.set_title(title, fontsize=10)
    drawn = [0.0 if value is None else value for value in values]
    bars = axis.barh(range(len(values)), drawn, color=[_colour(place) for place in range(len(values))], height=0.7)
    axis.bar_label(bars, ["unknown" if value is None else format(value, text) for value in values], padding=3, fontsize=9)
    axis.set_xlim(0, max(max(drawn) * 1.25, 1e-9))
    axis.invert_yaxis()
    axis.set_yticks([])
    axis.spines[["top", "right", "bottom"]].set_visible(False)
    axis.set_xticks([])


def _lines(axis: Axes, title: str, lines: list[tuple[dict[str, list[float]], Any]], from_ms: int) -> None:
    axis.set_title(title, fontsize=10)
    for place, (rows, values) in enumerate(lines):
        hours = (np.array(rows["start_ms"], float) - from_ms) / 3_600_000
        each = max(1, -(-len(hours) // POINTS))
        width, alpha = (2.6, 0.55) if place == 0 else (1.3, 1.0)
        axis.plot(_thinned(hours, each), _thinned(values, each), color=_colour(place), label=str(place), lw=width, alpha=alpha)
    axis.set_xlabel("hours", fontsize=9)
    axis.set_ylim(bottom=0)
    axis.grid(visible=True, color="#e2e8f0", lw=0.6)
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=8.5)


def _thinned(values: Any, each: int) -> Any:
    starts = np.arange(0, len(values), each)
    return np.add.reduceat(values, starts) / np.diff(np.append(starts, len(values))) if len(values) else values


def _share_of(part: Any, whole: Any) -> Any:
    """100 % where the whole is nothing."""
    top, bottom = np.array(part, float), np.array(whole, float)
    return np.where(bottom > 0, top / np.where(bottom > 0, bottom, 1), 1.0)


BARS: tuple[tuple[str, Any, str], ...] = (
    ("revenue, credits", lambda variant: variant["revenue"] / CREDIT, ",.4g"),
    ("Jain's index of served shares", lambda variant: variant["jain"], ".3f"),
    ("unmet, of demand", lambda variant: variant["unmet_share"], ".1%"),
    ("welfare, of the optimum", lambda variant: variant["welfare_share"], ".1%"),
)
LINES: tuple[tuple[str, Any], ...] = (
    ("price of surplus, nanocredits a token", lambda rows: np.array(rows["price"], float)),
    ("Jain's index, by period", lambda rows: np.array(rows["jain"], float)),
    ("unmet, of demand", lambda rows: 1 - _share_of(rows["served"], rows["demand"])),
    ("welfare, of the optimum", lambda rows: _share_of(rows["welfare"], rows["optimum"])),
)
