-- What gateways did for a pool in the latest periods, as a whole; gateways and replicas are those of now, also where nobody asked.
-- Cost: reports and latencies are kept by pool and time, too: those of the periods shown are read, each once (LIMIT 1 BY), however many
-- are kept.
WITH
    (SELECT max(period) FROM capacity WHERE pool = {pool:String}) AS latest,
    (SELECT min(at) FROM capacity WHERE pool = {pool:String} AND period > latest - {periods:UInt32}) AS since,
    (SELECT max(at) FROM capacity WHERE pool = {pool:String}) AS until
SELECT
    a.admitted AS admitted,
    a.admitted / greatest(dateDiff('second', since, until), 1) AS per_second,
    a.own AS own,
    a.pool_full AS pool_full,
    a.no_limits AS no_limits,
    (a.own + a.pool_full + a.no_limits) / nullIf(a.admitted + a.own + a.pool_full + a.no_limits, 0) AS refused_share,
    g.gateways AS gateways,
    l.latency AS latency,
    l.first_token AS first_token,
    s.replicas AS replicas,
    s.wanted AS wanted
FROM
(
    SELECT
        count() AS reports,
        sum(admitted) AS admitted,
        sum(refused_own_throughput + refused_own_kv + refused_own_concurrency) AS own,
        sum(refused_pool_throughput + refused_pool_kv + refused_pool_concurrency) AS pool_full,
        sum(refused_unknown) AS no_limits
    FROM
    (
        SELECT
            admitted, refused_own_throughput, refused_own_kv, refused_own_concurrency,
            refused_pool_throughput, refused_pool_kv, refused_pool_concurrency, refused_unknown
        FROM admission_events_landed
        WHERE pool = {pool:String} AND time >= since AND ({tenant:String} = '' OR tenant = {tenant:String})
        LIMIT 1 BY tenant, source, id
    )
) AS a
CROSS JOIN
(
    SELECT countIf(ended < granted) AS gateways
    FROM
    (
        SELECT gateway, max(granted_tick) AS granted, max(ended_tick) AS ended
        FROM
        (
            SELECT gateway, tick AS granted_tick, -1 AS ended_tick FROM leased_capacity WHERE pool = {pool:String}
            UNION ALL
            SELECT gateway, -1, tick FROM lease_ends WHERE pool = {pool:String}
        )
        GROUP BY gateway
    )
) AS g
CROSS JOIN
(
    SELECT quantileOrNull(0.99)(latency_ms) AS latency, quantileOrNull(0.99)(ttft_ms) AS first_token
    FROM
    (
        SELECT latency_ms, ttft_ms
        FROM latency_events_landed
        WHERE
            pool = {pool:String} AND time >= since AND status = 'ok'
            AND ({tenant:String} = '' OR tenant = {tenant:String})
        LIMIT 1 BY tenant, source, id
    )
) AS l
CROSS JOIN
(
    SELECT argMaxOrNull(replicas, tick) AS replicas, argMaxOrNull(wanted, tick) AS wanted
    FROM scalings
    WHERE pool = {pool:String}
) AS s
WHERE a.reports > 0 OR g.gateways > 0 OR s.replicas IS NOT NULL
