-- Tokens that tenants have beyond their bases for their SLAs' sake (above zero), and who paid for them (below), in the latest
-- periods: of one tenant, or (tenant '') of the eight with the largest sums and all others together.
WITH (SELECT max(period) FROM sla_periods WHERE pool = {pool:String}) AS latest
SELECT
    period_start,
    if(tenant IN
    (
        SELECT tenant
        FROM sla_periods
        WHERE pool = {pool:String} AND period > latest - {periods:UInt32}
        GROUP BY tenant
        ORDER BY sum(boost + paid) DESC, tenant
        LIMIT 8
    ) OR {tenant:String} != '', tenant, if(boost > paid, '(others, more)', '(others, less)')) AS shown,
    sum(boost - paid) AS tokens
FROM sla_periods AS s
WHERE
    pool = {pool:String} AND period > latest - {periods:UInt32} AND boost != paid
    AND ({tenant:String} = '' OR tenant = {tenant:String})
GROUP BY period_start, shown
ORDER BY period_start, shown
