"""Several measures of the same few variants, each on a scale of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dashboards import formats
from dashboards.figures import COLOURS, INK, REST_COLOUR, Figure, figure_of
from dashboards.store import Row

COLUMNS = 3
GAP, HEADING = 0.05, 0.11
"""Parts of the width and of the height that are left between two charts."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A column, and how it is told."""

    column: str
    label: str
    format: formats.Format
    is_share: bool = True
    """From 0 to 1."""


@dataclass(frozen=True, slots=True)
class Bars:
    """A small bar chart for each measure, a bar for each row; the column `variant` names it, and the first is what happened."""

    measures: tuple[Measure, ...]
    nothing: str

    def draw(self, rows: Sequence[Row]) -> Figure:
        """The figure; a measure that nobody knows of a variant has no bar there."""
        if not rows:
            return figure_of([], {}, self.nothing)
        figure = figure_of(
            [self._bar(place, row, index) for place in range(len(self.measures)) for index, row in enumerate(rows)], {}
        )
        layout = figure["layout"]
        axis = {key: value for key, value in layout["yaxis"].items() if key != "tickformat"}
        for place, measure in enumerate(self.measures):
            across, down = self._domain(place)
            number = place + 1 if place else ""
            layout[f"xaxis{number}"] = {"domain": across, "anchor": f"y{number}", "visible": False, "type": "category"}
            top = 1.18 * max((row[measure.column] or 0 for row in rows), default=0) or 1
            layout[f"yaxis{number}"] = {**axis, "domain": down, "anchor": f"x{number}", "range": [0, top], "showticklabels": False}
        layout |= {
            "bargap": 0.25,
            "hovermode": "closest",
            "legend": {"orientation": "h", "x": 0, "y": 0, "yref": "container", "xanchor": "left", "yanchor": "bottom"},
            "annotations": [self._heading(place) for place in range(len(self.measures))],
        }
        layout["margin"] |= {"l": 16, "b": 48}
        return figure

    def _domain(self, place: int) -> tuple[list[float], list[float]]:
        """Where a measure's chart is, from left to right and from below."""
        lines = -(-len(self.measures) // COLUMNS)
        width, height = 1 / COLUMNS, 1 / lines
        left, bottom = place % COLUMNS * width, (lines - 1 - place // COLUMNS) * height
        return [left, left + width - (GAP if place % COLUMNS < COLUMNS - 1 else 0)], [bottom, bottom + height - HEADING]

    def _bar(self, place: int, row: Row, index: int) -> dict[str, Any]:
        measure, number = self.measures[place], place + 1 if place else ""
        value = row[measure.column]
        return {
            "type": "bar",
            "name": row["variant"],
            "legendgroup": row["variant"],
            "showlegend": place == 0,
            "xaxis": f"x{number}",
            "yaxis": f"y{number}",
            "x": [row["variant"]],
            "y": [value],
            "text": [measure.format(value)],
            "textposition": "outside",
            "cliponaxis": False,
            "textfont": {"size": 12, "color": INK},
            "marker": {"color": REST_COLOUR if index == 0 else COLOURS[index % len(COLOURS)]},
            "hovertemplate": f"%{{x}}: %{{text}}<extra>{measure.label}</extra>",
        }

    def _heading(self, place: int) -> dict[str, Any]:
        (left, _), (_, top) = self._domain(place)
        return {
            "text": f"<b>{self.measures[place].label}</b>",
            "xref": "paper",
            "yref": "paper",
            "x": left,
            "y": top,
            "xanchor": "left",
            "yanchor": "bottom",
            "showarrow": False,
            "font": {"size": 13, "color": INK},
        }
