-- Tokens used and allocated in each of the latest periods, as percent of the pool's capacity.
SELECT
    period_start,
    100 * used / nullIf(capacity, 0) AS used_percent,
    100 * allocated / nullIf(capacity, 0) AS allocated_percent
FROM
(
    SELECT period, period_start, used, allocated, capacity
    FROM periods
    WHERE pool = {pool:String}
    ORDER BY period DESC
    LIMIT {periods:UInt32}
)
ORDER BY period
