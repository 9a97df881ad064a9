-- One instrument as a whole: its last and average price, best bid and ask, volume, and what is open. Money in credits.
SELECT
    t.last_price AS last_price,
    t.value / nullIf(t.volume, 0) AS average,
    if(p.phase = '', 'not traded yet', p.phase) AS phase,
    o.best_bid AS best_bid,
    o.best_ask AS best_ask,
    o.bid AS bid,
    o.offered AS offered,
    t.volume AS volume,
    t.trades AS trades,
    t.value / 1e9 AS value,
    t.fees / 1e9 AS fees,
    o.orders AS orders,
    o.tenants AS tenants
FROM
(
    SELECT
        argMaxOrNull(price, (journal_offset, fact_index, record_row)) AS last_price,
        sum(qty) AS volume, sum(toInt128(price) * qty) AS value, sum(buyer_fee + seller_fee) AS fees, count() AS trades
    FROM trades
    WHERE pool = {pool:String} AND period = {instrument:Int64}
) AS t
CROSS JOIN
(
    SELECT
        maxOrNullIf(price, side = 'buy') AS best_bid, minOrNullIf(price, side = 'sell') AS best_ask,
        sumIf(open, side = 'buy') AS bid, sumIf(open, side = 'sell') AS offered,
        count() AS orders, uniqExact(tenant) AS tenants
    FROM open_orders
    WHERE pool = {pool:String} AND period = {instrument:Int64}
) AS o
CROSS JOIN
(
    SELECT argMaxIf(phase, (journal_offset, fact_index), phase != '') AS phase
    FROM instruments
    WHERE pool = {pool:String} AND period = {instrument:Int64}
) AS p
