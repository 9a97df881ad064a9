-- Which were the busiest minutes of each pool in the last day?
SELECT pool, minute, sum(input_tokens + output_tokens) AS tokens, sum(requests) AS requests
FROM usage_by_minute
WHERE minute >= toStartOfMinute(now() - INTERVAL 1 DAY)
GROUP BY pool, minute
ORDER BY tokens DESC, pool, minute
LIMIT 3 BY pool
