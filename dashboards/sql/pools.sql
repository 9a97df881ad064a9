-- The pools that have closed a period.
SELECT DISTINCT pool
FROM periods
ORDER BY pool
