"""Views named for what analysts ask: who was short, what did it cost, who could have sold, how well were pools used.

Each reads the public views (schemas/clickhouse.py), so what landed twice counts once, and keeps nothing of its own. A question
that names a pool and a stretch of time reads that stretch alone, as `period_start` has a skipping index; one that names a pool,
the pool's range. A stretch of all pools is read with FINAL, which takes all from the first pool's to the last one's: half of
8.6 million rows for a day of thirty, a processor second. Such questions are for rollups (schemas/clickhouse_levels.py):
`allocations_by_hour` holds what `who_was_short` and `who_could_have_sold` come to, `costs_by_hour` reads it, and usage has its
own.

Tokens and money are integers; shares and prices per token that a view computes are floats, for reading and not for books.
Units are those of the columns they come from.
"""

from __future__ import annotations

from schemas.clickhouse import columns
from schemas.clickhouse_outcomes import OUTCOMES, SHORT, WAS_SHORT, WHY, WHY_COMMENT
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
        ViewColumn("short", "Int64", "tokens of its demand that it did not get", SHORT),
        ViewColumn("why", "LowCardinality(String)", WHY_COMMENT, WHY),
    ),
    f"""FROM {{db}}.allocations AS a
WHERE {WAS_SHORT}""",
)

_PAID_FOR = ViewColumn(
    "paid_for", "LowCardinality(String)", "allocated (base and surplus), bought or sold (in the market)", "c.paid_for"
)
_PAID_TOKENS = ViewColumn("tokens", _SUM, "tokens allocated, bought or sold; negative: bought, and not delivered", "c.tokens")
_PAID = ViewColumn("cost", _SUM, "nanocredits, fees included; negative: earned, or paid back", "c.cost")

# A trade of a later period earns when that is delivered; one of the present period at once. Both are in the past here.
_TRADED = """FROM
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
    WHERE m.side.1 != ''"""

_COSTS = View(
    "costs",
    "something that a tenant paid or earned for a period: its allocation, or a trade, once its period has closed",
    (
        ViewColumn("pool", "LowCardinality(String)", "id of the pool", "c.pool"),
        ViewColumn("period", "Int64", "periods since 1970, whose tokens these are", "c.period"),
        ViewColumn("period_start", "DateTime64(3, 'UTC')", "when the period began, UTC", "c.period_start"),
        ViewColumn("tenant", "String", "id of the tenant", "c.tenant"),
        _PAID_FOR,
        _PAID_TOKENS,
        _PAID,
    ),
    f"""FROM
(
    SELECT
        a.pool AS pool, a.period AS period, a.period_start AS period_start, a.tenant AS tenant, 'allocated' AS paid_for,
        toInt128(a.base) + a.surplus AS tokens, toInt128(a.charge) AS cost
    FROM {{db}}.allocations AS a
    UNION ALL
    SELECT m.pool, m.period, p.period_start, m.side.1, m.side.2, m.side.3, m.side.4
    {_TRADED}
) AS c
WHERE c.tokens != 0 OR c.cost != 0""",  # noqa: S608  SQL of ours
)

_COSTS_BY_HOUR = View(
    "costs_by_hour",
    "what a tenant paid or earned for the periods that began in an hour: costs, from the rollup of allocations",
    (
        ViewColumn("pool", "LowCardinality(String)", "id of the pool", "c.pool"),
        ViewColumn("hour", "DateTime('UTC')", "when the hour begins, UTC", "c.hour"),
        ViewColumn("tenant", "String", "id of the tenant", "c.tenant"),
        _PAID_FOR,
        _PAID_TOKENS,
        _PAID,
    ),
    f"""FROM
(
    SELECT
        a.pool AS pool, a.hour AS hour, a.tenant AS tenant, 'allocated' AS paid_for, a.base + a.surplus AS tokens, a.charge AS cost
    FROM {{db}}.allocations_by_hour AS a
    UNION ALL
    SELECT m.pool, toStartOfHour(p.period_start) AS hour, m.side.1, m.side.2, m.side.3, m.side.4
    {_TRADED}
) AS c
WHERE c.tokens != 0 OR c.cost != 0""",  # noqa: S608  SQL of ours
)

_WHO_COULD_HAVE_SOLD = View(
    "who_could_have_sold",
    "a tenant that left tokens of a period unused while others of its pool were short",
    (
        *_as_it_is(AllocationsClosed, "o", "pool", "period", "period_start", "tenant", "allocated", "used", "price"),
        ViewColumn("idle", "Int64", "tokens that it had and did not use", "o.idle"),
        ViewColumn("others_short", _SUM, "tokens that all others together had too few of", "o.others_short"),
        ViewColumn("sellable", _SUM, "tokens that it could have sold to them: the lesser of both", "o.sellable"),
        ViewColumn("worth", _SUM, "nanocredits: the same at the period's price", "o.sellable * o.price"),
    ),
    f"""FROM
(
    {OUTCOMES.format(found="{db}.allocations AS a")}
) AS o
WHERE o.sellable > 0""",
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

QUESTIONS: tuple[View, ...] = (_WHO_WAS_SHORT, _COSTS, _COSTS_BY_HOUR, _WHO_COULD_HAVE_SOLD, _UTILISATION_BY_HOUR)
