-- What tenants have without the auction, in the latest periods: base, boost added, what others have of it taken off. Of one tenant, or
-- (tenant '') of the eight whose bases were moved most.
WITH (SELECT max(period) FROM periods WHERE pool = {pool:String}) AS latest
SELECT period_start AS time, tenant AS shown, base AS value
FROM allocations AS a
WHERE pool = {pool:String} AND period > latest - {periods:UInt32} AND if({tenant:String} != '', tenant = {tenant:String}, tenant IN
(
    SELECT tenant
    FROM sla
    WHERE pool = {pool:String} AND period > latest - {periods:UInt32} AND kind != 'verdict'
    GROUP BY tenant
    ORDER BY sum(abs(after - before)) DESC, tenant
    LIMIT 8
))
ORDER BY time, shown
