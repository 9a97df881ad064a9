-- Why bases were moved, or were not, in the latest periods: decisions, each of which is one move or one verdict; of one tenant, or of all.
WITH (SELECT max(period) FROM periods WHERE pool = {pool:String}) AS latest
SELECT period_start, reason AS shown, count() AS decisions
FROM sla AS s
WHERE
    pool = {pool:String} AND period > latest - {periods:UInt32} AND kind != 'loan'
    AND ({tenant:String} = '' OR tenant = {tenant:String})
GROUP BY period_start, shown
ORDER BY period_start, shown
