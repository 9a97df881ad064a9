"""The view that scores forecasts: what was forecast against what was used, and against what the last value would have said.

It reads `forecasts` and `allocations` once each: a row of both for each tenant and period, which of a pool of 1,000 tenants with
periods of a minute are 1.4 million a day. Who names a pool, a tenant or a day reads its rows alone: the tables are asked for them.

Sums are of tokens and exact, so that those of tenants or days add up: a pool's error is sum(error) / sum(demand) over its tenants.
"""

from schemas.clickhouse_views import View, ViewColumn

_SUM = "Nullable(Float64)"


def _pinball(name: str, level: str, above: int, whole: int) -> ViewColumn:
    """A whole number of `whole`ths of a token for each period, until it is divided."""
    loss = f"greatest({above} * (q.used - q.{name}), {whole - above} * (q.{name} - q.used))"
    return ViewColumn(
        f"pinball_{name}",
        _SUM,
        f"tokens: pinball loss of the quantile {level}; null where the forecaster gives only a mean",
        f"sum({loss}) / {whole}",
    )


FORECAST_QUALITY = View(
    "forecast_quality",
    "how good forecasts of a tenant were on a day: those of every period but its first, which only says what the last value was, "
    "and of those in which a meter of usage was late, which nobody can judge",
    (
        ViewColumn("pool", "LowCardinality(String)", "id of the pool", "q.pool"),
        ViewColumn("tenant", "String", "id of the tenant", "q.tenant"),
        ViewColumn("day", "Date", "on which the periods began, UTC", "q.day"),
        ViewColumn("forecaster", "LowCardinality(String)", "forecaster of demand", "q.forecaster"),
        ViewColumn("periods", "UInt64", "count of what is scored", "count()"),
        ViewColumn("demand", "Int128", "tokens used", "sum(q.used)"),
        ViewColumn("error", "Int128", "tokens by which the mean was off, either way", "sum(abs(q.used - q.mean))"),
        ViewColumn("last_value_error", "Int128", "tokens by which the last value would have been", "sum(abs(q.used - q.last))"),
        ViewColumn(
            "wape",
            _SUM,
            "weighted absolute percentage error, of 1: error / demand; null without demand",
            "sum(abs(q.used - q.mean)) / nullIf(sum(q.used), 0)",
        ),
        ViewColumn("last_value_wape", _SUM, "likewise of the last value", "sum(abs(q.used - q.last)) / nullIf(sum(q.used), 0)"),
        _pinball("p50", "0.5", 1, 2),
        _pinball("p90", "0.9", 9, 10),
        _pinball("p99", "0.99", 99, 100),
        ViewColumn(
            "covered_p90",
            "Nullable(Int128)",
            "tokens of the periods in which no more than the quantile 0.9 was used",
            "sumOrNullIf(q.used, q.used <= q.p90)",
        ),
        ViewColumn(
            "coverage_p90",
            _SUM,
            "the same of the demand, of 1",
            "if(count(q.p90) = 0, NULL, sumIf(q.used, q.used <= q.p90) / nullIf(sum(q.used), 0))",
        ),
    ),
    """FROM
(
    SELECT
        r.pool AS pool, r.tenant AS tenant, r.day AS day, r.period AS period, r.forecaster AS forecaster,
        r.used AS used, r.mean AS mean, r.p50 AS p50, r.p90 AS p90, r.p99 AS p99,
        lagInFrame(r.used) OVER before AS last, row_number() OVER before AS place
    FROM
    (
        SELECT
            b.pool AS pool, b.tenant AS tenant, b.day AS day, b.period AS period, max(b.forecaster) AS forecaster,
            sum(b.used) AS used, max(b.mean) AS mean, max(b.p50) AS p50, max(b.p90) AS p90, max(b.p99) AS p99
        FROM
        (
            SELECT
                f.pool AS pool, f.tenant AS tenant, toDate(f.period_start) AS day, f.period AS period,
                toString(f.forecaster) AS forecaster, 1 AS told, toInt128(0) AS used,
                toInt128(f.mean) AS mean, toInt128(f.p50) AS p50, toInt128(f.p90) AS p90, toInt128(f.p99) AS p99
            FROM {db}.forecasts AS f
            UNION ALL
            SELECT a.pool, a.tenant, toDate(a.period_start), a.period, '', 2, toInt128(a.used), 0, NULL, NULL, NULL
            FROM {db}.allocations AS a
        ) AS b
        GROUP BY b.pool, b.tenant, b.day, b.period
        HAVING sum(b.told) = 3
    ) AS r
    WINDOW before AS (PARTITION BY r.pool, r.tenant, r.day ORDER BY r.period)
) AS q
WHERE q.place > 1 AND (q.pool, q.period) NOT IN
(
    SELECT p.pool, p.period FROM {db}.periods AS p WHERE arrayExists(meter -> startsWith(meter, 'usage/'), p.late_meters)
)
GROUP BY q.pool, q.tenant, q.day, q.forecaster""",
)

FORECAST_VIEWS: tuple[View, ...] = (FORECAST_QUALITY,)
