"""What other policies would have made of what happened: the latest backtest that was recorded."""

from __future__ import annotations

from dashboards import formats
from dashboards.bars import Bars, Measure
from dashboards.blocks import Column, Table
from dashboards.figures import Series, Style
from dashboards.panel import Page, Panel, tokens_column

COMMAND = "bourse backtest --policy uniform_price --policy max_min --record"
NO_BACKTEST = f"No backtest of this pool was recorded; this records one: {COMMAND}"
FILE = "backtest"
RECORDED = {"as recorded": Style("#5B6676", "dash", steps=False, width=2.5)}
"""What happened, beside the variants."""


def _over_time(measure: str, title: str, shown: str, unit: str, *, from_zero: bool = True) -> Panel:
    """A measure of every variant, period by period."""
    kind = Series(unit, RECORDED, NO_BACKTEST, from_zero=from_zero, steps=False, ordered=True)
    return Panel(f"backtest_{measure}", title, shown, kind, file="backtest_periods", told={"measure": measure})


PANELS: tuple[Panel, ...] = (
    Panel(
        "backtest",
        "Policies side by side",
        "the recorded journal under each; higher is better but for what is unmet",
        Bars(
            (
                Measure("welfare_share", "Welfare / optimum", formats.share),
                Measure("jain", "Jain's index", formats.index),
                Measure("revenue", "Revenue, credits", formats.credits_of, is_share=False),
                Measure("utilisation", "Utilisation", formats.share),
                Measure("unmet_share", "Unmet / demand", formats.share),
                Measure("sla_low", "Within SLA", formats.share),
            ),
            NO_BACKTEST,
        ),
        wide=True,
        height=460,
    ),
    _over_time("welfare", "Welfare over time", "percent of the optimum", "%", from_zero=False),
    _over_time("unmet", "Unmet demand over time", "percent of demand", "%"),
    _over_time("revenue", "Revenue over time", "credits per period", "credits"),
    _over_time("price", "Surplus price over time", "nanocredits per token, mean", "nanocredits/token"),
    Panel(
        "backtest_variants",
        "All figures",
        "of the latest backtest that was recorded",
        Table(
            (
                Column("variant", "Variant"),
                Column("from_time", "From", "UTC", formats.moment),
                Column("to_time", "To", "UTC", formats.moment),
                Column("periods", "Periods", "", formats.tokens),
                Column("revenue", "Revenue", "credits", formats.credits_of),
                tokens_column("served", "Served"),
                Column("unmet_share", "Unmet", "of demand", formats.share),
                Column("utilisation", "Utilisation", "of capacity", formats.share),
                Column("jain", "Jain's index", "", formats.index),
                Column("welfare_share", "Welfare", "of the optimum", formats.share),
                Column("sla_low", "Within SLA", "at least", formats.share),
                Column("sla_high", "Within SLA", "at most", formats.share),
                Column("budget_use", "Budgets", "charged", formats.share),
            ),
            NO_BACKTEST,
        ),
        file=FILE,
    ),
)

PAGE = Page("/policies", "Policies", PANELS, ())
