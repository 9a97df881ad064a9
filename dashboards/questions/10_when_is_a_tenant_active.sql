-- In which hours of the last week was each tenant's use farthest above its own mean?
SELECT tenant, hour, tokens, round(tokens / (sum(tokens) OVER (PARTITION BY tenant) / (7 * 24)), 1) AS times_its_mean
FROM
(
    SELECT tenant, hour, sum(input_tokens + output_tokens) AS tokens
    FROM usage_by_hour
    WHERE hour >= toStartOfHour(now() - INTERVAL 7 DAY)
    GROUP BY tenant, hour
)
ORDER BY times_its_mean DESC, tenant, hour
LIMIT 10
