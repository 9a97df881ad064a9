"""How a token pool shares what its replicas can do."""

from __future__ import annotations

from dashboards import formats
from dashboards.blocks import Column, Table, Tile, Tiles
from dashboards.figures import BUY, COLOURS, SELL, Series, Stack, Style
from dashboards.panel import Page, Panel

TIERS = ("dedicated", "guaranteed", "elastic", "spot", "preemptible")
REASONS = (
    "own limit: tokens",
    "own limit: KV blocks",
    "own limit: slots",
    "pool: tokens",
    "pool: KV blocks",
    "pool: slots",
    "gateway: no limits",
    "stopped for others",
)
NOT_SHARED = "This is no token pool: its replicas were not stated"
NOT_REFUSED = "Nobody was refused"
QUOTAS = {
    "used": Style(COLOURS[0], steps=False, filled=True),
    "kept": Style(COLOURS[1], width=5),
    "lent": Style(COLOURS[5], width=3),
    "nominal quota": Style(BUY, "dash"),
    "promised": Style(BUY, "dash"),
    "burst limit": Style(SELL, "dot"),
    "capacity": Style(SELL),
}
"""Of a tenant quota and burst limit, of a whole pool what is promised and its capacity. What is kept may be all there is."""


def _use(dimension: str, title: str, shown: str, unit: str) -> Panel:
    """Use against quotas, in one of the dimensions that a token pool shares."""
    return Panel(f"use_{dimension}", title, shown, Series(unit, QUOTAS, NOT_SHARED), file="use", told={"dimension": dimension})


PANELS: tuple[Panel, ...] = (
    Panel(
        "token_pool",
        "",
        "",
        Tiles(
            (
                Tile(
                    "utilisation",
                    "Throughput",
                    "of capacity",
                    formats.percent,
                    "{used} of {throughput} tokens/s",
                    {"used": formats.tokens, "throughput": formats.tokens},
                ),
                Tile("promised", "Promised", "tokens/s", formats.tokens, "{replicas} replicas", {"replicas": formats.tokens}),
                Tile("lent", "Lent of it", "tokens/s", formats.tokens, "{kept} kept for tenants", {"kept": formats.tokens}),
                Tile(
                    "refused",
                    "Refused",
                    "requests",
                    formats.tokens,
                    "{admitted} admitted · {stopped} stopped",
                    {"admitted": formats.tokens, "stopped": formats.tokens},
                ),
                Tile("owed", "Owed", "tokens", formats.tokens, "to {owing} tenants", {"owing": formats.tokens}),
                Tile("short", "Promises short", "", formats.tokens, "for lack of capacity"),
            )
        ),
    ),
    Panel("tier_use", "Use by tier", "tokens per second, by period", Stack("used", "tokens/s", TIERS, NOT_SHARED)),
    _use("throughput", "Throughput", "tokens per second", "tokens/s"),
    _use("kv", "KV cache", "blocks in use, tenants' peaks added up", "blocks"),
    _use("concurrency", "Concurrency", "requests in flight, tenants' peaks added up", "requests"),
    Panel("refused", "Refused and stopped", "requests, by reason", Stack("requests", "requests", REASONS, NOT_REFUSED)),
    Panel(
        "debts",
        "Debt",
        "seconds of entitlement that are owed; below 0: that the tenant owes",
        Series("s", {}, "Nobody owes or is owed anything", below_zero=True),
    ),
    Panel(
        "entitlements",
        "Tenants",
        "use of the last ten seconds, requests of the periods shown",
        Table(
            (
                Column("tenant", "Tenant"),
                Column("tier", "Tier"),
                Column("used", "Used", "tokens/s", formats.tokens, bar_of="capacity"),
                Column("nominal", "Nominal", "tokens/s", formats.tokens),
                Column("most", "Burst limit", "tokens/s", formats.limit),
                Column("kept", "Kept", "tokens/s", formats.tokens),
                Column("kv", "KV cache", "blocks, most", formats.tokens),
                Column("kv_kept", "Kept", "blocks", formats.tokens),
                Column("concurrency", "In flight", "requests, most", formats.tokens),
                Column("concurrency_kept", "Kept", "requests", formats.tokens),
                Column("admitted", "Admitted", "requests", formats.tokens),
                Column("refused", "Refused", "requests", formats.tokens),
                Column("stopped", "Stopped", "requests", formats.tokens),
                Column("debt", "Debt", "seconds", formats.signed),
                Column("factor", "Weight", "times", formats.factor),
            ),
            NOT_SHARED,
        ),
    ),
)

PAGE = Page("/token-pools", "Token pools", PANELS, ("periods", "tenant"), "token_pools")
