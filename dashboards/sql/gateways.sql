-- Each gateway that has or had a lease: its part of the pool now, and what it did in the latest periods.
-- Cost: reports are kept by pool and time, too: those of the periods shown are read, each once (LIMIT 1 BY), however many are kept.
WITH
    (SELECT max(period) FROM capacity WHERE pool = {pool:String}) AS latest,
    (SELECT min(at) FROM capacity WHERE pool = {pool:String} AND period > latest - {periods:UInt32}) AS from_time,
    (SELECT argMax(tuple(throughput, kv, concurrency), tick) FROM capacity WHERE pool = {pool:String} AND period = latest) AS whole
SELECT
    l.gateway AS gateway,
    if(e.tick >= l.tick, e.reason, 'holds') AS lease,
    if(e.tick >= l.tick, e.at, l.at) AS since,
    if(e.tick >= l.tick, 0, l.throughput) AS throughput,
    whole.1 AS capacity,
    if(e.tick >= l.tick, 0, l.kv) AS kv,
    if(e.tick >= l.tick, 0, l.concurrency) AS concurrency,
    a.admitted AS admitted,
    a.refused AS refused,
    a.stopped AS stopped
FROM
(
    SELECT
        gateway,
        max(granted.tick) AS tick,
        max(granted.at) AS at,
        argMax(granted.throughput, granted.tick) AS throughput,
        argMax(granted.kv, granted.tick) AS kv,
        argMax(granted.concurrency, granted.tick) AS concurrency
    FROM leased_capacity AS granted
    WHERE pool = {pool:String}
    GROUP BY gateway
) AS l
LEFT JOIN
(
    SELECT gateway, max(ended.tick) AS tick, max(ended.at) AS at, argMax(ended.reason, ended.tick) AS reason
    FROM lease_ends AS ended
    WHERE pool = {pool:String}
    GROUP BY gateway
) AS e ON e.gateway = l.gateway
LEFT JOIN
(
    SELECT
        source,
        sum(admitted) AS admitted,
        sum(
            refused_own_throughput + refused_own_kv + refused_own_concurrency
            + refused_pool_throughput + refused_pool_kv + refused_pool_concurrency + refused_unknown
        ) AS refused,
        sum(stopped) AS stopped
    FROM
    (
        SELECT
            source, admitted, stopped, refused_own_throughput, refused_own_kv, refused_own_concurrency,
            refused_pool_throughput, refused_pool_kv, refused_pool_concurrency, refused_unknown
        FROM admission_events_landed
        WHERE pool = {pool:String} AND time >= from_time AND ({tenant:String} = '' OR tenant = {tenant:String})
        LIMIT 1 BY tenant, source, id
    )
    GROUP BY source
) AS a ON a.source = l.gateway
ORDER BY gateway
LIMIT 200
