-- Latency in percent of the SLA, at the quantile that the pool holds against it, in the latest periods: of one tenant, or (tenant '')
-- of the eight that exceeded it most. A period without requests has no latency.
WITH (SELECT max(period) FROM sla_periods WHERE pool = {pool:String}) AS latest
SELECT
    period_start AS time,
    arrayJoin(if(tenant = first, [tenant, 'SLA'], [tenant])) AS shown,
    if(shown = 'SLA', 100, 100 * latency_ms / sla_ms) AS value
FROM
(
    SELECT period_start, tenant, latency_ms, sla_ms, min(tenant) OVER (PARTITION BY period_start) AS first
    FROM sla_periods
    WHERE pool = {pool:String} AND period > latest - {periods:UInt32} AND sla_ms > 0 AND tenant IN
    (
        SELECT tenant
        FROM sla_periods
        WHERE pool = {pool:String} AND period > latest - {periods:UInt32} AND ({tenant:String} = '' OR tenant = {tenant:String})
        GROUP BY tenant
        ORDER BY sum(greatest(ifNull(latency_ms / nullIf(sla_ms, 0), 0) - 1, 0)) DESC, tenant
        LIMIT 8
    )
)
WHERE value IS NOT NULL
ORDER BY time, shown
