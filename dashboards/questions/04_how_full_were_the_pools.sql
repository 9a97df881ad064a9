-- How full was each pool in each hour of the last two days, and at what price?
SELECT pool, hour, periods, round(utilisation, 3) AS mean, round(fullest, 3) AS fullest_period, lowest_price, highest_price
FROM utilisation_by_hour
WHERE hour >= toStartOfHour(now() - INTERVAL 2 DAY)
ORDER BY pool, hour
