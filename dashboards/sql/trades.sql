-- The latest trades of one instrument, the newest first. Value in credits.
SELECT
    time,
    price,
    qty,
    toFloat64(price) * qty / 1e9 AS value,
    if(buyer = '', '(operator)', buyer) AS buyer,
    if(seller = '', '(operator)', seller) AS seller,
    taker
FROM trades AS t
WHERE pool = {pool:String} AND period = {instrument:Int64}
ORDER BY t.journal_offset DESC, t.fact_index DESC, t.record_row DESC
LIMIT 100
