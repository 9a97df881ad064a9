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
    o.others_short AS `others_short`,
    o.sellable AS `sellable`,
    o.sellable * o.price AS `worth`
FROM
(
    SELECT
        a.pool AS pool, a.period AS period, a.period_start AS period_start, a.tenant AS tenant,
        a.base AS base, a.demand AS demand, a.bid AS bid, a.surplus AS surplus, a.bought AS bought, a.sold AS sold,
        a.allocated AS allocated, a.used AS used, a.price AS price, a.charge AS charge, a.shortfall AS shortfall,
        if(a.demand > a.allocated OR a.shortfall > 0, multiIf(a.shortfall > 0, 'capacity_fell', a.base + a.surplus >= a.demand, 'sold', a.surplus < a.bid, 'outbid', 'bid_less'), '') AS why,
        greatest(a.demand - a.allocated, 0) AS short,
        greatest(a.allocated - a.used, 0) AS idle,
        sum(toInt128(short)) OVER (PARTITION BY a.pool, a.period, a.period_start) - short AS others_short,
        least(toInt128(idle), others_short) AS sellable
    FROM `bourse`.allocations AS a
) AS o
WHERE o.sellable > 0
COMMENT 'a tenant that left tokens of a period unused while others of its pool were short';
