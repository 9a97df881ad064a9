"""What is traded of one instrument."""

from __future__ import annotations

from dashboards import formats
from dashboards.blocks import Column, Table, Tile, Tiles
from dashboards.figures import Candles, Depth
from dashboards.panel import Page, Panel, tokens_column

PRICE = "nanocredits/token"
NOT_TRADED = "Nobody has traded this instrument yet"

PANELS: tuple[Panel, ...] = (
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
                tokens_column("bought", "Bought"),
                tokens_column("sold", "Sold"),
                tokens_column("transferred", "Transferred"),
                tokens_column("net", "Net"),
                Column("paid", "Paid", "credits", formats.credits_of),
                Column("earned", "Earned", "credits", formats.credits_of),
                tokens_column("open_buy", "Bids"),
                tokens_column("open_sell", "Asks"),
                tokens_column("held_tokens", "Held"),
                tokens_column("shortfall", "Short"),
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

PAGE = Page("/market", "Market", PANELS, ("instrument",))
