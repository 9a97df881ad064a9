CREATE OR REPLACE VIEW `bourse`.`open_orders`
(
    `pool` LowCardinality(String) COMMENT 'id of the pool',
    `period` Int64 COMMENT 'delivery period: whose tokens are traded',
    `tenant` String COMMENT 'id of the tenant; empty: the operator',
    `order_id` String COMMENT 'id of the order, its tenant\'s own within the instrument',
    `side` LowCardinality(String) COMMENT 'buy or sell',
    `price` Int64 COMMENT 'nanocredits per token, as it was last replaced',
    `qty` Int64 COMMENT 'tokens: the whole order, as it was last replaced',
    `filled` Int64 COMMENT 'tokens that it has traded',
    `open` Int64 COMMENT 'tokens that are left open',
    `tif` LowCardinality(String) COMMENT 'time in force',
    `expire` Nullable(DateTime64(3, 'UTC')) COMMENT 'when it expires',
    `accepted_offset` Int64 COMMENT 'journal offset of the record that brought it',
    `changed_offset` Int64 COMMENT 'journal offset of the record that last changed it'
)
AS SELECT
    o.pool AS `pool`,
    o.period AS `period`,
    o.tenant AS `tenant`,
    o.order_id AS `order_id`,
    any(o.side) AS `side`,
    argMaxIf(o.price, (journal_offset, fact_index, record_row), o.event IN ('accepted', 'replaced')) AS `price`,
    argMaxIf(o.qty, (journal_offset, fact_index, record_row), o.event IN ('accepted', 'replaced')) AS `qty`,
    sumIf(o.qty, o.event = 'filled') AS `filled`,
    argMax(o.open, (journal_offset, fact_index, record_row)) AS `open`,
    any(o.tif) AS `tif`,
    any(o.expire) AS `expire`,
    min(o.journal_offset) AS `accepted_offset`,
    max(o.journal_offset) AS `changed_offset`
FROM `bourse`.orders AS o
WHERE o.event != 'rejected'
GROUP BY o.pool, o.period, o.tenant, o.order_id
HAVING argMax(o.open, (journal_offset, fact_index, record_row)) > 0
COMMENT 'the last state of each order of which something is open';
