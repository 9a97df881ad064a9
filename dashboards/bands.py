"""What was forecast against what came: lines, and the quantiles as bands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dashboards.figures import COLOURS, INK, Figure, axis_digits, few_digits, figure_of, utc
from dashboards.store import Row

MEAN = COLOURS[6]
BAND = "136, 204, 238"


@dataclass(frozen=True, slots=True)
class Bands:
    """Rows have `period_start`, `used`, `mean`, and the quantiles `p50`, `p90`, `p99`, or nulls for what is not known."""

    unit: str
    nothing: str

    def draw(self, rows: Sequence[Row]) -> Figure:
        """The figure; a quantile that is never known is left out."""
        lines: list[tuple[str, str, dict[str, Any]]] = [
            ("p50", "median", {"line": {"color": f"rgb({BAND})", "width": 1.5, "dash": "dot"}}),
            ("p90", "up to p90", self._band(0.50)),
            ("p99", "up to p99", self._band(0.22)),
            ("mean", "forecast: mean", {"line": {"color": MEAN, "width": 2}}),
            ("used", "used", {"line": {"color": INK, "width": 2}}),
        ]
        times = [utc(row["period_start"]) for row in rows]
        values = [row[column] for row in rows for column, _, _ in lines]
        traces = [
            {
                "type": "scatter",
                "mode": "lines",
                "name": label,
                "x": times,
                "y": [row[column] for row in rows],
                "hovertemplate": f"%{{y:{few_digits(values)}}} {self.unit}",
                **style,
            }
            for column, label, style in lines
            if any(row[column] is not None for row in rows)
        ]
        return figure_of(traces, {"tickformat": axis_digits(values), "rangemode": "normal"}, self.nothing)

    def _band(self, opacity: float) -> dict[str, Any]:
        """From the quantile before it up to this one."""
        return {
            "line": {"color": f"rgba({BAND}, 0.9)", "width": 0.5},
            "fill": "tonexty",
            "fillcolor": f"rgba({BAND}, {opacity})",
        }
