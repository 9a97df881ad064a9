-- A closed period's allocations: each adds up, was bought and sold as traded, and all of them are within the pool's capacity.
WITH
    closed AS
    (
        SELECT
            period, capacity, journal_offset,
            lagInFrame(journal_offset, 1, -1) OVER (ORDER BY journal_offset ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)
                AS closed_before
        FROM periods
        WHERE pool = {pool:String} AND partition = {partition:Int32} AND journal_offset <= {through:Int64}
    ),
    traded AS
    (
        SELECT period, side.1 AS tenant, sum(toInt128(side.2)) AS bought, sum(toInt128(side.3)) AS sold
        FROM settlements
        ARRAY JOIN [(buyer, tokens, 0), (seller, 0, tokens)] AS side
        WHERE pool = {pool:String} AND partition = {partition:Int32} AND journal_offset <= {through:Int64} AND kind = 'delivered'
        GROUP BY period, tenant
        UNION ALL
        SELECT period, tenant, sum(toInt128(received)), sum(toInt128(given))
        FROM deliveries
        WHERE pool = {pool:String} AND partition = {partition:Int32} AND journal_offset <= {through:Int64}
        GROUP BY period, tenant
        UNION ALL
        -- Of the open period; what was given of a later one is in its deliveries.
        SELECT t.period, side.1, sum(toInt128(side.2)), sum(toInt128(side.3))
        FROM transfers AS t
        INNER JOIN closed AS c ON c.period = t.period
        ARRAY JOIN [(t.tenant, t.for_tokens, t.tokens), (t.to, t.tokens, t.for_tokens)] AS side
        WHERE t.pool = {pool:String} AND t.partition = {partition:Int32} AND t.journal_offset <= {through:Int64}
            AND t.event IN ('done', 'accepted') AND t.journal_offset > c.closed_before
        GROUP BY t.period, side.1
    ),
    rows AS
    (
        SELECT
            period, tenant, toInt128(allocated) AS allocated, toInt128(base) + surplus + bought - sold AS due,
            toInt128(bought) AS bought, toInt128(sold) AS sold
        FROM allocations
        WHERE pool = {pool:String} AND partition = {partition:Int32}
            AND journal_offset > {after:Int64} AND journal_offset <= {through:Int64}
    )
SELECT subject, period, expected, found
FROM
(
    SELECT concat('allocated to ', tenant) AS subject, period, due AS expected, allocated AS found FROM rows
    UNION ALL
    SELECT 'allocated to all, at most the capacity', r.period, toInt128(any(c.capacity)), sum(r.allocated)
    FROM rows AS r
    INNER JOIN closed AS c ON c.period = r.period
    GROUP BY r.period
    HAVING sum(r.allocated) > any(c.capacity)
    UNION ALL
    SELECT concat(side.1, ' by ', tenant), period, sum(side.2), sum(side.3)
    FROM
    (
        SELECT period, tenant, arrayJoin([('bought', toInt128(0), bought), ('sold', toInt128(0), sold)]) AS side FROM rows
        UNION ALL
        SELECT period, tenant, arrayJoin([('bought', bought, toInt128(0)), ('sold', sold, toInt128(0))])
        FROM traded
        WHERE tenant != '' AND period IN (SELECT period FROM rows)
    )
    GROUP BY period, tenant, side.1
)
WHERE expected != found
ORDER BY period, subject
