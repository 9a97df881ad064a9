CREATE OR REPLACE VIEW `bourse`.`who_could_have_sold`
(
    `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition',
    `period` Int64 COMMENT 'periods since 1970',
    `period_start` DateTime64(3, 'UTC') COMMENT 'milliseconds since 1970, UTC',
    `tenant` String COMMENT 'id of the tenant',
    `allocated` Int64 COMMENT 'tokens; base + surplus + bought - sold.',
    `used` Int64 COMMENT 'tokens',
    `price` Int64 COMMENT 'nanocredits per token',
    `idle` Int64 COMMENT 'tokens that it had and did not use',
    `others_short` Int128 COMMENT 'tokens that all others together had too few of',
    `sellable` Int128 COMMENT 'tokens that it could have sold to them: the lesser of both',
    `worth` Int128 COMMENT 'nanocredits: the same at the period\'s price'
)
AS SELECT
    o.pool AS `pool`,
    o.period AS `period`,
    o.period_start AS `period_start`,
    o.tenant AS `tenant`,
    o.allocated AS `allocated`,
    o.used AS `used`,
    o.price AS `price`,
    o.idle AS `idle`,
    o.all_short - o.short AS `others_short`,
    least(toInt128(o.idle), others_short) AS `sellable`,
    sellable * o.price AS `worth`
FROM
(
    SELECT
        a.pool AS pool, a.period AS period, a.period_start AS period_start, a.tenant AS tenant,
        a.allocated AS allocated, a.used AS used, a.price AS price, greatest(a.allocated - a.used, 0) AS idle,
        greatest(a.demand - a.allocated, 0) AS short,
        sum(toInt128(short)) OVER (PARTITION BY a.pool, a.period, a.period_start) AS all_short
    FROM `bourse`.allocations AS a
) AS o
WHERE o.idle > 0 AND o.all_short > o.short
COMMENT 'a tenant that left tokens of a period unused while others of its pool were short';
