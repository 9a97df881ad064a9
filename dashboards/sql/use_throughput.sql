-- Tokens per second in the latest periods (means of five points) against quotas: of one tenant, or (tenant '') of the whole
-- pool against its capacity.
WITH
    (SELECT max(period) FROM capacity WHERE pool = {pool:String}) AS latest,
    (SELECT min(at) FROM capacity WHERE pool = {pool:String} AND period > latest - {periods:UInt32}) AS since,
    (SELECT max(at) FROM capacity WHERE pool = {pool:String}) AS until,
    1000 * greatest(2, intDiv(dateDiff('second', since, until) + 119, 120)) AS span_ms
SELECT time, shown, value
FROM
(
    SELECT
        fromUnixTimestamp64Milli(s.bucket * span_ms, 'UTC') AS time,
        if(
            {tenant:String} = '',
            ['used', 'promised', 'capacity', 'kept', 'lent'],
            ['used', 'nominal quota', 'burst limit', 'kept', 'lent']
        ) AS names,
        if(
            {tenant:String} = '',
            [toNullable(avg(s.served) OVER lately), s.promised, s.capacity, s.kept, s.lent],
            [avg(ifNull(u.used, 0)) OVER lately, l.nominal, l.nominal + l.borrowing, l.kept, if(l.reserved, greatest(l.nominal - l.kept, 0), NULL)]
        ) AS amounts
    FROM
    (
        SELECT
            intDiv(toUnixTimestamp64Milli(at), span_ms) AS bucket,
            any(c.pool) AS of_pool,
            max(tick) AS last_tick,
            sum(served) * 1000 / nullIf(sum(elapsed_ms), 0) AS served,
            toFloat64(argMax(throughput_promised, tick)) AS promised,
            toFloat64(argMax(throughput, tick)) AS capacity,
            toFloat64(argMax(throughput_kept, tick)) AS kept,
            toFloat64(argMax(throughput_lent, tick)) AS lent
        FROM capacity AS c
        WHERE pool = {pool:String} AND period > latest - {periods:UInt32}
        GROUP BY bucket
    ) AS s
    ASOF LEFT JOIN
    (
        SELECT
            pool,
            tick,
            tier IN ('dedicated', 'guaranteed') AS reserved,
            toFloat64(throughput_nominal) AS nominal,
            toFloat64(throughput_borrowing) AS borrowing,
            toFloat64(throughput_kept) AS kept
        FROM limits
        WHERE pool = {pool:String} AND tenant = {tenant:String}
    ) AS l ON l.pool = s.of_pool AND s.last_tick >= l.tick
    LEFT JOIN
    (
        SELECT intDiv(toUnixTimestamp64Milli(time), span_ms) AS bucket, sum(input_tokens + output_tokens) * 1000 / span_ms AS used
        FROM usage_events
        WHERE tenant = {tenant:String} AND pool = {pool:String} AND time >= since
        GROUP BY bucket
    ) AS u ON u.bucket = s.bucket
    WINDOW lately AS (ORDER BY s.bucket ROWS BETWEEN 4 PRECEDING AND CURRENT ROW)
)
ARRAY JOIN names AS shown, amounts AS value
WHERE value IS NOT NULL
ORDER BY time, shown
