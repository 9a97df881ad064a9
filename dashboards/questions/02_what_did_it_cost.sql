-- What did the last week cost each tenant, by what it paid for?
SELECT tenant, paid_for, sum(tokens) AS tokens, sum(cost) AS nanocredits, sum(cost) / 1e9 AS credits
FROM costs_by_hour
WHERE hour >= toStartOfHour(now() - INTERVAL 7 DAY)
GROUP BY tenant, paid_for
ORDER BY nanocredits DESC, tenant, paid_for
LIMIT 20
