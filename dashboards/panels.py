"""The page's panels. Another one is a file in `sql/` and an entry in PANELS; Grafana gets it too (`make render`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dash import html
from dash.development.base_component import Component

from dashboards import formats
from dashboards.store import Row

Figure = dict[str, Any]

# Paul Tol's "muted" scheme: nine colours that stay apart for colour-blind readers, and a grey for the rest.
COLOURS = ("#332288", "#88CCEE", "#44AA99", "#117733", "#999933", "#DDCC77", "#CC6677", "#882255", "#AA4499")
REST_COLOUR = "#C4C8CF"
NOTHING_YET = "No closed period to show yet"
INK, FAINT = "#1F2733", "#E6E9EE"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


@dataclass(frozen=True, slots=True)
class Lines:
    """A line over time for each of the named columns: column -> label. The first is filled."""

    series: Mapping[str, str]
    unit: str

    def draw(self, rows: Sequence[Row]) -> Figure:
        """The figure; without rows its axes say that there is nothing yet."""
        times = [_utc(row["period_start"]) for row in rows]
        traces = [
            {
                "type": "scatter",
                "mode": "lines",
                "name": label,
                "x": times,
                "y": [row[column] for row in rows],
                "line": {"color": colour, "width": 2, "dash": dash},
                "fill": "tozeroy" if index == 0 else "none",
                "fillcolor": "rgba(136, 204, 238, 0.35)",
                "hovertemplate": f"%{{y:.1f}} {self.unit}",
            }
            for index, ((column, label), colour, dash) in enumerate(
                zip(self.series.items(), ("#332288", "#CC6677", "#117733"), ("solid", "dash", "dot"), strict=False)
            )
        ]
        return _figure(traces if rows else [], {"ticksuffix": f" {self.unit}", "rangemode": "tozero"})


@dataclass(frozen=True, slots=True)
class Stack:
    """Bars over time, stacked by the column `shown`; the value's column and its unit."""

    value: str
    unit: str

    def draw(self, rows: Sequence[Row]) -> Figure:
        """The figure; the group in parentheses stands last, in grey."""
        groups = sorted({row["shown"] for row in rows}, key=lambda name: (name.startswith("("), name))
        traces = []
        for index, name in enumerate(groups):
            own = [row for row in rows if row["shown"] == name]
            traces.append(
                {
                    "type": "bar",
                    "name": name,
                    "x": [_utc(row["period_start"]) for row in own],
                    "y": [row[self.value] for row in own],
                    "marker": {"color": REST_COLOUR if name.startswith("(") else COLOURS[index % len(COLOURS)]},
                    "hovertemplate": f"%{{y:.4s}} {self.unit}",
                }
            )
        figure = _figure(traces, {"tickformat": "~s", "rangemode": "tozero"})
        figure["layout"] |= {"barmode": "stack", "bargap": 0.12}
        return figure


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table: heading, unit, how its numbers are written; `bar_of` names the column it is a part of."""

    name: str
    heading: str
    unit: str = ""
    format: formats.Format | None = None
    bar_of: str | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """Rows as they come."""

    columns: tuple[Column, ...]

    def draw(self, rows: Sequence[Row]) -> Component:
        """An HTML table; numbers are right-aligned, the unit stands in the heading."""
        heading = [html.Th([column.heading, html.Small(column.unit)], className=_alignment(column)) for column in self.columns]
        body = [html.Tr([self._cell(column, row) for column in self.columns]) for row in rows]
        if not rows:
            body = [html.Tr(html.Td(NOTHING_YET, colSpan=len(self.columns), className="nothing"))]
        return html.Table([html.Thead(html.Tr(heading)), html.Tbody(body)], className="rows")

    def _cell(self, column: Column, row: Row) -> Component:
        value = row[column.name]
        text = column.format(value) if column.format else str(value)
        if column.bar_of is None:
            return html.Td(text, className=_alignment(column))
        whole = row[column.bar_of]
        share = 100 * value / whole if whole else 100.0 if value else 0.0
        over = " over" if share > 100 else ""
        bar = html.Div(html.Div(style={"width": f"{min(share, 100):.1f}%"}, className="part" + over), className="bar")
        return html.Td([text, bar], className="number", title=f"{share:.0f} % of {column.bar_of}")


@dataclass(frozen=True, slots=True)
class Tile:
    """One large number: its column, label and format; `note` is a pattern over the formatted `note_columns`."""

    column: str
    label: str
    unit: str
    format: formats.Format
    note: str = ""
    note_columns: Mapping[str, formats.Format] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tiles:
    """Large numbers from a query that gives one row."""

    tiles: tuple[Tile, ...]

    def draw(self, rows: Sequence[Row]) -> Component:
        """The tiles, with dashes where there is no row."""
        row = rows[0] if rows else {}
        return html.Div([self._tile(tile, row) for tile in self.tiles], className="tiles")

    def _tile(self, tile: Tile, row: Row) -> Component:
        note = tile.note.format(**{name: show(row[name]) for name, show in tile.note_columns.items()}) if row else ""
        value: list[str | Component] = [
            tile.format(row.get(tile.column)),
            html.Span(f" {tile.unit}" if tile.unit else "", className="unit"),
        ]
        return html.Div(
            [html.Div(tile.label, className="label"), html.Div(value, className="value"), html.Div(note, className="note")]
        )


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel: `name` is its SQL file's and its element's; `unit` is told beside the title."""

    name: str
    title: str
    unit: str
    kind: Lines | Stack | Table | Tiles

    @property
    def is_figure(self) -> bool:
        """Whether it is a chart, which keeps its zoom when it is refreshed."""
        return isinstance(self.kind, Lines | Stack)


def _tokens_column(name: str, heading: str, bar_of: str | None = None) -> Column:
    return Column(name, heading, "tokens", formats.tokens, bar_of)


PANELS: tuple[Panel, ...] = (
    Panel(
        "latest",
        "",
        "",
        Tiles(
            (
                Tile(
                    "utilisation",
                    "Utilisation",
                    "",
                    formats.percent,
                    "{used} of {capacity} tokens",
                    {"used": formats.tokens, "capacity": formats.tokens},
                ),
                Tile(
                    "allocated",
                    "Allocated",
                    "tokens",
                    formats.tokens,
                    "in {period_s} s, policy {policy}",
                    {"period_s": str, "policy": str},
                ),
                Tile("price", "Surplus price", "nanocredits/token", formats.tokens),
                Tile("charged", "Charged", "credits", formats.credits_of, "in the latest period"),
                Tile("tenants", "Tenants", "", formats.tokens),
            )
        ),
    ),
    Panel(
        "utilisation",
        "Pool utilisation",
        "percent of capacity, by period",
        Lines({"used_percent": "used", "allocated_percent": "allocated"}, "%"),
    ),
    Panel("allocation", "Allocation by tenant", "tokens per period", Stack("allocated", "tokens")),
    Panel(
        "latest_period",
        "Latest period",
        "the 200 largest allocations",
        Table(
            (
                Column("tenant", "Tenant"),
                _tokens_column("base", "Base"),
                _tokens_column("demand", "Demand"),
                _tokens_column("bid", "Bid"),
                _tokens_column("surplus", "Surplus"),
                _tokens_column("allocated", "Allocated"),
                _tokens_column("used", "Used", bar_of="allocated"),
                Column("charge", "Charge", "credits", formats.credits_of),
                Column("budget_left", "Budget left", "credits", formats.credits_of),
            )
        ),
    ),
)


def _alignment(column: Column) -> str:
    return "number" if column.format else "text"


def _utc(moment: Any) -> str:
    """Plotly takes a time without a zone as it is, so that the axis shows UTC whatever the browser's zone."""
    return str(moment.strftime("%Y-%m-%d %H:%M:%S.%f"))[:-3]


def _figure(traces: list[dict[str, Any]], y_axis: dict[str, Any]) -> Figure:
    axis = {"gridcolor": FAINT, "linecolor": FAINT, "zeroline": False, "fixedrange": False}
    layout: dict[str, Any] = {
        "font": {"family": FONT, "size": 13, "color": INK},
        "margin": {"l": 64, "r": 16, "t": 8, "b": 40},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "hovermode": "x unified",
        "showlegend": True,
        "legend": {"orientation": "v", "x": 1.01, "y": 1, "xanchor": "left", "traceorder": "reversed"},
        "xaxis": {**axis, "type": "date", "hoverformat": "%H:%M:%S UTC, %e %B"},
        "yaxis": {**axis, **y_axis},
        "uirevision": "kept",  # zoom and hidden series stay when new data arrive
    }
    if not traces:
        layout |= {
            "xaxis": {"visible": False},
            "yaxis": {"visible": False},
            "annotations": [{"text": NOTHING_YET, "showarrow": False, "font": {"size": 16, "color": "#6B7686"}}],
        }
    return {"data": traces, "layout": layout}
