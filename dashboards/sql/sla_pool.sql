-- How tenants' latencies stood against their SLAs in the latest periods, and what of tenants' bases has been moved for it by now.
WITH (SELECT max(period) FROM sla_periods WHERE pool = {pool:String}) AS latest
SELECT
    any(sla_quantile) AS sla_quantile,
    countIf(latency_ms <= sla_ms) / nullIf(countIf(latency_ms IS NOT NULL AND sla_ms IS NOT NULL), 0) AS attained,
    uniqIf(tenant, period = latest AND sla_ms IS NOT NULL) AS tenants,
    uniqIf(tenant, period = latest AND latency_ms > sla_ms) AS exceeding,
    sumIf(boost, period = latest) AS boosted,
    uniqIf(tenant, period = latest AND boost > 0) AS boosts,
    uniqIf(tenant, period = latest AND paid > 0) AS payers,
    uniqIf(tenant, period = latest AND resting > 0) AS resting,
    any(changes) AS changes
FROM
(
    SELECT period, tenant, sla_ms, latency_ms, boost, paid, resting, toFloat64(quantile) AS sla_quantile
    FROM sla_periods
    WHERE pool = {pool:String} AND period > latest - {periods:UInt32}
) AS s
CROSS JOIN
(
    SELECT count() AS changes
    FROM sla
    WHERE pool = {pool:String} AND period > latest - {periods:UInt32} AND kind = 'boost'
) AS c
HAVING tenants > 0
