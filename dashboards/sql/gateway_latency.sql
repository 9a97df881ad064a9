-- Latency and time to first token of requests that were answered, in the latest periods: of one tenant median and 99th percentile
-- beside its SLA, or (tenant '') the 99th percentile of the eight tenants with most requests.
-- Cost: latencies are kept by pool and time, too: those of the periods shown are read, each once (LIMIT 1 BY), however many are kept.
WITH
    (SELECT max(period) FROM capacity WHERE pool = {pool:String}) AS latest,
    (SELECT min(at) FROM capacity WHERE pool = {pool:String} AND period > latest - {periods:UInt32}) AS since,
    (SELECT max(at) FROM capacity WHERE pool = {pool:String}) AS until,
    1000 * greatest(2, intDiv(dateDiff('second', since, until) + 39, 40)) AS span_ms,
    (
        SELECT argMax(tuple(sla_ms), (journal_offset, fact_index)).1 FROM profiles WHERE pool = {pool:String} AND tenant = {tenant:String}
    ) AS promised
SELECT time, shown, value
FROM
(
    SELECT
        fromUnixTimestamp64Milli(bucket * span_ms, 'UTC') AS time,
        tenant,
        dense_rank() OVER (ORDER BY asked DESC, tenant) AS place,
        latency,
        first_token,
        streamed
    FROM
    (
        SELECT
            intDiv(toUnixTimestamp64Milli(at), span_ms) AS bucket,
            tenant,
            sum(count()) OVER (PARTITION BY tenant) AS asked,
            quantilesExact(0.5, 0.99)(latency_ms) AS latency,
            quantilesExact(0.5, 0.99)(ttft_ms) AS first_token,
            count(ttft_ms) AS streamed
        FROM
        (
            SELECT time AS at, tenant, latency_ms, ttft_ms
            FROM latency_events_landed
            WHERE
                pool = {pool:String} AND time >= since AND status = 'ok'
                AND ({tenant:String} = '' OR tenant = {tenant:String})
            LIMIT 1 BY tenant, source, id
        )
        GROUP BY bucket, tenant
    )
)
ARRAY JOIN
    if({tenant:String} = '', [tenant], ['P99', 'P50', 'first token P99', 'first token P50', 'SLA']) AS shown,
    if(
        {tenant:String} = '',
        [toNullable(toFloat64(latency[2]))],
        [
            toNullable(toFloat64(latency[2])), toFloat64(latency[1]),
            if(streamed > 0, toFloat64(first_token[2]), NULL), if(streamed > 0, toFloat64(first_token[1]), NULL),
            toFloat64(promised)
        ]
    ) AS value
WHERE place <= 8 AND value IS NOT NULL
ORDER BY time, shown
