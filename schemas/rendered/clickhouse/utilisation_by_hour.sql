CREATE OR REPLACE VIEW `bourse`.`utilisation_by_hour`
(
    `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition',
    `hour` DateTime('UTC') COMMENT 'when the hour begins, UTC',
    `periods` UInt64 COMMENT 'count',
    `capacity` Int128 COMMENT 'tokens, all periods together',
    `allocated` Int128 COMMENT 'tokens, all periods together',
    `used` Int128 COMMENT 'tokens, all periods together',
    `utilisation` Float64 COMMENT 'used / capacity; 0 where there was none',
    `fullest` Float64 COMMENT 'the same of the period that was used most',
    `lowest_price` Int64 COMMENT 'nanocredits per token',
    `highest_price` Int64 COMMENT 'nanocredits per token'
)
AS SELECT
    p.pool AS `pool`,
    toStartOfHour(p.period_start) AS `hour`,
    count() AS `periods`,
    sum(toInt128(p.capacity)) AS `capacity`,
    sum(toInt128(p.allocated)) AS `allocated`,
    sum(toInt128(p.used)) AS `used`,
    if(sum(p.capacity) = 0, 0, used / capacity) AS `utilisation`,
    max(if(p.capacity = 0, 0, p.used / p.capacity)) AS `fullest`,
    min(p.price) AS `lowest_price`,
    max(p.price) AS `highest_price`
FROM `bourse`.periods AS p
GROUP BY p.pool, hour
COMMENT 'how much of a pool was allocated and used in the periods that began in an hour';
