-- Requests refused and stopped in the latest periods, by whose limit it was and of which dimension; of one tenant, or of all.
-- Reports are sorted by tenant, so no order helps to find the latest of all. But whatever landed long before it was told can't be one of
-- them: by `landed_at` whole parts are left unread, and what is read is what landed since, and the parts that was merged into.
WITH
    (SELECT max(period) FROM capacity WHERE pool = {pool:String}) AS latest,
    (SELECT min(at) FROM capacity WHERE pool = {pool:String} AND period > latest - {periods:UInt32}) AS since,
    (SELECT max(at) FROM capacity WHERE pool = {pool:String}) AS until,
    1000 * greatest(2, intDiv(dateDiff('second', since, until) + 119, 120)) AS span_ms
SELECT
    fromUnixTimestamp64Milli(intDiv(toUnixTimestamp64Milli(time), span_ms) * span_ms, 'UTC') AS period_start,
    shown,
    sum(counted) AS requests
FROM admission_events
ARRAY JOIN
    [
        'own limit: tokens', 'own limit: KV blocks', 'own limit: slots',
        'pool: tokens', 'pool: KV blocks', 'pool: slots', 'stopped for others'
    ] AS shown,
    [
        refused_own_throughput, refused_own_kv, refused_own_concurrency,
        refused_pool_throughput, refused_pool_kv, refused_pool_concurrency, stopped
    ] AS counted
WHERE
    pool = {pool:String} AND time >= since AND landed_at >= since - INTERVAL 1 HOUR AND counted > 0
    AND ({tenant:String} = '' OR tenant = {tenant:String})
GROUP BY period_start, shown
ORDER BY period_start, shown
