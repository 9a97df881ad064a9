-- Use in the latest periods against quotas, of one dimension (throughput, kv or concurrency): of one tenant, or (tenant '') of the
-- whole pool against its capacity. Tokens per second are means of five points. KV-cache blocks and requests in flight are the most
-- of each report: tenants' peaks add up to a little more than was in use at once.
-- Cost: reports are kept by pool and time, too: those of the periods shown are read, each once (LIMIT 1 BY), however many are kept.
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
        ifNull(u.used, 0) AS reported,
        if({dimension:String} != 'throughput', reported, avg(if({tenant:String} = '', s.served, reported)) OVER lately) AS used,
        if(
            {tenant:String} = '',
            ['used', 'promised', 'capacity', 'kept', 'lent'],
            ['used', 'nominal quota', 'burst limit', 'kept', 'lent']
        ) AS names,
        if(
            {tenant:String} = '',
            [toNullable(used), s.share.promised, s.share.capacity, s.share.kept, s.share.lent],
            [
                used, l.quota.nominal, l.quota.nominal + l.quota.borrowing, l.quota.kept,
                if(l.reserved, greatest(l.quota.nominal - l.quota.kept, 0), NULL)
            ]
        ) AS amounts
    FROM
    (
        SELECT
            intDiv(toUnixTimestamp64Milli(at), span_ms) AS bucket,
            any(c.pool) AS of_pool,
            max(tick) AS last_tick,
            sum(served) * 1000 / nullIf(sum(elapsed_ms), 0) AS served,
            argMax(
                multiIf(
                    {dimension:String} = 'throughput', (throughput, throughput_promised, throughput_kept, throughput_lent),
                    {dimension:String} = 'kv', (kv, kv_promised, kv_kept, kv_lent),
                    (concurrency, concurrency_promised, concurrency_kept, concurrency_lent)
                )::Tuple(capacity Float64, promised Float64, kept Float64, lent Float64),
                tick
            ) AS share
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
            multiIf(
                {dimension:String} = 'throughput', (throughput_nominal, throughput_borrowing, throughput_kept),
                {dimension:String} = 'kv', (kv_nominal, kv_borrowing, kv_kept),
                (concurrency_nominal, concurrency_borrowing, concurrency_kept)
            )::Tuple(nominal Float64, borrowing Nullable(Float64), kept Float64) AS quota
        FROM limits
        WHERE pool = {pool:String} AND tenant = {tenant:String}
    ) AS l ON l.pool = s.of_pool AND s.last_tick >= l.tick
    LEFT JOIN
    (
        SELECT bucket, sum(used) AS used
        FROM
        (
            SELECT intDiv(toUnixTimestamp64Milli(time), span_ms) AS bucket, sum(input_tokens + output_tokens) * 1000 / span_ms AS used
            FROM usage_events
            WHERE
                {dimension:String} = 'throughput' AND pool = {pool:String} AND tenant = {tenant:String}
                AND time >= since
            GROUP BY bucket
            UNION ALL
            SELECT
                arrayJoin(range(
                    intDiv(toUnixTimestamp64Milli(time) - interval_ms, span_ms), intDiv(toUnixTimestamp64Milli(time), span_ms) + 1
                )) AS bucket,
                if({tenant:String} = '', avg(peak), toFloat64(max(if({dimension:String} = 'kv', peak_kv_blocks, peak_concurrency) AS peak)))
            FROM
            (
                SELECT tenant, source, time, interval_ms, peak_kv_blocks, peak_concurrency
                FROM admission_events_landed
                WHERE
                    {dimension:String} != 'throughput' AND pool = {pool:String} AND time >= since
                    AND ({tenant:String} = '' OR tenant = {tenant:String})
                LIMIT 1 BY tenant, source, id
            )
            GROUP BY bucket, tenant, source
        )
        GROUP BY bucket
    ) AS u ON u.bucket = s.bucket
    WINDOW lately AS (ORDER BY s.bucket ROWS BETWEEN 4 PRECEDING AND CURRENT ROW)
)
ARRAY JOIN names AS shown, amounts AS value
WHERE value IS NOT NULL
ORDER BY time, shown
