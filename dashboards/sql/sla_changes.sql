-- The latest changes of bases and what they were for, the newest first: of one tenant, or (tenant '') of all.
SELECT
    period_start,
    tenant,
    kind,
    after - before AS moved,
    before,
    after,
    reason,
    counterparty
FROM sla AS s
WHERE
    pool = {pool:String} AND ({tenant:String} = '' OR tenant = {tenant:String})
    AND s.period > (SELECT max(period) FROM periods WHERE pool = {pool:String}) - {periods:UInt32}
ORDER BY s.journal_offset DESC, s.fact_index DESC, s.record_row
LIMIT 100
