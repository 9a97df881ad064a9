-- Every trade is settled once, with its tokens, what its buyer pays (fee included) and what its seller earns (fee taken off).
SELECT
    concat('trade ', toString(number), ' at offset ', toString(journal_offset), ': ', measure.1) AS subject,
    period,
    measure.2 AS expected,
    measure.3 AS found
FROM
(
    SELECT
        journal_offset, period, number,
        arrayJoin([
            ('tokens', sum(each.1), sum(each.2)), ('paid', sum(each.3), sum(each.4)), ('earned', sum(each.5), sum(each.6))
        ]) AS measure
    FROM
    (
        SELECT
            journal_offset, period, number,
            (
                toInt128(qty), toInt128(0), toInt128(price) * qty + buyer_fee, toInt128(0), toInt128(price) * qty - seller_fee, toInt128(0)
            ) AS each
        FROM trades
        WHERE pool = {pool:String} AND partition = {partition:Int32}
            AND journal_offset > {after:Int64} AND journal_offset <= {through:Int64}
        UNION ALL
        SELECT
            journal_offset, period, number,
            (toInt128(0), toInt128(tokens), toInt128(0), toInt128(paid), toInt128(0), toInt128(earned))
        FROM settlements
        WHERE pool = {pool:String} AND partition = {partition:Int32}
            AND journal_offset > {after:Int64} AND journal_offset <= {through:Int64}
    )
    GROUP BY journal_offset, period, number
)
WHERE expected != found
ORDER BY period, subject
