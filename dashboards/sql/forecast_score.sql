-- How good forecasts were in the latest periods, at so many points of time, of one tenant or (tenant '') of all: together (by 'time')
-- or each for itself (by 'tenant'), the largest error first. In percent of what was used: the errors (|used - forecast|), those of the
-- last value, and what was used where it did not exceed a quantile. Periods in which a meter was late, or nobody used anything, are
-- gaps in what was reported: they do not count. The view forecast_quality scores likewise by day.
WITH
    (SELECT max(period) FROM periods WHERE pool = {pool:String}) AS latest,
    (SELECT min(period) FROM periods WHERE pool = {pool:String} AND period > latest - {periods:UInt32}) AS earliest
SELECT
    min(start) AS period_start,
    100 * sum(abs(y - mean)) / nullIf(sum(y), 0) AS error,
    100 * sum(abs(y - before)) / nullIf(sum(y), 0) AS last_value_error,
    error / last_value_error - 1 AS against_last_value,
    100 * sum(y * (y <= p50)) / nullIf(sumIf(y, p50 IS NOT NULL), 0) AS within_p50,
    100 * sum(y * (y <= p90)) / nullIf(sumIf(y, p90 IS NOT NULL), 0) AS within_p90,
    100 * sum(y * (y <= p99)) / nullIf(sumIf(y, p99 IS NOT NULL), 0) AS within_p99,
    sum(y) AS used,
    uniqExact(b.tenant) AS tenants,
    uniqExact(period) AS scored,
    argMax(forecaster, period) AS forecaster,
    if({by:String} = 'tenant', b.tenant, '') AS of,
    sum(abs(y - mean)) / nullIf(sum(sum(abs(y - mean))) OVER (), 0) AS part
FROM
(
    SELECT
        period, tenant, any(start) AS start, any(y) AS y, any(before) AS before,
        any(mean) AS mean, any(p50) AS p50, any(p90) AS p90, any(p99) AS p99, any(forecaster) AS forecaster
    FROM
    (
        -- What was used in a period is the last value of the next one.
        SELECT
            arrayJoin([0, 1]) AS later,
            period + later AS period,
            tenant,
            if(later, NULL, period_start) AS start,
            if(later, NULL, used) AS y,
            if(later, used, NULL) AS before,
            NULL AS mean, NULL AS p50, NULL AS p90, NULL AS p99, NULL AS forecaster
        FROM allocations AS a
        WHERE pool = {pool:String} AND a.period >= earliest - 1 AND ({tenant:String} = '' OR tenant = {tenant:String})
            AND a.period NOT IN 
            (
                SELECT period
                FROM periods
                WHERE pool = {pool:String} AND (used = 0 OR arrayExists(meter -> startsWith(meter, 'usage/'), late_meters))
            )
        UNION ALL
        SELECT 0, period, tenant, NULL, NULL, NULL, mean, p50, p90, p99, forecaster
        FROM forecasts
        WHERE pool = {pool:String} AND period >= earliest AND ({tenant:String} = '' OR tenant = {tenant:String})
    )
    GROUP BY period, tenant
    HAVING y IS NOT NULL AND before IS NOT NULL AND mean IS NOT NULL
) AS b
GROUP BY intDiv(period - earliest, intDiv(latest - earliest, {points:UInt32}) + 1) AS point, of
ORDER BY point, sum(abs(y - mean)) DESC, of
LIMIT 100
