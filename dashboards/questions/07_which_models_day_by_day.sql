-- How much was each model used, day by day?
SELECT day, model, sum(requests) AS requests, sum(input_tokens) AS input, sum(output_tokens) AS output
FROM usage_by_day
WHERE day >= toStartOfDay(now() - INTERVAL 30 DAY)
GROUP BY day, model
ORDER BY day, model
