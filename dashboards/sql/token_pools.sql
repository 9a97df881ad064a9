-- The pools whose capacity is shared by entitlement.
SELECT pool
FROM
(
    SELECT pool, argMax(replicas, (journal_offset, fact_index)) AS replicas
    FROM token_pools
    GROUP BY pool
)
WHERE replicas IS NOT NULL
ORDER BY pool
