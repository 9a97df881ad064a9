-- A period's forward trades, delivered: tokens received are tokens given; all that was paid in is paid out or back, and posted so.
SELECT measure.1 AS subject, period, measure.2 AS expected, measure.3 AS found
FROM
(
    SELECT
        d.period AS period,
        arrayJoin([
            ('tokens received, of those given', d.given, d.received),
            ('paid out and back, of what was paid', s.paid, d.paid_out),
            ('posted from the escrow, of what is paid out and back', d.paid_out, l.posted)
        ]) AS measure
    FROM
    (
        SELECT
            period, sum(toInt128(given)) AS given, sum(toInt128(received)) AS received,
            sum(toInt128(earned) + refunded) AS paid_out
        FROM deliveries
        WHERE pool = {pool:String} AND partition = {partition:Int32}
            AND journal_offset > {after:Int64} AND journal_offset <= {through:Int64}
        GROUP BY period
    ) AS d
    LEFT JOIN
    (
        SELECT period, sum(toInt128(paid)) AS paid
        FROM settlements
        WHERE pool = {pool:String} AND partition = {partition:Int32} AND journal_offset <= {through:Int64} AND kind = 'secured'
        GROUP BY period
    ) AS s ON s.period = d.period
    LEFT JOIN
    (
        SELECT toInt64OrZero(substring(debit_account, 8)) AS period, sum(toInt128(amount)) AS posted
        FROM ledger
        WHERE pool = {pool:String} AND partition = {partition:Int32}
            AND journal_offset > {after:Int64} AND journal_offset <= {through:Int64}
            AND code IN ('delivery', 'refund') AND entry = 'post' AND startsWith(debit_account, 'escrow/')
        GROUP BY period
    ) AS l ON l.period = d.period
)
WHERE expected != found
ORDER BY period, subject
