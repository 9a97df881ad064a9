-- Tokens open at each price of one instrument, the best price of each side first; at most 200 levels a side.
SELECT side, price, sum(open) AS tokens, count() AS orders
FROM open_orders
WHERE pool = {pool:String} AND period = {instrument:Int64}
GROUP BY side, price
ORDER BY side, if(side = 'buy', -price, price)
LIMIT 200 BY side
