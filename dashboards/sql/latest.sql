-- The latest closed period of a pool as a whole, and what its tenants were charged (credits).
SELECT
    period_start,
    period_s,
    policy,
    capacity,
    allocated,
    used,
    tenants,
    price,
    used / nullIf(capacity, 0) AS utilisation,
    (
        SELECT sum(charge) / 1e9
        FROM allocations
        WHERE pool = {pool:String} AND period = (SELECT max(period) FROM periods WHERE pool = {pool:String})
    ) AS charged
FROM periods
WHERE pool = {pool:String}
ORDER BY period DESC
LIMIT 1
