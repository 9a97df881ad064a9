CREATE TABLE IF NOT EXISTS `bourse`.`allocations_by_hour_computed`
(
    `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition' CODEC(ZSTD(1)),
    `hour` DateTime('UTC') COMMENT 'when the hour begins, by the periods\' beginnings, UTC' CODEC(DoubleDelta, ZSTD(1)),
    `tenant` String COMMENT 'id of the tenant' CODEC(ZSTD(1)),
    `why` LowCardinality(String) COMMENT 'why it was short in these periods: capacity_fell: its base was not there; sold: it had enough and sold it; outbid: others were before it; bid_less: it did not ask for all, by its elasticity, budget or price limit; empty: it was not' CODEC(ZSTD(1)),
    `periods` UInt64 COMMENT 'count' CODEC(T64, ZSTD(1)),
    `base` Int128 COMMENT 'tokens, sum' CODEC(ZSTD(1)),
    `demand` Int128 COMMENT 'tokens, sum' CODEC(ZSTD(1)),
    `bid` Int128 COMMENT 'tokens, sum' CODEC(ZSTD(1)),
    `surplus` Int128 COMMENT 'tokens, sum' CODEC(ZSTD(1)),
    `bought` Int128 COMMENT 'tokens; In the market., sum' CODEC(ZSTD(1)),
    `sold` Int128 COMMENT 'tokens, sum' CODEC(ZSTD(1)),
    `allocated` Int128 COMMENT 'tokens; base + surplus + bought - sold., sum' CODEC(ZSTD(1)),
    `used` Int128 COMMENT 'tokens, sum' CODEC(ZSTD(1)),
    `charge` Int128 COMMENT 'nanocredits, sum' CODEC(ZSTD(1)),
    `shortfall` Int128 COMMENT 'tokens, sum' CODEC(ZSTD(1)),
    `short` Int128 COMMENT 'tokens of its demand that it did not get, sum' CODEC(ZSTD(1)),
    `could_sell` UInt64 COMMENT 'count of periods in which it had tokens idle that others needed' CODEC(T64, ZSTD(1)),
    `idle` Int128 COMMENT 'tokens that it had in these and did not use, sum' CODEC(ZSTD(1)),
    `sellable` Int128 COMMENT 'tokens that it could have sold to others in these, sum' CODEC(ZSTD(1)),
    `worth` Int128 COMMENT 'nanocredits: the same at the periods\' prices, sum' CODEC(ZSTD(1)),
    `known` UInt64 COMMENT 'outcomes of the pool\'s hour that it was computed of' CODEC(T64, ZSTD(1)),
    `computed_at` DateTime64(3, 'UTC') COMMENT 'when the refresh began that computed the row, UTC' CODEC(DoubleDelta, ZSTD(1)),
    `complete_before` DateTime64(3, 'UTC') COMMENT 'when the last refresh had begun that was known to have succeeded, UTC' CODEC(ZSTD(1)),
    INDEX `computed` `computed_at` TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree(`known`)
PARTITION BY toYYYYMM(`hour`)
ORDER BY (`pool`, `hour`, `tenant`, `why`)
COMMENT 'outcomes of the periods that began in an hour, per pool, tenant and why it was short: every computed row; query allocations_by_hour instead';
CREATE OR REPLACE VIEW `bourse`.`allocations_by_hour`
(
    `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition',
    `hour` DateTime('UTC') COMMENT 'when the hour begins, by the periods\' beginnings, UTC',
    `tenant` String COMMENT 'id of the tenant',
    `why` LowCardinality(String) COMMENT 'why it was short in these periods: capacity_fell: its base was not there; sold: it had enough and sold it; outbid: others were before it; bid_less: it did not ask for all, by its elasticity, budget or price limit; empty: it was not',
    `periods` UInt64 COMMENT 'count',
    `base` Int128 COMMENT 'tokens, sum',
    `demand` Int128 COMMENT 'tokens, sum',
    `bid` Int128 COMMENT 'tokens, sum',
    `surplus` Int128 COMMENT 'tokens, sum',
    `bought` Int128 COMMENT 'tokens; In the market., sum',
    `sold` Int128 COMMENT 'tokens, sum',
    `allocated` Int128 COMMENT 'tokens; base + surplus + bought - sold., sum',
    `used` Int128 COMMENT 'tokens, sum',
    `charge` Int128 COMMENT 'nanocredits, sum',
    `shortfall` Int128 COMMENT 'tokens, sum',
    `short` Int128 COMMENT 'tokens of its demand that it did not get, sum',
    `could_sell` UInt64 COMMENT 'count of periods in which it had tokens idle that others needed',
    `idle` Int128 COMMENT 'tokens that it had in these and did not use, sum',
    `sellable` Int128 COMMENT 'tokens that it could have sold to others in these, sum',
    `worth` Int128 COMMENT 'nanocredits: the same at the periods\' prices, sum'
)
AS SELECT `pool`, `hour`, `tenant`, `why`, `periods`, `base`, `demand`, `bid`, `surplus`, `bought`, `sold`, `allocated`, `used`, `charge`, `shortfall`, `short`, `could_sell`, `idle`, `sellable`, `worth` FROM `bourse`.`allocations_by_hour_computed` FINAL SETTINGS do_not_merge_across_partitions_select_final = 1
COMMENT 'outcomes of the periods that began in an hour, per pool, tenant and why it was short';
CREATE MATERIALIZED VIEW IF NOT EXISTS `bourse`.`allocations_by_hour_refresh`
REFRESH EVERY 60 SECOND APPEND TO `bourse`.`allocations_by_hour_computed`
AS WITH
    (
        SELECT max(toDateTime64(last_success_time, 3, 'UTC')) FROM system.view_refreshes
        WHERE database = 'bourse' AND view = 'allocations_by_hour_refresh'
    ) AS succeeded,
    (
        SELECT coalesce(succeeded, (SELECT max(complete_before) FROM `bourse`.`allocations_by_hour_computed` WHERE succeeded IS NULL))
    ) AS since,
    touched AS
    (
        SELECT DISTINCT toStartOfHour(`period_start`) AS `hour` FROM `bourse`.`allocations_landed`
        WHERE `landed_at` >= since - INTERVAL 300 SECOND
    )
SELECT
    `pool`, toStartOfHour(`period_start`) AS `hour`, `tenant`, `why`,
    count() AS `periods`,
    sum(toInt128(o.`base`)) AS `base`,
    sum(toInt128(o.`demand`)) AS `demand`,
    sum(toInt128(o.`bid`)) AS `bid`,
    sum(toInt128(o.`surplus`)) AS `surplus`,
    sum(toInt128(o.`bought`)) AS `bought`,
    sum(toInt128(o.`sold`)) AS `sold`,
    sum(toInt128(o.`allocated`)) AS `allocated`,
    sum(toInt128(o.`used`)) AS `used`,
    sum(toInt128(o.`charge`)) AS `charge`,
    sum(toInt128(o.`shortfall`)) AS `shortfall`,
    sum(toInt128(o.short)) AS `short`,
    countIf(o.sellable > 0) AS `could_sell`,
    sumIf(toInt128(o.idle), o.sellable > 0) AS `idle`,
    sum(o.sellable) AS `sellable`,
    sum(o.sellable * o.price) AS `worth`,
    sum(count()) OVER (PARTITION BY `pool`, `hour`) AS `known`,
    now64(3, 'UTC') AS `computed_at`, assumeNotNull(since) AS `complete_before`
FROM (
    SELECT
        a.pool AS pool, a.period AS period, a.period_start AS period_start, a.tenant AS tenant,
        a.base AS base, a.demand AS demand, a.bid AS bid, a.surplus AS surplus, a.bought AS bought, a.sold AS sold,
        a.allocated AS allocated, a.used AS used, a.price AS price, a.charge AS charge, a.shortfall AS shortfall,
        if(a.demand > a.allocated OR a.shortfall > 0, multiIf(a.shortfall > 0, 'capacity_fell', a.base + a.surplus >= a.demand, 'sold', a.surplus < a.bid, 'outbid', 'bid_less'), '') AS why,
        greatest(a.demand - a.allocated, 0) AS short,
        greatest(a.allocated - a.used, 0) AS idle,
        sum(toInt128(short)) OVER (PARTITION BY a.pool, a.period, a.period_start) - short AS others_short,
        least(toInt128(idle), others_short) AS sellable
    FROM `bourse`.`allocations_landed` AS a FINAL
WHERE `period_start` >= (SELECT if(count() = 0, toDateTime64('2200-01-01', 3, 'UTC'), toDateTime64(min(`hour`), 3, 'UTC')) FROM touched) AND toStartOfHour(`period_start`) IN touched
) AS o
GROUP BY `pool`, `hour`, `tenant`, `why`
SETTINGS do_not_merge_across_partitions_select_final = 0, max_bytes_before_external_group_by = 2147483648,
    max_bytes_before_external_sort = 2147483648
COMMENT 'computes allocations_by_hour_computed; a3d14de8b56c6f12';
