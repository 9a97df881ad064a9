CREATE OR REPLACE VIEW `bourse`.`forecast_quality`
(
    `pool` LowCardinality(String) COMMENT 'id of the pool',
    `tenant` String COMMENT 'id of the tenant',
    `day` Date COMMENT 'on which the periods began, UTC',
    `forecaster` LowCardinality(String) COMMENT 'forecaster of demand',
    `periods` UInt64 COMMENT 'count of what is scored',
    `demand` Int128 COMMENT 'tokens used',
    `error` Int128 COMMENT 'tokens by which the mean was off, either way',
    `last_value_error` Int128 COMMENT 'tokens by which the last value would have been',
    `wape` Nullable(Float64) COMMENT 'weighted absolute percentage error, of 1: error / demand; null without demand',
    `last_value_wape` Nullable(Float64) COMMENT 'likewise of the last value',
    `pinball_p50` Nullable(Float64) COMMENT 'tokens: pinball loss of the quantile 0.5; null where the forecaster gives only a mean',
    `pinball_p90` Nullable(Float64) COMMENT 'tokens: pinball loss of the quantile 0.9; null where the forecaster gives only a mean',
    `pinball_p99` Nullable(Float64) COMMENT 'tokens: pinball loss of the quantile 0.99; null where the forecaster gives only a mean',
    `covered_p90` Nullable(Int128) COMMENT 'tokens of the periods in which no more than the quantile 0.9 was used',
    `coverage_p90` Nullable(Float64) COMMENT 'the same of the demand, of 1'
)
AS SELECT
    q.pool AS `pool`,
    q.tenant AS `tenant`,
    q.day AS `day`,
    q.forecaster AS `forecaster`,
    count() AS `periods`,
    sum(q.used) AS `demand`,
    sum(abs(q.used - q.mean)) AS `error`,
    sum(abs(q.used - q.last)) AS `last_value_error`,
    sum(abs(q.used - q.mean)) / nullIf(sum(q.used), 0) AS `wape`,
    sum(abs(q.used - q.last)) / nullIf(sum(q.used), 0) AS `last_value_wape`,
    sum(greatest(1 * (q.used - q.p50), 1 * (q.p50 - q.used))) / 2 AS `pinball_p50`,
    sum(greatest(9 * (q.used - q.p90), 1 * (q.p90 - q.used))) / 10 AS `pinball_p90`,
    sum(greatest(99 * (q.used - q.p99), 1 * (q.p99 - q.used))) / 100 AS `pinball_p99`,
    sumOrNullIf(q.used, q.used <= q.p90) AS `covered_p90`,
    if(count(q.p90) = 0, NULL, sumIf(q.used, q.used <= q.p90) / nullIf(sum(q.used), 0)) AS `coverage_p90`
FROM
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
            FROM `bourse`.forecasts AS f
            UNION ALL
            SELECT a.pool, a.tenant, toDate(a.period_start), a.period, '', 2, toInt128(a.used), 0, NULL, NULL, NULL
            FROM `bourse`.allocations AS a
        ) AS b
        GROUP BY b.pool, b.tenant, b.day, b.period
        HAVING sum(b.told) = 3
    ) AS r
    WINDOW before AS (PARTITION BY r.pool, r.tenant, r.day ORDER BY r.period)
) AS q
WHERE q.place > 1 AND (q.pool, q.period) NOT IN
(
    SELECT p.pool, p.period FROM `bourse`.periods AS p WHERE arrayExists(meter -> startsWith(meter, 'usage/'), p.late_meters)
)
GROUP BY q.pool, q.tenant, q.day, q.forecaster
COMMENT 'how good forecasts of a tenant were on a day: those of every period but its first, which only says what the last value was, and of those in which a meter of usage was late, which nobody can judge';
