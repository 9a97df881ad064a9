"""What gateways admitted and refused, how long requests took, and which part of the pool each gateway may use."""

from __future__ import annotations

from dashboards import formats
from dashboards.blocks import Column, Table, Tile, Tiles
from dashboards.figures import BUY, COLOURS, SELL, Series, Stack, Style
from dashboards.pages.token_pools import NOT_REFUSED, REASONS
from dashboards.panel import Page, Panel

NOTHING_ASKED = "No gateway reported requests in these periods"
NOT_MEASURED = "No request was answered in these periods"
NOT_LEASED = "No gateway has a part of this pool"
NOT_SCALED = "Nobody is asked for replicas of this pool"
OUTCOMES = ("admitted", "429: own limit", "503: pool", "503: no limits")
BASES = ("reported", "counted", "reserved")
LATENCIES = {
    "P99": Style(COLOURS[0], steps=False),
    "P50": Style(COLOURS[0], "dot", steps=False),
    "first token P99": Style(COLOURS[2], steps=False),
    "first token P50": Style(COLOURS[2], "dot", steps=False),
    "SLA": Style(SELL, "dash", steps=False, width=2.5),
}
"""Of one tenant; of a whole pool each tenant has a line."""
REPLICAS = {
    "provisioned": Style(COLOURS[0], filled=True),
    "asked for": Style(SELL, "dash", width=3),
    "needed": Style(COLOURS[5], "dot"),
    "promised": Style(BUY, "dot"),
}

PANELS: tuple[Panel, ...] = (
    Panel(
        "gateway_pool",
        "",
        "",
        Tiles(
            (
                Tile("per_second", "Admitted", "requests/s", formats.rate, "{admitted} requests", {"admitted": formats.tokens}),
                Tile(
                    "refused_share",
                    "Refused",
                    "of requests",
                    formats.percent,
                    "{own} by own limit · {pool_full} by the pool · {no_limits} without limits",
                    {"own": formats.tokens, "pool_full": formats.tokens, "no_limits": formats.tokens},
                ),
                Tile("latency", "Latency", "ms", formats.tokens, "99th percentile"),
                Tile("first_token", "First token", "ms", formats.tokens, "99th percentile"),
                Tile("gateways", "Gateways", "", formats.tokens, "hold a lease"),
                Tile("replicas", "Replicas", "", formats.tokens, "{wanted} asked for", {"wanted": formats.tokens}),
            )
        ),
    ),
    Panel("gateway_requests", "Requests", "by what became of them", Stack("requests", "requests", OUTCOMES, NOTHING_ASKED)),
    Panel(
        "gateway_refused",
        "Refused and stopped",
        "requests, by reason",
        Stack("requests", "requests", REASONS, NOT_REFUSED),
        "refused",
    ),
    Panel(
        "gateway_latency",
        "Latency",
        "of answered requests; of all tenants the 99th percentile",
        Series("ms", LATENCIES, NOT_MEASURED, steps=False),
    ),
    Panel(
        "leased",
        "Leases",
        "each gateway's part of the pool's capacity, or of a tenant's nominal quota",
        Series("tokens/s", {}, NOT_LEASED),
    ),
    Panel(
        "basis",
        "Tokens by basis",
        "who counted them; of all tenants the eight with most requests",
        Stack("tokens", "tokens", BASES, NOT_MEASURED),
    ),
    Panel("scaling", "Replicas", "that there are, and that are asked for", Series("replicas", REPLICAS, NOT_SCALED)),
    Panel(
        "gateway_tenants",
        "Tenants",
        "requests of the periods shown",
        Table(
            (
                Column("tenant", "Tenant"),
                Column("tier", "Tier"),
                Column("answered", "Answered", "requests", formats.tokens),
                Column("ended_otherwise", "Ended otherwise", "requests", formats.tokens),
                Column("latency_p50", "Latency P50", "ms", formats.tokens),
                Column("latency_p99", "Latency P99", "ms", formats.tokens, bar_of="sla_ms"),
                Column("sla_ms", "SLA", "ms", formats.tokens),
                Column("within", "Within SLA", "of requests", formats.share),
                Column("first_token_p50", "First token P50", "ms", formats.tokens),
                Column("first_token_p99", "First token P99", "ms", formats.tokens),
                Column("per_token", "Per token", "ms, median", formats.tokens),
            ),
            NOT_MEASURED,
        ),
    ),
    Panel(
        "gateways",
        "Gateways",
        "leases now; requests of the periods shown",
        Table(
            (
                Column("gateway", "Gateway"),
                Column("lease", "Lease"),
                Column("since", "Since", "UTC", formats.clock_time),
                Column("throughput", "Throughput", "tokens/s", formats.tokens, bar_of="capacity"),
                Column("kv", "KV cache", "blocks", formats.tokens),
                Column("concurrency", "In flight", "requests, most", formats.tokens),
                Column("admitted", "Admitted", "requests", formats.tokens),
                Column("refused", "Refused", "requests", formats.tokens),
                Column("stopped", "Stopped", "requests", formats.tokens),
            ),
            NOT_LEASED,
        ),
    ),
)

PAGE = Page("/gateway", "Gateway", PANELS, ("periods", "tenant"), "token_pools")
