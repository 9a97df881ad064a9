-- Who was short in the last day, of how much, and why?
SELECT pool, tenant, why, sum(periods) AS periods, sum(short) AS tokens_short, round(sum(short) / sum(demand), 3) AS share_of_demand
FROM allocations_by_hour
WHERE why != '' AND hour >= toStartOfHour(now() - INTERVAL 1 DAY)
GROUP BY pool, tenant, why
ORDER BY tokens_short DESC, pool, tenant, why
LIMIT 20
