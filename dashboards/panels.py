"""The pages' panels. Another one is a file in `sql/` and an entry in a page; Grafana gets it too (`make render`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dashboards import formats
from dashboards.blocks import Column, Table, Tile, Tiles
from dashboards.figures import BUY, COLOURS, SELL, Candles, Depth, Lines, Series, Stack, Style


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel: `name` is its element's; `unit` is told beside the title."""

    name: str
    title: str
    unit: str
    kind: Lines | Stack | Series | Candles | Depth | Table | Tiles
    file: str = ""
    """The SQL file that it shares with others like it; empty: the one of its own name."""
    told: Mapping[str, str] = field(default_factory=dict)
    """Parameters of that file that this panel is about, whatever is chosen on the page."""

    @property
    def sql(self) -> str:
        """Name of its SQL file."""
        return self.file or self.name

    @property
    def is_figure(self) -> bool:
        """Whether it is a chart, which keeps its zoom when it is refreshed."""
        return not isinstance(self.kind, Table | Tiles)


@dataclass(frozen=True, slots=True)
class Page:
    """One page of the dashboard, at its own path."""

    path: str
    title: str
    panels: tuple[Panel, ...]


def _tokens_column(name: str, heading: str, bar_of: str | None = None) -> Column:
    return Column(name, heading, "tokens", formats.tokens, bar_of)


CAPACITY: tuple[Panel, ...] = (
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
                _tokens_column("traded", "Traded"),
                _tokens_column("allocated", "Allocated"),
                _tokens_column("used", "Used", bar_of="allocated"),
                Column("charge", "Charge", "credits", formats.credits_of),
                Column("budget_left", "Budget left", "credits", formats.credits_of),
            )
        ),
    ),
)

PRICE = "nanocredits/token"
NOT_TRADED = "Nobody has traded this instrument yet"

MARKET: tuple[Panel, ...] = (
    Panel(
        "market",
        "",
        "",
        Tiles(
            (
                Tile("last_price", "Last price", "", formats.price, f"{PRICE} · average {{average}}", {"average": formats.price}),
                Tile("best_bid", "Best bid", "", formats.price, f"{PRICE} · {{bid}} tokens", {"bid": formats.tokens}),
                Tile("best_ask", "Best ask", "", formats.price, f"{PRICE} · {{offered}} tokens", {"offered": formats.tokens}),
                Tile("volume", "Volume", "tokens", formats.tokens, "in {trades} trades", {"trades": formats.tokens}),
                Tile("value", "Traded for", "credits", formats.credits_of, "fees {fees} credits", {"fees": formats.credits_of}),
                Tile(
                    "orders",
                    "Open orders",
                    "",
                    formats.tokens,
                    "of {tenants} tenants · {phase}",
                    {"tenants": formats.tokens, "phase": str},
                ),
            )
        ),
    ),
    Panel("candles", "Price and volume", "by minute", Candles(NOT_TRADED)),
    Panel("depth", "Depth", "open orders now", Depth("No order is open")),
    Panel(
        "positions",
        "Positions",
        "of the chosen instrument",
        Table(
            (
                Column("tenant", "Tenant"),
                _tokens_column("bought", "Bought"),
                _tokens_column("sold", "Sold"),
                _tokens_column("transferred", "Transferred"),
                _tokens_column("net", "Net"),
                Column("paid", "Paid", "credits", formats.credits_of),
                Column("earned", "Earned", "credits", formats.credits_of),
                _tokens_column("open_buy", "Bids"),
                _tokens_column("open_sell", "Asks"),
                _tokens_column("held_tokens", "Held"),
                _tokens_column("shortfall", "Short"),
            ),
            "Nobody has an order or a position in this instrument",
        ),
    ),
    Panel(
        "trades",
        "Trades",
        "the 100 latest",
        Table(
            (
                Column("time", "Time", "UTC", formats.clock_time),
                Column("price", "Price", "nanocredits/token", formats.price, colour_of="taker"),
                Column("qty", "Traded", "tokens", formats.tokens),
                Column("value", "Value", "credits", formats.credits_of),
                Column("buyer", "Buyer"),
                Column("seller", "Seller"),
                Column("taker", "Taker"),
            ),
            NOT_TRADED,
        ),
    ),
)

TIERS = ("dedicated", "guaranteed", "elastic", "spot", "preemptible")
REASONS = (
    "own limit: tokens",
    "own limit: KV blocks",
    "own limit: slots",
    "pool: tokens",
    "pool: KV blocks",
    "pool: slots",
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


TOKEN_POOLS: tuple[Panel, ...] = (
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

EXPLAIN = "/explain"

PAGES: tuple[Page, ...] = (
    Page("/", "Capacity", CAPACITY),
    Page("/market", "Market", MARKET),
    Page("/token-pools", "Token pools", TOKEN_POOLS),
    Page(EXPLAIN, "Explain", ()),  # no panels: a rule is run again, which no SQL does (dashboards/explaining.py)
)
PANELS: tuple[Panel, ...] = tuple(panel for page in PAGES for panel in page.panels)
