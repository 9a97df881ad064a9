-- Who left tokens unused in the last day while others were short, and what were they worth?
SELECT
    pool, tenant, sum(could_sell) AS periods, sum(idle) AS tokens_idle, sum(sellable) AS tokens_sellable, sum(worth) AS nanocredits
FROM allocations_by_hour
WHERE could_sell > 0 AND hour >= toStartOfHour(now() - INTERVAL 1 DAY)
GROUP BY pool, tenant
ORDER BY nanocredits DESC, pool, tenant
LIMIT 20
