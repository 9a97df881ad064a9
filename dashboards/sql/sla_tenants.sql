-- Each tenant that has an SLA: its latency now and in the latest periods, and what it has for it. Who exceeded it most often first.
WITH (SELECT max(period) FROM sla_periods WHERE pool = {pool:String}) AS latest
SELECT
    tenant,
    argMax(tuple(s.sla_ms), s.period).1 AS sla_ms,
    argMax(tuple(s.latency_ms), s.period).1 AS latency_ms,
    argMax(s.requests, s.period) AS requests,
    countIf(s.latency_ms <= s.sla_ms) / nullIf(countIf(s.latency_ms IS NOT NULL AND s.sla_ms IS NOT NULL), 0) AS attained,
    countIf(s.latency_ms > s.sla_ms) AS exceeded,
    argMax(s.boost, s.period) AS boost,
    argMax(s.paid, s.period) AS paid,
    argMax(s.resting, s.period) AS resting
FROM
(
    SELECT period, tenant, sla_ms, latency_ms, requests, boost, paid, resting
    FROM sla_periods
    WHERE
        pool = {pool:String} AND period > latest - {periods:UInt32}
        AND ({tenant:String} = '' OR tenant = {tenant:String})
) AS s
GROUP BY tenant
ORDER BY exceeded DESC, boost DESC, tenant
LIMIT 200
