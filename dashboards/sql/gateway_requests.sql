-- Requests of the latest periods by what became of them, of one tenant, or of all. Who was stopped had been admitted.
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
        time,
        admitted,
        refused_own_throughput + refused_own_kv + refused_own_concurrency AS own,
        refused_pool_throughput + refused_pool_kv + refused_pool_concurrency AS pool_full,
        refused_unknown
    FROM admission_events_landed
    WHERE pool = {pool:String} AND time >= since AND ({tenant:String} = '' OR tenant = {tenant:String})
    LIMIT 1 BY tenant, source, id
)
ARRAY JOIN ['admitted', '429: own limit', '503: pool', '503: no limits'] AS shown, [admitted, own, pool_full, refused_unknown] AS counted
WHERE counted > 0
GROUP BY period_start, shown
ORDER BY period_start, shown
