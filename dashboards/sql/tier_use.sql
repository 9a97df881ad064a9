-- Tokens per second that each tier used in the latest periods.
SELECT
    a.period_start AS period_start,
    p.tier AS shown,
    sum(a.used) / any(a.period_s) AS used
FROM
(
    SELECT
        period_start,
        tenant,
        used,
        (SELECT any(period_s) FROM pools WHERE pool = {pool:String}) AS period_s
    FROM allocations
    WHERE pool = {pool:String} AND period > (SELECT max(period) FROM periods WHERE pool = {pool:String}) - {periods:UInt32}
) AS a
INNER JOIN
(
    SELECT tenant, argMax(tier, (journal_offset, fact_index)) AS tier
    FROM profiles
    WHERE pool = {pool:String}
    GROUP BY tenant
) AS p ON p.tenant = a.tenant
GROUP BY period_start, shown
ORDER BY period_start, shown
