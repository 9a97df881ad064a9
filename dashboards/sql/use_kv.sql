-- KV-cache blocks in use in the latest periods (the most of a report) against quotas: of one tenant, or (tenant '') of the whole
-- pool against its capacity. Tenants' peaks add up to a little more than was in use at once.
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
            [toNullable(u.used), s.promised, s.capacity, s.kept, s.lent],
            [u.used, l.nominal, l.nominal + l.borrowing, l.kept, if(l.reserved, greatest(l.nominal - l.kept, 0), NULL)]
        ) AS amounts
    FROM
    (
        SELECT
            intDiv(toUnixTimestamp64Milli(at), span_ms) AS bucket,
            any(c.pool) AS of_pool,
            max(tick) AS last_tick,
            toFloat64(argMax(kv_promised, tick)) AS promised,
            toFloat64(argMax(kv, tick)) AS capacity,
            toFloat64(argMax(kv_kept, tick)) AS kept,
            toFloat64(argMax(kv_lent, tick)) AS lent
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
            toFloat64(kv_nominal) AS nominal,
            toFloat64(kv_borrowing) AS borrowing,
            toFloat64(kv_kept) AS kept
        FROM limits
        WHERE pool = {pool:String} AND tenant = {tenant:String}
    ) AS l ON l.pool = s.of_pool AND s.last_tick >= l.tick
    LEFT JOIN
    (
        SELECT bucket, sum(used) AS used
        FROM
        (
            SELECT
                arrayJoin(range(
                    intDiv(toUnixTimestamp64Milli(time) - interval_ms, span_ms), intDiv(toUnixTimestamp64Milli(time), span_ms) + 1
                )) AS bucket,
                tenant, source, if({tenant:String} = '', avg(peak_kv_blocks), toFloat64(max(peak_kv_blocks))) AS used
            FROM admission_events
            WHERE pool = {pool:String} AND time >= since AND ({tenant:String} = '' OR tenant = {tenant:String})
            GROUP BY bucket, tenant, source
        )
        GROUP BY bucket
    ) AS u ON u.bucket = s.bucket
)
ARRAY JOIN names AS shown, amounts AS value
WHERE value IS NOT NULL
ORDER BY time, shown
