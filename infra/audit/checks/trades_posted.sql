-- What a journal record's trades move on the ledger: money from buyers, tokens from sellers. Who trades with itself moves nothing.
SELECT
    concat(if(asset = -1, 'money', 'tokens'), ' of trades at offset ', toString(journal_offset)) AS subject,
    if(asset = -1, NULL, asset) AS period,
    sum(settled) AS expected,
    sum(posted) AS found
FROM
(
    SELECT
        journal_offset, part.1 AS asset, part.2 AS settled, toInt128(0) AS posted
    FROM settlements
    ARRAY JOIN
    [
        (
            toInt64(-1),
            toInt128(paid) - if(kind = 'delivered', if(buyer = seller, earned, 0) + if(buyer = '', fees, 0), 0)
        ),
        (period, toInt128(if(buyer = seller, 0, tokens)))
    ] AS part
    WHERE pool = {pool:String} AND partition = {partition:Int32}
        AND journal_offset > {after:Int64} AND journal_offset <= {through:Int64}
    UNION ALL
    SELECT journal_offset, asset, toInt128(0), toInt128(amount)
    FROM ledger
    WHERE pool = {pool:String} AND partition = {partition:Int32}
        AND journal_offset > {after:Int64} AND journal_offset <= {through:Int64}
        AND entry = 'capture' AND code IN ('trade', 'fee')
)
GROUP BY journal_offset, asset
HAVING expected != found
ORDER BY journal_offset, asset
