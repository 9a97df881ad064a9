CREATE TABLE IF NOT EXISTS `bourse`.`usage_by_day_computed`
(
    `pool` LowCardinality(String) COMMENT 'id of the pool: one model deployment' CODEC(ZSTD(1)),
    `day` DateTime('UTC') COMMENT 'when the day begins, by the events\' time, UTC' CODEC(DoubleDelta, ZSTD(1)),
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
PARTITION BY toYYYYMM(`day`)
ORDER BY (`pool`, `day`, `tenant`, `model`)
COMMENT 'usage per day, pool, tenant and model: every computed row; query usage_by_day instead';
CREATE OR REPLACE VIEW `bourse`.`usage_by_day`
(
    `pool` LowCardinality(String) COMMENT 'id of the pool: one model deployment',
    `day` DateTime('UTC') COMMENT 'when the day begins, by the events\' time, UTC',
    `tenant` String COMMENT 'id of the tenant',
    `model` LowCardinality(String) COMMENT 'model that served',
    `requests` UInt64 COMMENT 'usage events, each counted once',
    `input_tokens` Int128 COMMENT 'tokens, sum',
    `output_tokens` Int128 COMMENT 'tokens, sum',
    `cached_input_tokens` Int128 COMMENT 'tokens, sum'
)
AS SELECT `pool`, `day`, `tenant`, `model`, `requests`, `input_tokens`, `output_tokens`, `cached_input_tokens` FROM `bourse`.`usage_by_day_computed` FINAL SETTINGS do_not_merge_across_partitions_select_final = 1
COMMENT 'usage per day, pool, tenant and model';
CREATE MATERIALIZED VIEW IF NOT EXISTS `bourse`.`usage_by_day_refresh`
REFRESH EVERY 60 SECOND DEPENDS ON `bourse`.`usage_by_hour_refresh` APPEND TO `bourse`.`usage_by_day_computed`
AS WITH
    (
        SELECT max(toDateTime64(last_success_time, 3, 'UTC')) FROM system.view_refreshes
        WHERE database = 'bourse' AND view = 'usage_by_day_refresh'
    ) AS succeeded,
    (
        SELECT coalesce(succeeded, (SELECT max(complete_before) FROM `bourse`.`usage_by_day_computed` WHERE succeeded IS NULL))
    ) AS since,
    touched AS
    (
        SELECT DISTINCT toStartOfDay(`hour`) AS `day` FROM `bourse`.`usage_by_hour_computed`
        WHERE `computed_at` >= since - INTERVAL 900 SECOND
    )
SELECT
    `pool`, toStartOfDay(`hour`) AS `day`, `tenant`, `model`,
    sum(requests) AS `requests`,
    sum(toInt128(`input_tokens`)) AS `input_tokens`,
    sum(toInt128(`output_tokens`)) AS `output_tokens`,
    sum(toInt128(`cached_input_tokens`)) AS `cached_input_tokens`,
    now64(3, 'UTC') AS `computed_at`, assumeNotNull(since) AS `complete_before`
FROM `bourse`.`usage_by_hour_computed` AS a FINAL
WHERE `hour` >= (SELECT if(count() = 0, toDateTime64('2200-01-01', 3, 'UTC'), toDateTime64(min(`day`), 3, 'UTC')) FROM touched) AND toStartOfDay(`hour`) IN touched
GROUP BY `pool`, `day`, `tenant`, `model`
SETTINGS do_not_merge_across_partitions_select_final = 1, max_bytes_before_external_group_by = 2147483648,
    max_bytes_before_external_sort = 2147483648
COMMENT 'computes usage_by_day_computed; 0de6782e1466b919';
