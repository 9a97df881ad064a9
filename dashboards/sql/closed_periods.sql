-- The newest thousand closed periods of a pool, for its selector.
SELECT period, period_start
FROM periods
WHERE pool = {pool:String}
ORDER BY period DESC
LIMIT 1000
