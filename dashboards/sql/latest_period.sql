-- Each tenant's outcome of the latest closed period, the largest allocations first. Money in credits.
SELECT
    tenant,
    base,
    demand,
    bid,
    surplus,
    bought - sold AS traded,
    allocated,
    used,
    charge / 1e9 AS charge,
    budget_left / 1e9 AS budget_left
FROM allocations
WHERE pool = {pool:String} AND period = (SELECT max(period) FROM periods WHERE pool = {pool:String})
ORDER BY allocated DESC, tenant
LIMIT 200
