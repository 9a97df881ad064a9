"""Charts: what a panel's rows become for Plotly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import accumulate
from textwrap import wrap
from typing import Any, ClassVar

from dashboards.store import Row

Figure = dict[str, Any]

# Paul Tol's "muted" scheme: nine colours that stay apart for colour-blind readers, and a grey for the rest.
COLOURS = ("#332288", "#88CCEE", "#44AA99", "#117733", "#999933", "#DDCC77", "#CC6677", "#882255", "#AA4499")
REST_COLOUR = "#C4C8CF"
BUY, SELL = "#117733", "#CC6677"
INK, QUIET, FAINT = "#1F2733", "#6B7686", "#E6E9EE"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
TICKS = [
    {"dtickrange": [None, 60_000 - 1], "value": "%H:%M:%S\n%e %b"},
    {"dtickrange": [60_000, 86_400_000 - 1], "value": "%H:%M\n%e %b"},
    {"dtickrange": [86_400_000, None], "value": "%e %b\n%Y"},
]
"""Labels of times by the milliseconds between two: what is below the line stands only where it changes."""
FEW = 6
NARROW = 54
"""Characters of a line of text in half the page's width."""
NO_PERIOD = "No closed period to show yet"


@dataclass(frozen=True, slots=True)
class Lines:
    """A line over time for each of the named columns: column -> label."""

    series: Mapping[str, str]
    unit: str
    nothing: str = NO_PERIOD
    filled: bool = True
    """The first, down to zero."""

    def draw(self, rows: Sequence[Row]) -> Figure:
        """The figure; without rows its axes say that there is nothing yet."""
        times = [utc(row["period_start"]) for row in rows]
        traces = [
            {
                "type": "scatter",
                "mode": "lines",
                "name": label,
                "x": times,
                "y": [row[column] for row in rows],
                "line": {"color": colour, "width": 2, "dash": dash},
                "fill": "tozeroy" if self.filled and index == 0 else "none",
                "fillcolor": "rgba(136, 204, 238, 0.35)",
                "hovertemplate": f"%{{y:.1f}} {self.unit}",
            }
            for index, ((column, label), colour, dash) in enumerate(
                zip(self.series.items(), ("#332288", "#CC6677", "#117733"), ("solid", "dash", "dot"), strict=False)
            )
        ]
        return figure_of(traces if rows else [], {"ticksuffix": f" {self.unit}", "rangemode": "tozero"}, self.nothing)


@dataclass(frozen=True, slots=True)
class Stack:
    """Bars over time, stacked by the column `shown`; the value's column and its unit."""

    value: str
    unit: str
    order: tuple[str, ...] = ()
    """Of the groups, from below: each keeps its colour, whichever others there are."""
    nothing: str = NO_PERIOD
    below_zero: bool = False
    """Whether values below zero are stacked downwards."""

    def draw(self, rows: Sequence[Row]) -> Figure:
        """The figure; without an order the group in parentheses stands last, in grey."""
        groups = sorted({row["shown"] for row in rows}, key=self._place)
        values = [row[self.value] for row in rows]
        traces = []
        for index, name in enumerate(groups):
            own = [row for row in rows if row["shown"] == name]
            traces.append(
                {
                    "type": "bar",
                    "name": name,
                    "x": [utc(row["period_start"]) for row in own],
                    "y": [row[self.value] for row in own],
                    "marker": {"color": self._colour(name, index)},
                    "hovertemplate": f"%{{y:{few_digits(values)}}} {self.unit}",
                }
            )
        figure = figure_of(traces, {"tickformat": axis_digits(values), "rangemode": "tozero"} | self._whole(rows), self.nothing)
        figure["layout"] |= {"barmode": "relative" if self.below_zero else "stack", "bargap": 0.12}
        return figure

    def _whole(self, rows: Sequence[Row]) -> dict[str, int]:
        """Of a few things there is no half."""
        heights: Counter[Any] = Counter()
        for row in rows:
            heights[row["period_start"]] += abs(row[self.value])
        few = 0 < max(heights.values(), default=0) <= FEW and all(isinstance(height, int) for height in heights.values())
        return {"dtick": 1} if few else {}

    def _place(self, name: str) -> tuple[int, str]:
        if name in self.order:
            return self.order.index(name), name
        return len(self.order) + name.startswith("("), name

    def _colour(self, name: str, index: int) -> str:
        if name in self.order:
            return COLOURS[self.order.index(name) % len(COLOURS)]
        return REST_COLOUR if name.startswith("(") else COLOURS[index % len(COLOURS)]


@dataclass(frozen=True, slots=True)
class Style:
    """Of a line that is known by name. `steps`: it holds until its next value."""

    colour: str
    dash: str = "solid"
    steps: bool = True
    filled: bool = False
    width: float = 2


@dataclass(frozen=True, slots=True)
class Series:
    """Lines over time, one for each value of `shown`: those with a style in its order, others by name in the next free colour."""

    unit: str
    styles: Mapping[str, Style]
    nothing: str
    below_zero: bool = False
    from_zero: bool = True
    """Whether the axis begins there, if nothing is below it."""
    steps: bool = True
    """Of lines without a style."""
    ordered: bool = False
    """Whether the others stand as the rows have them, not by name."""

    def draw(self, rows: Sequence[Row]) -> Figure:
        """The figure; rows have `time`, `shown` and `value`."""
        named = list(self.styles)
        come = dict.fromkeys(row["shown"] for row in rows)
        names = sorted(come if self.ordered else sorted(come), key=lambda name: named.index(name) if name in named else len(named))
        traces = []
        for index, name in enumerate(names):
            own = [row for row in rows if row["shown"] == name]
            style = self.styles.get(name) or Style(COLOURS[index % len(COLOURS)], steps=self.steps)
            traces.append(
                {
                    "type": "scatter",
                    "mode": "lines",
                    "name": name,
                    "x": [utc(row["time"]) for row in own],
                    "y": [row["value"] for row in own],
                    "line": {
                        "color": style.colour,
                        "width": style.width,
                        "dash": style.dash,
                        "shape": "hv" if style.steps else "linear",
                    },
                    "fill": "tozeroy" if style.filled else "none",
                    "fillcolor": f"{style.colour}33",
                    "hovertemplate": f"%{{y:,.4~r}} {self.unit}",
                }
            )
        axis = (
            {"tickformat": axis_digits([row["value"] for row in rows])}
            if not self.below_zero
            else {"zeroline": True, "zerolinecolor": QUIET}
        )
        begins = "tozero" if self.from_zero and not self.below_zero else "normal"
        return figure_of(traces, {**axis, "rangemode": begins}, self.nothing)


@dataclass(frozen=True, slots=True)
class Candles:
    """Prices as candles, and below them, on the same axis of time, the volume of each minute."""

    nothing: str

    def draw(self, rows: Sequence[Row]) -> Figure:
        """The figure; a minute without trades is a gap."""
        times = [utc(row["minute"]) for row in rows]
        candles = {
            "type": "candlestick",
            "name": "price",
            "x": times,
            **{part: [row[part] for row in rows] for part in ("open", "high", "low", "close")},
            "increasing": {"line": {"color": BUY, "width": 1.5}, "fillcolor": BUY},
            "decreasing": {"line": {"color": SELL, "width": 1.5}, "fillcolor": SELL},
        }
        volume = {
            "type": "bar",
            "name": "volume",
            "x": times,
            "y": [row["volume"] for row in rows],
            "yaxis": "y2",
            "marker": {"color": [BUY if row["close"] >= row["open"] else SELL for row in rows], "opacity": 0.55},
            "customdata": [row["trades"] for row in rows],
            "hovertemplate": "%{y:,} tokens in %{customdata:,} trades",
        }
        price_axis = {"domain": [0.32, 1], "title": {"text": "nanocredits/token", "standoff": 8}, "tickformat": ",~r"}
        figure = figure_of([candles, volume] if rows else [], price_axis, self.nothing)
        if rows:
            layout = figure["layout"]
            layout |= {
                "showlegend": False,
                "bargap": 0.3,
                "yaxis2": {
                    **layout["yaxis"],
                    "domain": [0, 0.22],
                    "title": {"text": "tokens", "standoff": 8},
                    "tickformat": "~s",
                    "rangemode": "tozero",
                    "nticks": 4,
                },
            }
            layout["margin"] |= {"l": 78}
            layout["xaxis"] |= {"rangeslider": {"visible": False}, "anchor": "y2", "hoverformat": "%H:%M UTC, %e %B"}
            if len(rows) == 1:  # one candle would fill the chart from edge to edge
                moment = rows[0]["minute"]
                layout["xaxis"]["range"] = [utc(moment - timedelta(minutes=10)), utc(moment + timedelta(minutes=10))]
        return figure


@dataclass(frozen=True, slots=True)
class Depth:
    """Tokens that are asked for at a price or better, and those that are offered, as steps from the best price outward."""

    nothing: str

    def draw(self, rows: Sequence[Row]) -> Figure:
        """The figure; rows are price levels with `side`, `price`, `tokens` and `orders`, the best of each side first."""
        traces = [self._side(name, colour, [row for row in rows if row["side"] == side]) for side, name, colour in self._SIDES]
        figure = figure_of(
            [trace for trace in traces if trace["x"]],
            {"rangemode": "tozero", "tickformat": "~s", "title": {"text": "tokens, cumulated", "standoff": 8}},
            self.nothing,
        )
        if rows:
            layout = figure["layout"]
            layout["xaxis"] |= {"type": "linear", "hoverformat": ",", "tickformat": ",~r", "title": {"text": "nanocredits/token"}}
            layout["margin"] |= {"b": 52, "l": 78}
            layout |= {
                "hovermode": "closest",
                "legend": {"orientation": "h", "x": 0.5, "y": 1.02, "xanchor": "center", "yanchor": "bottom"},
            }
        return figure

    _SIDES: ClassVar[tuple[tuple[str, str, str], ...]] = (("buy", "bids", BUY), ("sell", "asks", SELL))

    def _side(self, name: str, colour: str, levels: Sequence[Row]) -> dict[str, Any]:
        return {
            "type": "scatter",
            "mode": "lines+markers",
            "name": name,
            "x": [level["price"] for level in levels],
            "y": list(accumulate(level["tokens"] for level in levels)),
            # From the best price outward a level holds up to the next one.
            "line": {"color": colour, "width": 2, "shape": "hv"},
            "marker": {"size": 5, "color": colour},
            "fill": "tozeroy",
            "fillcolor": f"{colour}33",
            "customdata": [[level["tokens"], level["orders"]] for level in levels],
            "hovertemplate": "%{x:,} nanocredits/token<br>%{customdata[0]:,} tokens in %{customdata[1]:,} orders<br>"
            "%{y:,} tokens at this price or better<extra>" + name + "</extra>",
        }


_THOUSAND = 1_000
"""From here on numbers are written with a letter. Below 1 d3 would write 200m of 0.2."""


def axis_digits(values: Iterable[float | None]) -> str:
    """How an axis of these values is written, in d3's words."""
    return "~s" if _largest(values) >= _THOUSAND else ",~r"


def few_digits(values: Iterable[float | None]) -> str:
    """How one of these values is written with four digits, in d3's words."""
    return ".4s" if _largest(values) >= _THOUSAND else ",.4~r"


def _largest(values: Iterable[float | None]) -> float:
    return max((abs(value) for value in values if value is not None), default=0)


def utc(moment: Any) -> str:
    """Plotly takes a time without a zone as it is, so that the axis shows UTC whatever the browser's zone."""
    return str(moment.strftime("%Y-%m-%d %H:%M:%S.%f"))[:-3]


def figure_of(traces: list[dict[str, Any]], y_axis: dict[str, Any], nothing: str = NO_PERIOD) -> Figure:
    """A figure over time in the page's style; without traces it says that there is nothing."""
    axis = {"gridcolor": FAINT, "linecolor": FAINT, "zeroline": False, "fixedrange": False}
    layout: dict[str, Any] = {
        "font": {"family": FONT, "size": 13, "color": INK},
        "margin": {"l": 64, "r": 16, "t": 8, "b": 40},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "hovermode": "x unified",
        "showlegend": True,
        "legend": {"orientation": "v", "x": 1.01, "y": 1, "xanchor": "left", "traceorder": "reversed"},
        "xaxis": {**axis, "type": "date", "tickangle": 0, "hoverformat": "%H:%M:%S UTC, %e %B", "tickformatstops": TICKS},
        "yaxis": {**axis, **y_axis},
        "uirevision": "kept",  # zoom and hidden series stay when new data arrive
    }
    if not traces:
        layout |= {
            "xaxis": {"visible": False},
            "yaxis": {"visible": False},
            "annotations": [{"text": "<br>".join(wrap(nothing, NARROW)), "showarrow": False, "font": {"size": 16, "color": QUIET}}],
        }
    return {"data": traces, "layout": layout}
