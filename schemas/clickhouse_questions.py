"""Views named for what analysts ask: who was short, what did it cost, who could have sold, how well were pools used.

Each reads the public views (schemas/clickhouse.py), so what landed twice counts once, and keeps nothing of its own. A question
that names a stretch of time reads that stretch alone, as `period_start` has a skipping index; one that names a pool, the pool's
range. How many tokens were used when, by which model, is in the rollups (schemas/clickhouse_rollups.py).

Tokens and money are integers; shares and prices per token that a view computes are floats, for reading and not for books.
Units are those of the columns they come from.
"""

from __future__ import annotations

from schemas.clickhouse import columns
from schemas.clickhouse_views import View, ViewColumn
from schemas.facts import AllocationsClosed, PeriodClosed
from schemas.model import Event

_SUM = "Int128"


def _as_it_is(model: type[Event], alias: str, *names: str) -> tuple[ViewColumn, ...]:
    """Columns of a table, with their type and comment."""
    held = {column.name: column for column in columns(model)}
    chosen = (held[name] for name in names)
    return tuple(ViewColumn(each.name, each.clickhouse_type, each.comment, f"{alias}.{each.name}") for each in chosen)


_WHO_WAS_SHORT = View(
    "who_was_short",
    "a tenant that got less than it was expected to need in a period, or less than it was promised",
    (
        *_as_it_is(AllocationsClosed, "a", "pool", "period", "period_start", "tenant", "policy", "demand", "base", "bid"),
        *_as_it_is(AllocationsClosed, "a", "surplus", "bought", "sold", "allocated", "used", "price", "shortfall"),
        ViewColumn("short", "Int64", "tokens of its demand that it did not get", "greatest(a.demand - a.allocated, 0)"),
        ViewColumn(
            "why",
            "LowCardinality(String)",
            "capacity_fell: its base was not there; sold: it had enough and sold it; outbid: others were before it; "
            "bid_less: it did not ask for all, by its elasticity, budget or price limit",
            "multiIf(a.shortfall > 0, 'capacity_fell', a.base + a.surplus >= a.demand, 'sold', "
            "a.surplus < a.bid, 'outbid', 'bid_less')",
        ),
    ),
    """FROM {db}.allocations AS a
WHERE a.demand > a.allocated OR a.shortfall > 0""",
)

_COSTS = View(
    "costs",
    "something that a tenant paid or earned for a period: its allocation, or a trade, once its period has closed",
    (
        ViewColumn("pool", "LowCardinality(String)", "id of the pool", "c.pool"),
        ViewColumn("period", "Int64", "periods since 1970, whose tokens these are", "c.period"),
        ViewColumn("period_start", "DateTime64(3, 'UTC')", "when the period began, UTC", "c.period_start"),
        ViewColumn("tenant", "String", "id of the tenant", "c.tenant"),
        ViewColumn(
            "paid_for", "LowCardinality(String)", "allocated (base and surplus), bought or sold (in the market)", "c.paid_for"
        ),
        ViewColumn("tokens", _SUM, "tokens allocated, bought or sold; negative: bought, and not delivered", "c.tokens"),
        ViewColumn("cost", _SUM, "nanocredits, fees included; negative: earned, or paid back", "c.cost"),
    ),
    # A trade of a later period earns when that is delivered; one of the present period at once. Both are in the past here.
    """FROM
(
    SELECT
        a.pool AS pool, a.period AS period, a.period_start AS period_start, a.tenant AS tenant, 'allocated' AS paid_for,
        toInt128(a.base) + a.surplus AS tokens, toInt128(a.charge) AS cost
    FROM {db}.allocations AS a
    UNION ALL
    SELECT m.pool, m.period, p.period_start, m.side.1, m.side.2, m.side.3, m.side.4
    FROM
    (
        SELECT s.pool AS pool, s.period AS period, arrayJoin([
            (s.buyer, 'bought', toInt128(s.tokens), toInt128(s.paid)),
            (s.seller, 'sold', toInt128(s.tokens), if(s.kind = 'delivered', -toInt128(s.earned), 0))
        ]) AS side
        FROM {db}.settlements AS s
        UNION ALL
        SELECT d.pool, d.period, arrayJoin([
            (d.tenant, 'bought', -toInt128(d.shortfall), -toInt128(d.refunded)),
            (d.tenant, 'sold', toInt128(0), -toInt128(d.earned))
        ])
        FROM {db}.deliveries AS d
    ) AS m
    INNER JOIN {db}.periods AS p ON p.pool = m.pool AND p.period = m.period
    WHERE m.side.1 != ''
) AS c
WHERE c.tokens != 0 OR c.cost != 0""",
)

_WHO_COULD_HAVE_SOLD = View(
    "who_could_have_sold",
    "a tenant that left tokens of a period unused while others of its pool were short",
    (
        *_as_it_is(AllocationsClosed, "o", "pool", "period", "period_start", "tenant", "allocated", "used", "price"),
        ViewColumn("idle", "Int64", "tokens that it had and did not use", "o.idle"),
        ViewColumn("others_short", _SUM, "tokens that all others together had too few of", "o.all_short - o.short"),
        ViewColumn(
            "sellable", _SUM, "tokens that it could have sold to them: the lesser of both", "least(toInt128(o.idle), others_short)"
        ),
        ViewColumn("worth", _SUM, "nanocredits: the same at the period's price", "sellable * o.price"),
    ),
    # The window is a pool's period: what is asked of a stretch of time, or of a pool, narrows it before it is computed.
    """FROM
(
    SELECT
        a.pool AS pool, a.period AS period, a.period_start AS period_start, a.tenant AS tenant,
        a.allocated AS allocated, a.used AS used, a.price AS price, greatest(a.allocated - a.used, 0) AS idle,
        greatest(a.demand - a.allocated, 0) AS short,
        sum(toInt128(short)) OVER (PARTITION BY a.pool, a.period, a.period_start) AS all_short
    FROM {db}.allocations AS a
) AS o
WHERE o.idle > 0 AND o.all_short > o.short""",
)

_UTILISATION_BY_HOUR = View(
    "utilisation_by_hour",
    "how much of a pool was allocated and used in the periods that began in an hour",
    (
        *_as_it_is(PeriodClosed, "p", "pool"),
        ViewColumn("hour", "DateTime('UTC')", "when the hour begins, UTC", "toStartOfHour(p.period_start)"),
        ViewColumn("periods", "UInt64", "count", "count()"),
        ViewColumn("capacity", _SUM, "tokens, all periods together", "sum(toInt128(p.capacity))"),
        ViewColumn("allocated", _SUM, "tokens, all periods together", "sum(toInt128(p.allocated))"),
        ViewColumn("used", _SUM, "tokens, all periods together", "sum(toInt128(p.used))"),
        ViewColumn(
            "utilisation", "Float64", "used / capacity; 0 where there was none", "if(sum(p.capacity) = 0, 0, used / capacity)"
        ),
        ViewColumn(
            "fullest", "Float64", "the same of the period that was used most", "max(if(p.capacity = 0, 0, p.used / p.capacity))"
        ),
        ViewColumn("lowest_price", "Int64", "nanocredits per token", "min(p.price)"),
        ViewColumn("highest_price", "Int64", "nanocredits per token", "max(p.price)"),
    ),
    """FROM {db}.periods AS p
GROUP BY p.pool, hour""",
)

QUESTIONS: tuple[View, ...] = (_WHO_WAS_SHORT, _COSTS, _WHO_COULD_HAVE_SOLD, _UTILISATION_BY_HOUR)
