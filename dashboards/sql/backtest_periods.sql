-- The latest recorded backtest of a pool over time, at no more than 120 points, a series for each variant: what the panel names.
SELECT
    min(period_start) AS time,
    variant AS shown,
    multiIf(
        {measure:String} = 'unmet', 100 * (sum(demand) - sum(served)) / nullIf(sum(demand), 0),
        {measure:String} = 'welfare', 100 * sum(welfare) / nullIf(sum(optimum), 0),
        {measure:String} = 'price', avg(price),
        sum(revenue) / 1e9 / count()
    ) AS value
FROM
(
    SELECT *, intDiv(dense_rank() OVER (ORDER BY period) - 1, greatest(1, intDiv(count() OVER (PARTITION BY variant) + 119, 120))) AS point
    FROM backtest_periods
    WHERE pool = {pool:String} AND id = (SELECT argMax(id, landed_at) FROM backtests WHERE pool = {pool:String})
)
GROUP BY point, variant, place
HAVING value IS NOT NULL
ORDER BY place, time
