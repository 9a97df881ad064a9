"""Forecasters that did worse over a day than the last value would have: what `bourse status` names."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from infra.clickhouse_rows import rows
from streams.settings import Settings

NAMED = 5
"""Of a pool's tenants, those that it cost most tokens."""

_SQL = f"""SELECT
    pool, if(whole = 1, NULL, tenant) AS tenant, forecaster, toString(day) AS day,
    error / nullIf(demand, 0) AS wape, last_value_error / nullIf(demand, 0) AS last_value_wape
FROM
(
    SELECT
        q.pool AS pool, q.tenant AS tenant, q.forecaster AS forecaster, q.day AS day, grouping(q.tenant) AS whole,
        sum(q.error) AS error, sum(q.last_value_error) AS last_value_error, sum(q.demand) AS demand
    FROM forecast_quality AS q
    WHERE q.day = {{day:Date}}
    GROUP BY GROUPING SETS ((q.pool, q.forecaster, q.day), (q.pool, q.forecaster, q.day, q.tenant))
)
WHERE error > last_value_error
ORDER BY pool, forecaster, whole DESC, error - last_value_error DESC, tenant
LIMIT {NAMED} BY pool, forecaster, whole"""  # noqa: S608  a number of ours


def worse_forecasts(settings: Settings, *, timeout_s: float, day: date | None = None) -> list[dict[str, Any]]:
    """Of each pool its forecaster, if it was worse over all tenants (`tenant` is None), then the NAMED tenants that fared worst.

    Args:
        settings: where ClickHouse is.
        timeout_s: seconds; nothing is named that is not known by then: 100,000 tenants' day is 144 million rows.
        day: UTC; None: yesterday.

    Returns:
        `pool`, `tenant`, `forecaster`, `day`, `wape`, `last_value_wape`: of 1; None without demand.
    """
    asked = day or datetime.now(UTC).date() - timedelta(days=1)
    return rows(settings, _SQL, timeout_s=timeout_s, day=asked.isoformat()) or []
