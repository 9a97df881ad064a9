-- The latest recorded backtest of a pool: a row for each variant, what happened first. Money in credits, shares from 0 to 1.
SELECT
    variant,
    place,
    from_time,
    to_time,
    periods,
    revenue / 1e9 AS revenue,
    served,
    b.unmet / nullIf(demand, 0) AS unmet_share,
    toFloat64(b.utilisation) AS utilisation,
    toFloat64(b.jain) AS jain,
    welfare / nullIf(optimum, 0) AS welfare_share,
    toFloat64(b.sla_low) AS sla_low,
    toFloat64(b.sla_high) AS sla_high,
    budget_charged / nullIf(budget, 0) AS budget_use
FROM backtests AS b
WHERE pool = {pool:String} AND id = (SELECT argMax(id, landed_at) FROM backtests WHERE pool = {pool:String})
ORDER BY place, variant
