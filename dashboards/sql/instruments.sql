-- Instruments of a pool that have orders: the period that is open, those ahead of it, and the latest twelve that closed.
SELECT
    period,
    toDateTime(period * (SELECT any(period_s) FROM pools WHERE pool = {pool:String}), 'UTC') AS starts,
    period - (SELECT max(period) + 1 FROM periods WHERE pool = {pool:String}) AS ahead
FROM
(
    SELECT DISTINCT period
    FROM orders
    WHERE pool = {pool:String} AND period >= (SELECT max(period) - 11 FROM periods WHERE pool = {pool:String})
)
ORDER BY period
