-- Price (nanocredits per token) and volume of one instrument, minute by minute: the latest 240 with trades.
SELECT minute, open, high, low, close, toFloat64(volume) AS volume, trades
FROM
(
    SELECT *
    FROM candles
    WHERE pool = {pool:String} AND period = {instrument:Int64}
    ORDER BY minute DESC
    LIMIT 240
)
ORDER BY minute
