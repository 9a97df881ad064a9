CREATE OR REPLACE VIEW `bourse`.`candles`
(
    `pool` LowCardinality(String) COMMENT 'id of the pool',
    `period` Int64 COMMENT 'delivery period: whose tokens are traded',
    `minute` DateTime('UTC') COMMENT 'when the minute begins, UTC',
    `open` Int64 COMMENT 'price of the first trade, nanocredits per token',
    `high` Int64 COMMENT 'highest price, nanocredits per token',
    `low` Int64 COMMENT 'lowest price, nanocredits per token',
    `close` Int64 COMMENT 'price of the last trade, nanocredits per token',
    `volume` Int128 COMMENT 'tokens traded',
    `value` Int128 COMMENT 'price x tokens, nanocredits, without fees',
    `trades` UInt64 COMMENT 'count'
)
AS SELECT
    t.pool AS `pool`,
    t.period AS `period`,
    toStartOfMinute(t.time) AS `minute`,
    argMin(t.price, (journal_offset, fact_index, record_row)) AS `open`,
    max(t.price) AS `high`,
    min(t.price) AS `low`,
    argMax(t.price, (journal_offset, fact_index, record_row)) AS `close`,
    sum(toInt128(t.qty)) AS `volume`,
    sum(toInt128(t.price) * t.qty) AS `value`,
    count() AS `trades`
FROM `bourse`.trades AS t
GROUP BY t.pool, t.period, minute
COMMENT 'trades of one instrument in one minute; minutes without trades have no row';
