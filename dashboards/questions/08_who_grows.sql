-- Whose use grew most: the last seven whole days against the seven before?
SELECT
    tenant,
    sumIf(input_tokens + output_tokens, day >= toStartOfDay(now() - INTERVAL 7 DAY)) AS last_week,
    sumIf(input_tokens + output_tokens, day < toStartOfDay(now() - INTERVAL 7 DAY)) AS week_before,
    last_week - week_before AS growth
FROM usage_by_day
WHERE day >= toStartOfDay(now() - INTERVAL 14 DAY) AND day < toStartOfDay(now())
GROUP BY tenant
ORDER BY growth DESC, tenant
LIMIT 10
