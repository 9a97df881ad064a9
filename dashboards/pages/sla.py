"""Latencies against SLAs, and whose bases moved for it."""

from __future__ import annotations

from dashboards import formats
from dashboards.blocks import Column, Table, Tile, Tiles
from dashboards.figures import SELL, Series, Stack, Style
from dashboards.panel import Page, Panel, tokens_column
from schemas.loops import BaseReason

NO_SLA = "No tenant of this pool has an SLA"
NOT_MOVED = "No base was moved"
REASONS = tuple(map(str, BaseReason))
COUNTS = dict.fromkeys(("tenants", "boosts", "changes"), formats.tokens)

PANELS: tuple[Panel, ...] = (
    Panel(
        "sla_pool",
        "",
        "",
        Tiles(
            (
                Tile(
                    "attained",
                    "SLA attained",
                    "of tenants' periods",
                    formats.percent,
                    "latency at the quantile {sla_quantile}",
                    {"sla_quantile": str},
                ),
                Tile("exceeding", "Exceeding now", "tenants", formats.tokens, "of {tenants} with an SLA", COUNTS),
                Tile("boosted", "Boosts", "tokens", formats.tokens, "of {boosts} tenants", COUNTS),
                Tile("payers", "Paid by", "tenants", formats.tokens, "{changes} moves in these periods", COUNTS),
                Tile("resting", "Given up on", "tenants", formats.tokens, "for now: more tokens did not help"),
            )
        ),
    ),
    Panel(
        "sla_latency",
        "Latency against SLA",
        "percent of the SLA, worst tenants",
        Series("% of SLA", {"SLA": Style(SELL, "dash", steps=False, width=2.5)}, NO_SLA),
    ),
    Panel(
        "sla_boosts",
        "Boosts, and who paid",
        "tokens; below 0: lent to others",
        Stack("tokens", "tokens", nothing=NOT_MOVED, below_zero=True),
    ),
    Panel("sla_bases", "Bases in effect", "tokens, of those that moved most", Series("tokens", {}, NOT_MOVED)),
    Panel("sla_reasons", "Why bases moved, or did not", "decisions by reason", Stack("decisions", "decisions", REASONS, NOT_MOVED)),
    Panel(
        "sla_tenants",
        "Tenants",
        "latest period; attained and exceeded in the periods shown",
        Table(
            (
                Column("tenant", "Tenant"),
                Column("sla_ms", "SLA", "ms", formats.tokens),
                Column("latency_ms", "Latency", "ms", formats.tokens, bar_of="sla_ms"),
                Column("requests", "Requests", "", formats.tokens),
                Column("attained", "Attained", "of periods", formats.percent),
                Column("exceeded", "Exceeded", "periods", formats.tokens),
                tokens_column("boost", "Boost"),
                tokens_column("paid", "Lent"),
                Column("resting", "Given up for", "periods", formats.tokens),
            ),
            NO_SLA,
        ),
    ),
    Panel(
        "sla_changes",
        "Changes",
        "the 100 latest",
        Table(
            (
                Column("period_start", "Period", "UTC", formats.clock_time),
                Column("tenant", "Tenant"),
                Column("kind", "What"),
                Column("moved", "Moved", "tokens", formats.moved),
                tokens_column("before", "Before"),
                tokens_column("after", "After"),
                Column("reason", "Why"),
                Column("counterparty", "Other side"),
            ),
            NOT_MOVED,
        ),
    ),
)

PAGE = Page("/sla", "SLA", PANELS, ("periods", "tenant"))
