-- At which hours of the day (UTC) are tokens dear, over the last thirty days?
SELECT pool, toHour(hour) AS hour_of_day, max(highest_price) AS highest_price, round(sum(used) / sum(capacity), 3) AS mean_utilisation
FROM utilisation_by_hour
WHERE hour >= toStartOfHour(now() - INTERVAL 30 DAY)
GROUP BY pool, hour_of_day
ORDER BY pool, hour_of_day
