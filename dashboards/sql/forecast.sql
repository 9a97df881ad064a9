-- What was forecast for each of the latest periods, the open one too, and what was used in it: of one tenant, or (tenant '') of all
-- together. Quantiles are of one tenant alone: those of a sum are not the sums of the quantiles.
WITH (SELECT max(period) FROM periods WHERE pool = {pool:String}) AS latest
SELECT f.period_start AS period_start, u.used AS used, f.mean AS mean, f.p50 AS p50, f.p90 AS p90, f.p99 AS p99
FROM
(
    SELECT
        period,
        any(f.period_start) AS period_start,
        sum(f.mean) AS mean,
        if({tenant:String} = '', NULL, any(f.p50)) AS p50,
        if({tenant:String} = '', NULL, any(f.p90)) AS p90,
        if({tenant:String} = '', NULL, any(f.p99)) AS p99
    FROM forecasts AS f
    WHERE pool = {pool:String} AND period > latest - {periods:UInt32} AND ({tenant:String} = '' OR tenant = {tenant:String})
    GROUP BY period
) AS f
LEFT JOIN
(
    SELECT period, sum(toNullable(a.used)) AS used
    FROM allocations AS a
    WHERE pool = {pool:String} AND period > latest - {periods:UInt32} AND ({tenant:String} = '' OR tenant = {tenant:String})
    GROUP BY period
) AS u ON u.period = f.period
ORDER BY f.period
