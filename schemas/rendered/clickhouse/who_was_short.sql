CREATE OR REPLACE VIEW `bourse`.`who_was_short`
(
    `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition',
    `period` Int64 COMMENT 'periods since 1970',
    `period_start` DateTime64(3, 'UTC') COMMENT 'milliseconds since 1970, UTC',
    `tenant` String COMMENT 'id of the tenant',
    `policy` LowCardinality(String) COMMENT 'policy that divides the surplus',
    `demand` Int64 COMMENT 'tokens',
    `base` Int64 COMMENT 'tokens',
    `bid` Int64 COMMENT 'tokens',
    `surplus` Int64 COMMENT 'tokens',
    `bought` Int64 COMMENT 'tokens; In the market.',
    `sold` Int64 COMMENT 'tokens',
    `allocated` Int64 COMMENT 'tokens; base + surplus + bought - sold.',
    `used` Int64 COMMENT 'tokens',
    `price` Int64 COMMENT 'nanocredits per token',
    `shortfall` Int64 COMMENT 'tokens',
    `short` Int64 COMMENT 'tokens of its demand that it did not get',
    `why` LowCardinality(String) COMMENT 'capacity_fell: its base was not there; sold: it had enough and sold it; outbid: others were before it; bid_less: it did not ask for all, by its elasticity, budget or price limit'
)
AS SELECT
    a.pool AS `pool`,
    a.period AS `period`,
    a.period_start AS `period_start`,
    a.tenant AS `tenant`,
    a.policy AS `policy`,
    a.demand AS `demand`,
    a.base AS `base`,
    a.bid AS `bid`,
    a.surplus AS `surplus`,
    a.bought AS `bought`,
    a.sold AS `sold`,
    a.allocated AS `allocated`,
    a.used AS `used`,
    a.price AS `price`,
    a.shortfall AS `shortfall`,
    greatest(a.demand - a.allocated, 0) AS `short`,
    multiIf(a.shortfall > 0, 'capacity_fell', a.base + a.surplus >= a.demand, 'sold', a.surplus < a.bid, 'outbid', 'bid_less') AS `why`
FROM `bourse`.allocations AS a
WHERE a.demand > a.allocated OR a.shortfall > 0
COMMENT 'a tenant that got less than it was expected to need in a period, or less than it was promised';
