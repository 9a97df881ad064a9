-- Requests refused and stopped in the latest periods, by whose limit it was and of which dimension, or that a gateway
-- knew no limits; of one tenant, or of all.
-- Cost: reports are kept by pool and time, too: those of the periods shown are read, each once (LIMIT 1 BY), however many are kept.
WITH
    (SELECT max(period) FROM capacity WHERE pool = {pool:String}) AS latest,
    (SELECT min(at) FROM capacity WHERE pool = {pool:String} AND period > latest - {periods:UInt32}) AS since,
    (SELECT max(at) FROM capacity WHERE pool = {pool:String}) AS until,
    1000 * greatest(2, intDiv(dateDiff('second', since, until) + 119, 120)) AS span_ms
SELECT
    fromUnixTimestamp64Milli(intDiv(toUnixTimestamp64Milli(time), span_ms) * span_ms, 'UTC') AS period_start,
    shown,
    sum(counted) AS requests
FROM
(
    SELECT
        time, stopped, refused_own_throughput, refused_own_kv, refused_own_concurrency,
        refused_pool_throughput, refused_pool_kv, refused_pool_concurrency, refused_unknown
    FROM admission_events_landed
    WHERE pool = {pool:String} AND time >= since AND ({tenant:String} = '' OR tenant = {tenant:String})
    LIMIT 1 BY tenant, source, id
)
ARRAY JOIN
    [
        'own limit: tokens', 'own limit: KV blocks', 'own limit: slots',
        'pool: tokens', 'pool: KV blocks', 'pool: slots', 'gateway: no limits', 'stopped for others'
    ] AS shown,
    [
        refused_own_throughput, refused_own_kv, refused_own_concurrency,
        refused_pool_throughput, refused_pool_kv, refused_pool_concurrency, refused_unknown, stopped
    ] AS counted
WHERE counted > 0
GROUP BY period_start, shown
ORDER BY period_start, shown
