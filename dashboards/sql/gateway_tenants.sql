-- Each tenant's requests of the latest periods: how many, how they ended, and how long they took against its SLA.
-- Cost: latencies are kept by pool and time, too: those of the periods shown are read, each once (LIMIT 1 BY), however many are kept.
WITH
    (SELECT max(period) FROM capacity WHERE pool = {pool:String}) AS latest,
    (SELECT min(at) FROM capacity WHERE pool = {pool:String} AND period > latest - {periods:UInt32}) AS since
SELECT
    p.tenant AS tenant,
    p.tier AS tier,
    p.sla_ms AS sla_ms,
    l.answered AS answered,
    l.ended_otherwise AS ended_otherwise,
    l.latency[1] AS latency_p50,
    l.latency[2] AS latency_p99,
    if(l.streamed > 0, l.first_token[1], NULL) AS first_token_p50,
    if(l.streamed > 0, l.first_token[2], NULL) AS first_token_p99,
    l.per_token AS per_token,
    l.within AS within
FROM
(
    SELECT tenant, argMax(tier, version) AS tier, argMax(tuple(profiles.sla_ms), version).1 AS sla_ms
    FROM (SELECT tenant, tier, sla_ms, (journal_offset, fact_index) AS version FROM profiles WHERE pool = {pool:String}) AS profiles
    WHERE {tenant:String} = '' OR tenant = {tenant:String}
    GROUP BY tenant
) AS p
INNER JOIN
(
    SELECT
        tenant,
        countIf(status = 'ok') AS answered,
        countIf(status != 'ok') AS ended_otherwise,
        quantilesExactIf(0.5, 0.99)(latency_ms, status = 'ok') AS latency,
        countIf(status = 'ok' AND ttft_ms IS NOT NULL) AS streamed,
        quantilesExactIf(0.5, 0.99)(ifNull(ttft_ms, 0), status = 'ok' AND ttft_ms IS NOT NULL) AS first_token,
        quantileExactIfOrNull(0.5)(ifNull(tpot_ms, 0), status = 'ok' AND tpot_ms IS NOT NULL) AS per_token,
        countIf(status = 'ok' AND latency_ms <= promised) / nullIf(countIf(status = 'ok' AND promised IS NOT NULL), 0) AS within
    FROM
    (
        SELECT tenant, latency_ms, ttft_ms, tpot_ms, status, promised
        FROM
        (
            SELECT tenant, latency_ms, ttft_ms, tpot_ms, status
            FROM latency_events_landed
            WHERE
                pool = {pool:String} AND time >= since
                AND ({tenant:String} = '' OR tenant = {tenant:String})
            LIMIT 1 BY tenant, source, id
        ) AS e
        INNER JOIN
        (
            SELECT tenant, argMax(tuple(sla_ms), (journal_offset, fact_index)).1 AS promised
            FROM profiles
            WHERE pool = {pool:String}
            GROUP BY tenant
        ) AS s ON s.tenant = e.tenant
    )
    GROUP BY tenant
) AS l ON l.tenant = p.tenant
ORDER BY answered DESC, tenant
LIMIT 200
