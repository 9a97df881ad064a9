"""Pictures of the two experiments, as PNG files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from infra.simulate import measure
from infra.simulate.fairness import TENANTS as ELASTIC
from infra.simulate.fairness import WITHIN, Fairness
from infra.simulate.overload import CONTROLS, GUARANTEED, SPOT, Overload
from infra.simulate.report import Figures
from infra.simulate.workloads import Floats
from infra.simulate.world import Run
from streams.errors import BadInput

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BINS = 30
"""Of a run's time, in which percentiles are taken."""
LEAST_SERVED, MOST_UNFINISHED = 5, 0.01
"""A percentile of fewer says nothing, nor one of those who had luck while others were still waiting when the run ended."""
SMOOTH_S = 15
BLUE, ORANGE, GREY = "#2563eb", "#ea8a1f", "#64748b"
FOUR = ("#2563eb", "#0f9d76", "#d9488b", "#ea8a1f")
TITLES = {
    "token_pools": "token pools",
    "none": "no control",
    "rate_limit": "rate limit",
    "dedicated": "dedicated endpoints",
}


def overload_picture(outcome: Overload, figures: Figures, path: Path) -> None:
    """Latency, time to first token, throughput and utilisation over time: a column for each control.

    Raises:
        BadInput: the file can't be written.
    """
    figure, axes = canvas(4, len(CONTROLS), (14.0, 9.6), figures)
    for column, name in enumerate(CONTROLS):
        run, row = outcome.runs[name], figures[name]
        axes[0, column].set_title(f"{TITLES[name]}\n{_verdict(name, row)}", fontsize=9.5)
        for place, to_first_token in ((0, False), (1, True)):
            _latencies(axes[place, column], run, to_first_token=to_first_token)
        axes[0, column].axhline(figures["unloaded"]["guaranteed_p99_ms"] / 1000, color="black", lw=0.9, ls=":")
        _throughput(axes[2, column], run, figures["spot_capacity_tokens_s"])
        _utilisation(axes[3, column], run, name)
        axes[3, column].set_xlabel("seconds")
    for place, label in enumerate(("latency, s", "time to first token, s", "tokens/s", "share of sequences running")):
        axes[place, 0].set_ylabel(label)
    axes[0, 0].plot([], [], color="black", lw=0.9, ls=":", label="guaranteed P99 unloaded")
    share_limits(axes)
    legend(figure, axes[0, 0])
    write(figure, path)


def fairness_picture(outcome: Fairness, figures: Figures, path: Path) -> None:
    """Shares of the tokens over time against the entitled ones, the distance from them, and debts: with and without debt.

    Raises:
        BadInput: the file can't be written.
    """
    figure, axes = canvas(3, 2, (12.0, 9.6), figures)
    for column, name in enumerate(("debt", "no_debt")):
        row = figures[name]
        converged = "never" if row["converged_s"] is None else f"{row['converged_s']} s after the cut"
        title = "with debt" if name == "debt" else "without debt (recorded, but it weighs nothing)"
        axes[0, column].set_title(
            f"{title}\nworst share off by {row['worst_share_error']:.1%} · within 5 %: {converged} · Jain {row['jain']:.3f}",
            fontsize=10.5,
        )
        _shares(axes[0, column], outcome, name)
        _errors(axes[1, column], outcome, name)
        _debts(axes[2, column], outcome, name)
        axes[2, column].set_xlabel("seconds")
        for axis in axes[:, column]:
            axis.axvline(outcome.cut_s, color="black", lw=0.9, ls=":")
    for place, label in enumerate(
        ("share of tokens, mean of a minute", "share since the cut, off the entitled", "debt, seconds of entitlement")
    ):
        axes[place, 0].set_ylabel(label)
    axes[0, 0].plot([], [], color="black", lw=0.9, ls=":", label="half of the pool is lost")
    axes[0, 0].plot([], [], color=GREY, lw=1, ls="--", label="entitled")
    share_limits(axes)
    legend(figure, axes[0, 0])
    write(figure, path)


def canvas(rows: int, columns: int, size: tuple[float, float], figures: Figures) -> tuple[Figure, Any]:
    """A figure of axes that share the time of `figures["seconds"]`; their upper edge is left to a legend."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415  half a second that only pictures need
    from matplotlib.figure import Figure  # noqa: PLC0415  the same
    from matplotlib.layout_engine import ConstrainedLayoutEngine  # noqa: PLC0415  the same

    figure = Figure(figsize=size, dpi=90)
    figure.set_layout_engine(ConstrainedLayoutEngine(rect=(0, 0, 1, 0.955), h_pad=0.06, w_pad=0.06))
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, sharex=True, squeeze=False)
    for axis in axes.flat:
        axis.grid(visible=True, color="#e2e8f0", lw=0.6)
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(labelsize=8.5)
        axis.set_xlim(0, figures["seconds"])
    return figure, axes


def _verdict(name: str, row: Figures) -> str:
    ratio = "–" if row["guaranteed_p99_ratio"] is None else f"{row['guaranteed_p99_ratio']:,.2f}"
    first = f"guaranteed P99 {ratio} × unloaded"
    if name == "dedicated":
        return f"{first}\n{row['stranded_share']:.0%} of {row['replicas']} GPUs stranded"
    return f"{first}\n{row['utilisation']:.0%} of the GPU used"


def _latencies(axis: Axes, run: Run, *, to_first_token: bool) -> None:
    for tenant, colour, title in ((GUARANTEED, BLUE, "guaranteed"), (SPOT, ORANGE, "spot")):
        for percent, style in ((50, "--"), (99, "-")):
            middles, values = _binned(run, tenant, percent, to_first_token=to_first_token)
            axis.plot(middles, values, color=colour, ls=style, lw=1.5, label=f"{title} P{percent}")
    axis.set_yscale("log")
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:g}")


def _binned(run: Run, tenant: int, percent: float, *, to_first_token: bool) -> tuple[list[float], list[float]]:
    """Percentiles of the requests whose first try was in the same thirtieth of the run, in seconds."""
    width = run.scenario.seconds / BINS
    middles, values = [], []
    for number in range(BINS):
        between = (number * width, (number + 1) * width)
        found = measure.latencies_ms(run, tenant, to_first_token=to_first_token, arrived=between)
        if found.size >= LEAST_SERVED and measure.unfinished(run, tenant, between) <= found.size * MOST_UNFINISHED:
            middles.append((number + 0.5) * width)
            values.append(float(np.percentile(found, percent)) / 1000)
    return middles, values


def _throughput(axis: Axes, run: Run, capacity: float) -> None:
    tokens = [measure.smoothed(measure.by_second(run, tenant), SMOOTH_S) for tenant in (GUARANTEED, SPOT)]
    axis.stackplot(np.arange(tokens[0].size) + 0.5, tokens, colors=(BLUE, ORANGE), alpha=0.75, lw=0)
    axis.axhline(capacity, color="black", lw=0.9, ls="--")
    axis.annotate("– –  one replica, saturated", (0.02, 0.97), xycoords="axes fraction", va="top", fontsize=8)


def _utilisation(axis: Axes, run: Run, name: str) -> None:
    shares = _filled(run)
    if name == "dedicated":
        for replica, (colour, title) in enumerate(((BLUE, "guaranteed's replica"), (ORANGE, "spot's replica"))):
            axis.plot(np.arange(shares.shape[0]) + 0.5, measure.smoothed(shares[:, replica], SMOOTH_S), color=colour, lw=1.5)
            axis.annotate(
                title,
                (0.97, 0.52 if replica == GUARANTEED else 0.88),
                xycoords="axes fraction",
                ha="right",
                fontsize=8,
                color=colour,
            )
    else:
        axis.plot(np.arange(shares.shape[0]) + 0.5, measure.smoothed(shares[:, 0], SMOOTH_S), color=GREY, lw=1.5)
    axis.set_ylim(0, 1.05)


def _filled(run: Run) -> Floats:
    """Per second and replica, the share of what it can hold at once that ran."""
    return np.diff(np.array([moment.filled_of for moment in run.moments], np.float64), axis=0) / 1e6


def _shares(axis: Axes, outcome: Fairness, name: str) -> None:
    run = outcome.runs[name]
    tokens = np.array([measure.smoothed(measure.by_second(run, tenant), 60) for tenant in range(len(ELASTIC))])
    shares = tokens / np.maximum(tokens.sum(axis=0), 1)
    for tenant, entitled, share, colour in zip(ELASTIC, outcome.entitled, shares, FOUR, strict=True):
        axis.plot(np.arange(share.size) + 0.5, share, color=colour, lw=1.4, label=f"{tenant.name}, weight {tenant.weight}")
        axis.axhline(entitled, color=colour, lw=1, ls="--", alpha=0.8)
    axis.set_ylim(0, 0.7)


def _errors(axis: Axes, outcome: Fairness, name: str) -> None:
    so_far = outcome.shares_so_far(name) / np.array(outcome.entitled) - 1
    axis.axhspan(-WITHIN, WITHIN, color="#dcfce7", lw=0)
    for share, colour in zip(so_far.T, FOUR, strict=True):
        axis.plot(outcome.cut_s + 1 + np.arange(share.size), share, color=colour, lw=1.4)
    axis.annotate("within 5 %", (0.01, 0.0), xycoords=("axes fraction", "data"), va="center", fontsize=8, color="#15803d")
    axis.set_ylim(-0.6, 0.6)
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:+.0%}")


def _debts(axis: Axes, outcome: Fairness, name: str) -> None:
    for debts, colour in zip(outcome.debts_s[name].T, FOUR, strict=True):
        axis.plot(np.arange(debts.size), debts, color=colour, lw=1.4)
    axis.axhline(0, color=GREY, lw=0.8)


def share_limits(axes: Any) -> None:
    """Every row on one scale."""
    for row in axes:
        low, high = min(axis.get_ylim()[0] for axis in row), max(axis.get_ylim()[1] for axis in row)
        for axis in row:
            axis.set_ylim(low, high)


def legend(figure: Figure, axis: Axes) -> None:
    """One for the whole figure, above it, of what stands in one of its axes."""
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(handles, labels, loc="upper center", ncols=len(labels), frameon=False, fontsize=9.5)


def write(figure: Figure, path: Path) -> None:
    """As a PNG file.

    Raises:
        BadInput: the file can't be written.
    """
    try:
        figure.savefig(path, format="png", metadata={"Software": None})
    except OSError as error:
        raise BadInput(f"--plot {path}: {error.strerror or error}") from error
