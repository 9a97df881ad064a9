-- Tokens allocated to each of the nine largest tenants of the latest periods, and to all others together.
WITH
    first AS
    (
        SELECT min(period) AS period
        FROM (SELECT period FROM periods WHERE pool = {pool:String} ORDER BY period DESC LIMIT {periods:UInt32})
    ),
    largest AS
    (
        SELECT tenant
        FROM allocations
        WHERE pool = {pool:String} AND period >= (SELECT period FROM first)
        GROUP BY tenant
        ORDER BY sum(allocated) DESC, tenant
        LIMIT 9
    )
SELECT
    period_start,
    if(tenant IN largest, tenant, '(all others)') AS shown,
    sum(allocated) AS allocated
FROM allocations
WHERE pool = {pool:String} AND period >= (SELECT period FROM first)
GROUP BY period_start, shown
ORDER BY period_start, shown
