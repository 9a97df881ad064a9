-- Which tenants used most tokens in the last week, and how much of their input came from the cache?
SELECT
    tenant, sum(requests) AS requests, sum(input_tokens + output_tokens) AS tokens,
    round(sum(cached_input_tokens) / sum(input_tokens), 3) AS cached_share
FROM usage_by_hour
WHERE hour >= toStartOfHour(now() - INTERVAL 7 DAY)
GROUP BY tenant
ORDER BY tokens DESC, tenant
LIMIT 10
