"""How well demand was foretold."""

from __future__ import annotations

from dashboards import formats
from dashboards.bands import Bands
from dashboards.blocks import Column, Table, Tile, Tiles
from dashboards.figures import Lines
from dashboards.panel import Page, Panel

NOT_FORECAST = "Nothing was forecast for a period that has closed"
POINTS = "60"
"""Of a chart over time, at most: more could not be told apart."""

FEW_POINTS = "12"
"""Of what only many periods together can tell."""

SCORE = "forecast_score"

PANELS: tuple[Panel, ...] = (
    Panel(
        "forecast_score",
        "",
        "",
        Tiles(
            (
                Tile(
                    "error",
                    "Forecast error",
                    "of use",
                    formats.percentage,
                    "last value: {last_value_error}",
                    {"last_value_error": formats.percentage},
                ),
                Tile("against_last_value", "Against last value", "", formats.change, "below 0: the forecast is better"),
                Tile(
                    "within_p90",
                    "Within p90",
                    "of use",
                    formats.percentage,
                    "p50 {within_p50} · p99 {within_p99}",
                    {"within_p50": formats.percentage, "within_p99": formats.percentage},
                ),
                Tile("used", "Used", "tokens", formats.tokens, "in {scored} periods", {"scored": formats.tokens}),
                Tile("tenants", "Tenants", "", formats.tokens, "forecaster {forecaster}", {"forecaster": str}),
            )
        ),
        told={"points": "1", "by": "time"},
    ),
    Panel(
        "forecast",
        "Forecast and use",
        "tokens per period; bands of quantiles for one tenant",
        Bands("tokens", NOT_FORECAST),
        wide=True,
    ),
    Panel(
        "forecast_error",
        "Error over time",
        "percent of use: sum of |used - forecast|",
        Lines({"error": "forecast", "last_value_error": "last value"}, "%", NOT_FORECAST),
        file=SCORE,
        told={"points": POINTS, "by": "time"},
    ),
    Panel(
        "forecast_coverage",
        "Use within the quantiles",
        "percent of use in periods that did not exceed them",
        Lines({"within_p99": "p99", "within_p90": "p90", "within_p50": "p50"}, "%", NOT_FORECAST, filled=False),
        file=SCORE,
        told={"points": FEW_POINTS, "by": "time"},
    ),
    Panel(
        "forecast_tenants",
        "Tenants",
        "the 100 whose errors weigh most, over the periods shown",
        Table(
            (
                Column("of", "Tenant"),
                Column("used", "Used", "tokens", formats.tokens),
                Column("error", "Error", "of use", formats.percentage),
                Column("last_value_error", "Last value", "of use", formats.percentage),
                Column("against_last_value", "Against it", "below 0: better", formats.change),
                Column("part", "Part of all errors", "", formats.share),
                Column("within_p50", "Within p50", "of use", formats.percentage),
                Column("within_p90", "Within p90", "of use", formats.percentage),
                Column("within_p99", "Within p99", "of use", formats.percentage),
            ),
            NOT_FORECAST,
        ),
        file=SCORE,
        told={"points": "1", "by": "tenant"},
    ),
)

PAGE = Page("/forecasts", "Forecasts", PANELS, ("periods", "tenant"))
