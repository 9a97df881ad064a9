-- Replicas in the latest periods: how many there are, how many are asked for, and what is needed. The newest of before is shown from
-- the beginning on, the newest of all to the end.
WITH
    (SELECT max(period) FROM capacity WHERE pool = {pool:String}) AS latest,
    (SELECT min(at) FROM capacity WHERE pool = {pool:String} AND period > latest - {periods:UInt32}) AS since,
    (SELECT max(at) FROM capacity WHERE pool = {pool:String}) AS until
SELECT
    arrayJoin(if(last, [shown_at, greatest(until, shown_at + INTERVAL 1 MILLISECOND)], [shown_at])) AS time,
    shown,
    value
FROM
(
    SELECT
        greatest(at, since) AS shown_at,
        argMax([replicas, wanted, greatest(needed_throughput, needed_kv, needed_concurrency), promised_replicas], tick) AS counts,
        shown_at = max(shown_at) OVER () AS last
    FROM scalings
    WHERE pool = {pool:String}
    GROUP BY shown_at
)
ARRAY JOIN ['provisioned', 'asked for', 'needed', 'promised'] AS shown, counts AS value
ORDER BY time, shown
