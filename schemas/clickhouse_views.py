"""Views over the market's tables: what stands now, from what happened.

Each reads the public views (schemas/clickhouse.py), so copies that landed twice count once, and keeps nothing of its own: what it
shows is exact at every moment, however often a sink or an engine crashed. A table that is filled on insert would be cheaper to
read and would count every copy.

What a query reads of 100 million rows, a market of a year or so (tests/benchmarks/bench_market_views.py counts it):
- `open_orders`, `positions` and `candles` of one instrument (WHERE pool = … AND period = …) read its range of each table, rounded
  up to blocks of 8,192 rows, and nothing else: the sorting keys begin so, and every view groups by both. That is what the
  dashboard asks every two seconds.
- The same of all instruments of a pool reads the pool's range: a scan of the columns named here.
- `balances` reads all of a pool's postings: an account has rows in every period, so no order of the table helps. Whoever wants
  one account now asks the engine's web view, which has it in memory.
- A stretch of the journal (journal_offset > … AND journal_offset <= …), as `bourse audit` reads: of `ledger`, which is sorted by it
  within a period, the stretch; of the others, blocks of those instruments that were traded meanwhile. A skipping index with the
  least and highest journal offset of each block rules the others out.

Sums of tokens and money are Int128: those of all time may leave int64 (law 3).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

_TIME = "DateTime('UTC')"
_NAME = "LowCardinality(String)"
_SUM = "Int128"


class Shown(Protocol):
    """A column as a view states it."""

    @property
    def name(self) -> str: ...  # noqa: D102  a protocol's part

    @property
    def clickhouse_type(self) -> str: ...  # noqa: D102  a protocol's part

    @property
    def comment(self) -> str: ...  # noqa: D102  a protocol's part


@dataclass(frozen=True, slots=True)
class ViewColumn:
    """One column of a view, and the SQL that it is."""

    name: str
    clickhouse_type: str
    comment: str
    sql: str


@dataclass(frozen=True, slots=True)
class View:
    """A view. In its SQL {db} becomes the database, {at} the place of a row in the journal."""

    name: str
    comment: str
    columns: tuple[ViewColumn, ...]
    source: str


@dataclass(frozen=True, slots=True)
class ViewDDL:
    """How a view is made; running `sql` again makes it anew."""

    name: str
    columns: tuple[ViewColumn, ...]
    sql: str


_AT = "(journal_offset, fact_index, record_row)"
"""What orders the facts of one order or trade."""


def _instrument(alias: str) -> tuple[ViewColumn, ...]:
    return (
        ViewColumn("pool", _NAME, "id of the pool", f"{alias}.pool"),
        ViewColumn("period", "Int64", "delivery period: whose tokens are traded", f"{alias}.period"),
    )


_OPEN_ORDERS = View(
    "open_orders",
    "the last state of each order of which something is open",
    (
        *_instrument("o"),
        ViewColumn("tenant", "String", "id of the tenant; empty: the operator", "o.tenant"),
        ViewColumn("order_id", "String", "id of the order, its tenant's own within the instrument", "o.order_id"),
        ViewColumn("side", _NAME, "buy or sell", "any(o.side)"),
        ViewColumn(
            "price",
            "Int64",
            "nanocredits per token, as it was last replaced",
            "argMaxIf(o.price, {at}, o.event IN ('accepted', 'replaced'))",
        ),
        ViewColumn(
            "qty",
            "Int64",
            "tokens: the whole order, as it was last replaced",
            "argMaxIf(o.qty, {at}, o.event IN ('accepted', 'replaced'))",
        ),
        ViewColumn("filled", "Int64", "tokens that it has traded", "sumIf(o.qty, o.event = 'filled')"),
        ViewColumn("open", "Int64", "tokens that are left open", "argMax(o.open, {at})"),
        ViewColumn("tif", _NAME, "time in force", "any(o.tif)"),
        ViewColumn("expire", "Nullable(DateTime64(3, 'UTC'))", "when it expires", "any(o.expire)"),
        ViewColumn("accepted_offset", "Int64", "journal offset of the record that brought it", "min(o.journal_offset)"),
        ViewColumn("changed_offset", "Int64", "journal offset of the record that last changed it", "max(o.journal_offset)"),
    ),
    # A refused change of an order is an event of it, too, and changes nothing.
    """FROM {db}.orders AS o
WHERE o.event != 'rejected'
GROUP BY o.pool, o.period, o.tenant, o.order_id
HAVING argMax(o.open, {at}) > 0""",
)

_CANDLES = View(
    "candles",
    "trades of one instrument in one minute; minutes without trades have no row",
    (
        *_instrument("t"),
        ViewColumn("minute", _TIME, "when the minute begins, UTC", "toStartOfMinute(t.time)"),
        ViewColumn("open", "Int64", "price of the first trade, nanocredits per token", "argMin(t.price, {at})"),
        ViewColumn("high", "Int64", "highest price, nanocredits per token", "max(t.price)"),
        ViewColumn("low", "Int64", "lowest price, nanocredits per token", "min(t.price)"),
        ViewColumn("close", "Int64", "price of the last trade, nanocredits per token", "argMax(t.price, {at})"),
        ViewColumn("volume", _SUM, "tokens traded", "sum(toInt128(t.qty))"),
        ViewColumn("value", _SUM, "price x tokens, nanocredits, without fees", "sum(toInt128(t.price) * t.qty)"),
        ViewColumn("trades", "UInt64", "count", "count()"),
    ),
    """FROM {db}.trades AS t
GROUP BY t.pool, t.period, minute""",
)

_BALANCES = View(
    "balances",
    "what every account stands at, from all postings",
    (
        ViewColumn("pool", _NAME, "id of the pool", "b.pool"),
        ViewColumn("asset", "Int64", "-1: nanocredits; else the delivery period whose tokens these are", "b.asset"),
        ViewColumn("account", "String", "tenant/…, billed/…, escrow/…, operator, bank or pool", "b.part.1"),
        ViewColumn("debits", _SUM, "paid by it, nanocredits or tokens", "sum(b.part.2)"),
        ViewColumn("credits", _SUM, "paid to it", "sum(b.part.3)"),
        ViewColumn("balance", _SUM, "credits less debits", "sum(b.part.3 - b.part.2)"),
        ViewColumn("held", _SUM, "set aside of it for orders and offers", "sum(b.part.4)"),
        ViewColumn("available", _SUM, "balance less held", "sum(b.part.3 - b.part.2 - b.part.4)"),
    ),
    # Each posting concerns two accounts: one pass over the ledger.
    """FROM
(
    SELECT
        l.pool AS pool, l.asset AS asset,
        toInt128(l.amount) AS amount128,
        if(l.entry IN ('post', 'capture'), amount128, 0) AS moved,
        multiIf(l.entry = 'hold', amount128, l.entry IN ('capture', 'void'), -amount128, 0) AS set_aside,
        arrayJoin([(l.debit_account, moved, toInt128(0), set_aside), (l.credit_account, toInt128(0), moved, toInt128(0))]) AS part
    FROM {db}.ledger AS l
) AS b
WHERE b.part.1 != ''
GROUP BY b.pool, b.asset, b.part.1""",
)

_POSITIONS = View(
    "positions",
    "what each tenant has traded and offers of each instrument",
    (
        *_instrument("p"),
        ViewColumn("tenant", "String", "id of the tenant; empty: the operator, which earns the fees", "p.tenant"),
        ViewColumn("bought", _SUM, "tokens", "sum(p.bought)"),
        ViewColumn("sold", _SUM, "tokens", "sum(p.sold)"),
        ViewColumn("transferred", _SUM, "tokens given to it by other tenants, less those that it gave away", "sum(p.transferred)"),
        ViewColumn("net", _SUM, "bought - sold + transferred, tokens", "sum(p.bought - p.sold + p.transferred)"),
        ViewColumn("paid", _SUM, "nanocredits for what it bought, its fees included, before refunds", "sum(p.paid)"),
        # A delivered period says what its forward trades earned in the end; until then what they are to earn counts.
        ViewColumn(
            "earned",
            _SUM,
            "nanocredits for what it sold, its fees taken off; the operator: fees",
            "sum(p.earned) + if(sum(p.deliveries) > 0, sum(p.earned_at_delivery), sum(p.to_earn))",
        ),
        ViewColumn("refunded", _SUM, "nanocredits paid back as not all was delivered", "sum(p.refunded)"),
        ViewColumn("shortfall", _SUM, "tokens bought and not delivered", "sum(p.shortfall)"),
        ViewColumn("open_buy", _SUM, "tokens that its open orders ask for", "sum(p.open_buy)"),
        ViewColumn("open_sell", _SUM, "tokens that its open orders offer", "sum(p.open_sell)"),
        ViewColumn(
            "held_tokens", _SUM, "tokens set aside for its open orders and offered exchanges", "sum(p.open_sell + p.offered_tokens)"
        ),
        ViewColumn(
            "held_money",
            _SUM,
            "nanocredits set aside for the same, without the highest fee on each order",
            "sum(p.bid_money + p.offered_money)",
        ),
    ),
    """FROM
(
    SELECT
        s.pool AS pool, s.period AS period, side.1 AS tenant,
        toInt128(side.2) AS bought, toInt128(side.3) AS sold, toInt128(0) AS transferred,
        toInt128(side.4) AS paid,
        toInt128(if(s.kind = 'delivered', side.5, 0)) AS earned, toInt128(if(s.kind = 'delivered', 0, side.5)) AS to_earn,
        toInt128(0) AS earned_at_delivery, toUInt64(0) AS deliveries, toInt128(0) AS refunded, toInt128(0) AS shortfall,
        toInt128(0) AS open_buy, toInt128(0) AS open_sell, toInt128(0) AS bid_money,
        toInt128(0) AS offered_tokens, toInt128(0) AS offered_money
    FROM {db}.settlements AS s
    ARRAY JOIN arrayFilter(
        who -> who.2 != 0 OR who.3 != 0 OR who.5 != 0,
        [(s.buyer, s.tokens, 0, s.paid, 0), (s.seller, 0, s.tokens, 0, s.earned), ('', 0, 0, 0, s.fees)]
    ) AS side
    UNION ALL
    SELECT
        t.pool, t.period, side.1,
        0, 0, if(t.event IN ('done', 'accepted'), toInt128(side.3) - side.2, 0),
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        multiIf(t.event = 'offered', side.4, t.event IN ('accepted', 'cancelled'), -side.4, 0),
        multiIf(t.event = 'offered', side.5, t.event IN ('accepted', 'cancelled'), -side.5, 0)
    FROM {db}.transfers AS t
    ARRAY JOIN [(t.tenant, t.tokens, t.for_tokens, t.tokens, t.money), (t.to, t.for_tokens, t.tokens, 0, 0)] AS side
    WHERE t.event != 'rejected'
    UNION ALL
    SELECT d.pool, d.period, d.tenant, 0, 0, 0, 0, 0, 0, d.earned, 1, d.refunded, d.shortfall, 0, 0, 0, 0, 0
    FROM {db}.deliveries AS d
    UNION ALL
    SELECT
        o.pool, o.period, o.tenant, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        if(o.side = 'buy', o.open, 0), if(o.side = 'sell', o.open, 0), if(o.side = 'buy', toInt128(o.price) * o.open, 0), 0, 0
    FROM {db}.open_orders AS o
) AS p
GROUP BY p.pool, p.period, p.tenant""",
)

VIEWS: tuple[View, ...] = (_OPEN_ORDERS, _CANDLES, _BALANCES, _POSITIONS)
"""In an order in which each reads only tables and views before it."""


def create_view(where: str, columns: Sequence[Shown], comment: str, select: str) -> str:
    """The statement that makes a view, or makes it anew. Its columns are cast to the types that are stated."""
    body = ",\n    ".join(f"`{each.name}` {each.clickhouse_type} COMMENT {quoted(each.comment)}" for each in columns)
    return f"CREATE OR REPLACE VIEW {where}\n(\n    {body}\n)\nAS {select}\nCOMMENT {quoted(comment)}"


def quoted(text: str) -> str:
    """A text as ClickHouse reads it."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def views(database: str, stated: Sequence[View] = VIEWS) -> list[ViewDDL]:
    """Views in the order in which they are made; all over the market's tables, if no others are given."""
    return [ViewDDL(view.name, view.columns, _statement(database, view)) for view in stated]


def _statement(database: str, view: View) -> str:
    selected = ",\n    ".join(f"{column.sql} AS `{column.name}`" for column in view.columns)
    select = f"SELECT\n    {selected}\n{view.source}".replace("{db}", f"`{database}`").replace("{at}", _AT)
    return create_view(f"`{database}`.`{view.name}`", view.columns, view.comment, select)
