-- Each gateway's lease in the latest periods, tokens per second: its part of the pool's capacity, or of one tenant's nominal quota.
-- A lease holds until the next one, or its end; the newest of before is shown from the beginning on, the newest of all to the end.
WITH
    (SELECT max(period) FROM capacity WHERE pool = {pool:String}) AS latest,
    (SELECT min(at) FROM capacity WHERE pool = {pool:String} AND period > latest - {periods:UInt32}) AS since,
    (SELECT max(at) FROM capacity WHERE pool = {pool:String}) AS until
SELECT
    arrayJoin(if(last, [shown_at, greatest(until, shown_at + INTERVAL 1 MILLISECOND)], [shown_at])) AS time,
    gateway AS shown,
    tokens AS value
FROM
(
    SELECT
        greatest(at, since) AS shown_at,
        gateway,
        argMax(granted, (tick, ended)) AS tokens,
        shown_at = max(shown_at) OVER (PARTITION BY gateway) AS last
    FROM
    (
        SELECT at, tick, gateway, throughput AS granted, 0 AS ended
        FROM leased_capacity
        WHERE pool = {pool:String} AND {tenant:String} = ''
        UNION ALL
        SELECT at, tick, gateway, throughput_nominal, 0
        FROM leases
        WHERE pool = {pool:String} AND tenant = {tenant:String}
        UNION ALL
        SELECT at, tick, gateway, 0, 1
        FROM lease_ends
        WHERE pool = {pool:String}
    )
    GROUP BY shown_at, gateway
)
ORDER BY time, shown
