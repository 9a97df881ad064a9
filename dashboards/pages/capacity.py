"""What a pool gave to whom, period by period."""

from __future__ import annotations

from dashboards import formats
from dashboards.blocks import Column, Table, Tile, Tiles
from dashboards.figures import Lines, Stack
from dashboards.panel import Page, Panel, tokens_column

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
                tokens_column("base", "Base"),
                tokens_column("demand", "Demand"),
                tokens_column("bid", "Bid"),
                tokens_column("surplus", "Surplus"),
                tokens_column("traded", "Traded"),
                tokens_column("allocated", "Allocated"),
                tokens_column("used", "Used", bar_of="allocated"),
                Column("charge", "Charge", "credits", formats.credits_of),
                Column("budget_left", "Budget left", "credits", formats.credits_of),
            )
        ),
    ),
)

PAGE = Page("/", "Capacity", PANELS, ("periods",))
