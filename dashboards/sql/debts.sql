-- Debts in the latest periods, in seconds of what the tenant is entitled to: of one tenant, or of the nine that have the largest.
WITH
    (SELECT max(period) FROM capacity WHERE pool = {pool:String}) AS latest,
    (SELECT min(at) FROM capacity WHERE pool = {pool:String} AND period > latest - {periods:UInt32}) AS since,
    (SELECT max(at) FROM capacity WHERE pool = {pool:String}) AS until,
    1000 * greatest(2, intDiv(dateDiff('second', since, until) + 119, 120)) AS span_ms
SELECT s.time AS time, s.tenant AS shown, d.seconds AS value
FROM
(
    SELECT time, tick, tenant
    FROM
    (
        SELECT
            fromUnixTimestamp64Milli(intDiv(toUnixTimestamp64Milli(at), span_ms) * span_ms, 'UTC') AS time,
            max(tick) AS tick
        FROM capacity
        WHERE pool = {pool:String} AND period > latest - {periods:UInt32}
        GROUP BY time
    ) AS spans
    CROSS JOIN
    (
        SELECT tenant
        FROM debts
        WHERE pool = {pool:String} AND ({tenant:String} = '' OR tenant = {tenant:String}) AND period > latest - {periods:UInt32}
        GROUP BY tenant
        ORDER BY max(abs(debt)) DESC, tenant
        LIMIT 9
    ) AS largest
) AS s
ASOF LEFT JOIN
(
    SELECT tick, tenant, debt / 1000 / greatest(rate, 1) AS seconds
    FROM debts
    WHERE pool = {pool:String} AND period > latest - {periods:UInt32}
) AS d ON d.tenant = s.tenant AND s.tick >= d.tick
ORDER BY time, shown
