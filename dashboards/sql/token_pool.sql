-- A token pool as a whole at its latest tick, and what was asked of it in the latest periods.
-- Cost: reports are kept by pool and time, too: those of the periods shown are read, each once (LIMIT 1 BY), however many are kept.
WITH
    (SELECT max(period) FROM capacity WHERE pool = {pool:String}) AS latest,
    (SELECT min(at) FROM capacity WHERE pool = {pool:String} AND period > latest - {periods:UInt32}) AS since
SELECT
    c.throughput AS throughput,
    c.throughput_promised AS promised,
    c.throughput_lent AS lent,
    c.throughput_kept AS kept,
    c.kv AS kv,
    c.concurrency AS concurrency,
    t.replicas AS replicas,
    u.used AS used,
    u.used / nullIf(c.throughput, 0) AS utilisation,
    a.admitted AS admitted,
    a.refused AS refused,
    a.stopped AS stopped,
    d.owed AS owed,
    d.owing AS owing,
    s.short AS short
FROM
(
    SELECT throughput, throughput_promised, throughput_lent, throughput_kept, kv, concurrency
    FROM capacity
    WHERE pool = {pool:String} AND period = latest
    ORDER BY tick DESC
    LIMIT 1
) AS c
CROSS JOIN
(
    SELECT argMax(replicas, (journal_offset, fact_index)) AS replicas
    FROM token_pools
    WHERE pool = {pool:String}
) AS t
CROSS JOIN
(
    SELECT sum(served) * 1000 / nullIf(sum(elapsed_ms), 0) AS used
    FROM (SELECT served, elapsed_ms FROM capacity WHERE pool = {pool:String} AND period >= latest - 1 ORDER BY tick DESC LIMIT 5)
) AS u
CROSS JOIN
(
    SELECT
        sum(admitted) AS admitted,
        sum(
            refused_own_throughput + refused_own_kv + refused_own_concurrency
            + refused_pool_throughput + refused_pool_kv + refused_pool_concurrency
        ) AS refused,
        sum(stopped) AS stopped
    FROM
    (
        SELECT
            admitted, stopped, refused_own_throughput, refused_own_kv, refused_own_concurrency,
            refused_pool_throughput, refused_pool_kv, refused_pool_concurrency
        FROM admission_events_landed
        WHERE pool = {pool:String} AND time >= since
        LIMIT 1 BY tenant, source, id
    )
) AS a
CROSS JOIN
(
    SELECT sumIf(debt, debt > 0) / 1000 AS owed, countIf(debt > 0) AS owing
    FROM (SELECT argMax(debt, tick) AS debt FROM debts WHERE pool = {pool:String} GROUP BY tenant)
) AS d
CROSS JOIN
(
    SELECT countIf(shortfall > 0) AS short
    FROM (SELECT argMax(shortfall, tick) AS shortfall FROM shortfalls WHERE pool = {pool:String} GROUP BY tenant, dimension)
) AS s
