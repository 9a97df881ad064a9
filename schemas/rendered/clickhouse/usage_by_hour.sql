CREATE TABLE IF NOT EXISTS `bourse`.`usage_by_hour_computed`
(
    `pool` LowCardinality(String) COMMENT 'id of the pool: one model deployment' CODEC(ZSTD(1)),
    `hour` DateTime('UTC') COMMENT 'when the hour begins, by the events\' time, UTC' CODEC(DoubleDelta, ZSTD(1)),
    `tenant` String COMMENT 'id of the tenant' CODEC(ZSTD(1)),
    `model` LowCardinality(String) COMMENT 'model that served' CODEC(ZSTD(1)),
    `requests` UInt64 COMMENT 'usage events, each counted once' CODEC(T64, ZSTD(1)),
    `input_tokens` Int128 COMMENT 'tokens, sum' CODEC(ZSTD(1)),
    `output_tokens` Int128 COMMENT 'tokens, sum' CODEC(ZSTD(1)),
    `cached_input_tokens` Int128 COMMENT 'tokens, sum' CODEC(ZSTD(1)),
    `computed_at` DateTime64(3, 'UTC') COMMENT 'when the refresh began that computed the row, UTC' CODEC(DoubleDelta, ZSTD(1)),
    `complete_before` DateTime64(3, 'UTC') COMMENT 'when the last refresh had begun that was known to have succeeded, UTC' CODEC(ZSTD(1)),
    INDEX `computed` `computed_at` TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree(`requests`)
PARTITION BY toYYYYMM(`hour`)
ORDER BY (`pool`, `hour`, `tenant`, `model`)
COMMENT 'usage per hour, pool, tenant and model: every computed row; query usage_by_hour instead';
CREATE OR REPLACE VIEW `bourse`.`usage_by_hour`
(
    `pool` LowCardinality(String) COMMENT 'id of the pool: one model deployment',
    `hour` DateTime('UTC') COMMENT 'when the hour begins, by the events\' time, UTC',
    `tenant` String COMMENT 'id of the tenant',
    `model` LowCardinality(String) COMMENT 'model that served',
    `requests` UInt64 COMMENT 'usage events, each counted once',
    `input_tokens` Int128 COMMENT 'tokens, sum',
    `output_tokens` Int128 COMMENT 'tokens, sum',
    `cached_input_tokens` Int128 COMMENT 'tokens, sum'
)
AS SELECT `pool`, `hour`, `tenant`, `model`, `requests`, `input_tokens`, `output_tokens`, `cached_input_tokens` FROM `bourse`.`usage_by_hour_computed` FINAL SETTINGS do_not_merge_across_partitions_select_final = 1
COMMENT 'usage per hour, pool, tenant and model';
CREATE MATERIALIZED VIEW IF NOT EXISTS `bourse`.`usage_by_hour_refresh`
REFRESH EVERY 60 SECOND DEPENDS ON `bourse`.`usage_by_minute_refresh` APPEND TO `bourse`.`usage_by_hour_computed`
AS WITH
    (
        SELECT max(toDateTime64(last_success_time, 3, 'UTC')) FROM system.view_refreshes
        WHERE database = 'bourse' AND view = 'usage_by_hour_refresh'
    ) AS succeeded,
    (
        SELECT coalesce(succeeded, (SELECT max(complete_before) FROM `bourse`.`usage_by_hour_computed` WHERE succeeded IS NULL))
    ) AS since,
    touched AS
    (
        SELECT DISTINCT toStartOfHour(`minute`) AS `hour` FROM `bourse`.`usage_by_minute_computed`
        WHERE `computed_at` >= since - INTERVAL 900 SECOND
    )
SELECT
    `pool`, toStartOfHour(`minute`) AS `hour`, `tenant`, `model`,
    sum(requests) AS `requests`,
    sum(toInt128(`input_tokens`)) AS `input_tokens`,
    sum(toInt128(`output_tokens`)) AS `output_tokens`,
    sum(toInt128(`cached_input_tokens`)) AS `cached_input_tokens`,
    now64(3, 'UTC') AS `computed_at`, assumeNotNull(since) AS `complete_before`
FROM `bourse`.`usage_by_minute_computed` AS a FINAL
WHERE `minute` >= (SELECT if(count() = 0, toDateTime64('2200-01-01', 3, 'UTC'), toDateTime64(min(`hour`), 3, 'UTC')) FROM touched) AND toStartOfHour(`minute`) IN touched
GROUP BY `pool`, `hour`, `tenant`, `model`
SETTINGS do_not_merge_across_partitions_select_final = 1, max_bytes_before_external_group_by = 2147483648,
    max_bytes_before_external_sort = 2147483648
COMMENT 'computes usage_by_hour_computed; 52a0d079d5d17c74';
