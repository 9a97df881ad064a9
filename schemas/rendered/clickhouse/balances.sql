CREATE OR REPLACE VIEW `bourse`.`balances`
(
    `pool` LowCardinality(String) COMMENT 'id of the pool',
    `asset` Int64 COMMENT '-1: nanocredits; else the delivery period whose tokens these are',
    `account` String COMMENT 'tenant/…, billed/…, escrow/…, operator, bank or pool',
    `debits` Int128 COMMENT 'paid by it, nanocredits or tokens',
    `credits` Int128 COMMENT 'paid to it',
    `balance` Int128 COMMENT 'credits less debits',
    `held` Int128 COMMENT 'set aside of it for orders and offers',
    `available` Int128 COMMENT 'balance less held'
)
AS SELECT
    b.pool AS `pool`,
    b.asset AS `asset`,
    b.part.1 AS `account`,
    sum(b.part.2) AS `debits`,
    sum(b.part.3) AS `credits`,
    sum(b.part.3 - b.part.2) AS `balance`,
    sum(b.part.4) AS `held`,
    sum(b.part.3 - b.part.2 - b.part.4) AS `available`
FROM
(
    SELECT
        l.pool AS pool, l.asset AS asset,
        toInt128(l.amount) AS amount128,
        if(l.entry IN ('post', 'capture'), amount128, 0) AS moved,
        multiIf(l.entry = 'hold', amount128, l.entry IN ('capture', 'void'), -amount128, 0) AS set_aside,
        arrayJoin([(l.debit_account, moved, toInt128(0), set_aside), (l.credit_account, toInt128(0), moved, toInt128(0))]) AS part
    FROM `bourse`.ledger AS l
) AS b
WHERE b.part.1 != ''
GROUP BY b.pool, b.asset, b.part.1
COMMENT 'what every account stands at, from all postings';
