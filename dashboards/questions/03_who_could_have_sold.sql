-- Who left tokens unused in the last day while others were short, and what were they worth?
SELECT pool, tenant, count() AS periods, sum(idle) AS tokens_idle, sum(sellable) AS tokens_sellable, sum(worth) AS nanocredits
FROM who_could_have_sold
WHERE period_start >= now() - INTERVAL 1 DAY
GROUP BY pool, tenant
ORDER BY nanocredits DESC, pool, tenant
LIMIT 20
