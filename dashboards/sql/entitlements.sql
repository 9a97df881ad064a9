-- Each tenant of a token pool: its quotas now, what it used of late (the pool's last ten seconds), and what was asked in the
-- latest periods. Debt in seconds of what it is entitled to.
-- Cost: admission reports of the periods shown, which are kept by pool and time, too; of usage the parts that landed of late, ten
-- minutes being what clocks may differ by. Each row counts once (LIMIT 1 BY).
WITH
    (SELECT max(period) FROM capacity WHERE pool = {pool:String}) AS latest,
    (SELECT min(at) FROM capacity WHERE pool = {pool:String} AND period > latest - {periods:UInt32}) AS since,
    (SELECT max(at) FROM capacity WHERE pool = {pool:String}) AS until,
    (SELECT argMax(throughput, tick) FROM capacity WHERE pool = {pool:String} AND period = latest) AS capacity
SELECT
    l.tenant AS tenant,
    l.tier AS tier,
    u.used AS used,
    capacity,
    l.nominal AS nominal,
    if(l.borrowing IS NULL, NULL, l.nominal + l.borrowing) AS most,
    l.kept AS kept,
    a.kv AS kv,
    l.kv_kept AS kv_kept,
    a.concurrency AS concurrency,
    l.concurrency_kept AS concurrency_kept,
    a.admitted AS admitted,
    a.refused AS refused,
    a.stopped AS stopped,
    if(d.rate > 0, d.debt / 1000 / d.rate, NULL) AS debt,
    d.factor / 1e6 AS factor
FROM
(
    SELECT
        tenant,
        argMax(tier, tick) AS tier,
        argMax(throughput_nominal, tick) AS nominal,
        argMax(tuple(throughput_borrowing), tick).1 AS borrowing,
        argMax(throughput_kept, tick) AS kept,
        argMax(kv_kept, tick) AS kv_kept,
        argMax(concurrency_kept, tick) AS concurrency_kept
    FROM limits
    WHERE pool = {pool:String}
    GROUP BY tenant
) AS l
LEFT JOIN
(
    SELECT tenant, sum(input_tokens + output_tokens) / 10 AS used
    FROM
    (
        SELECT tenant, input_tokens, output_tokens
        FROM usage_events_landed
        WHERE pool = {pool:String} AND time >= until - INTERVAL 10 SECOND AND landed_at >= until - INTERVAL 10 MINUTE
        LIMIT 1 BY tenant, source, id
    )
    GROUP BY tenant
) AS u ON u.tenant = l.tenant
LEFT JOIN
(
    SELECT
        tenant,
        sum(admitted) AS admitted,
        sum(
            refused_own_throughput + refused_own_kv + refused_own_concurrency
            + refused_pool_throughput + refused_pool_kv + refused_pool_concurrency
        ) AS refused,
        sum(stopped) AS stopped,
        maxIf(peak_kv_blocks, time >= until - INTERVAL 10 SECOND) AS kv,
        maxIf(peak_concurrency, time >= until - INTERVAL 10 SECOND) AS concurrency
    FROM
    (
        SELECT
            tenant, time, admitted, stopped, refused_own_throughput, refused_own_kv, refused_own_concurrency,
            refused_pool_throughput, refused_pool_kv, refused_pool_concurrency, peak_kv_blocks, peak_concurrency
        FROM admission_events_landed
        WHERE pool = {pool:String} AND time >= since
        LIMIT 1 BY tenant, source, id
    )
    GROUP BY tenant
) AS a ON a.tenant = l.tenant
LEFT JOIN
(
    SELECT tenant, argMax(debt, tick) AS debt, argMax(rate, tick) AS rate, argMax(factor, tick) AS factor
    FROM debts
    WHERE pool = {pool:String}
    GROUP BY tenant
) AS d ON d.tenant = l.tenant
ORDER BY indexOf(['dedicated', 'guaranteed', 'elastic', 'spot', 'preemptible'], tier), used DESC, tenant
LIMIT 200
