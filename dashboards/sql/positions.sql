-- Each tenant's position in one instrument, the largest first. Money in credits.
SELECT
    if(tenant = '', '(operator)', tenant) AS tenant,
    toInt64(bought) AS bought,
    toInt64(sold) AS sold,
    toInt64(transferred) AS transferred,
    toInt64(net) AS net,
    toFloat64(paid) / 1e9 AS paid,
    toFloat64(earned) / 1e9 AS earned,
    toInt64(open_buy) AS open_buy,
    toInt64(open_sell) AS open_sell,
    toInt64(held_tokens) AS held_tokens,
    toInt64(shortfall) AS shortfall
FROM positions AS p
WHERE p.pool = {pool:String} AND p.period = {instrument:Int64}
ORDER BY abs(p.net) DESC, p.bought + p.sold DESC, p.tenant
LIMIT 200
