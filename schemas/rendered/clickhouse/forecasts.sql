CREATE TABLE IF NOT EXISTS `bourse`.`forecasts_landed`
(
    `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition' CODEC(ZSTD(1)),
    `journal_offset` Int64 COMMENT 'offset in the topic\'s partition' CODEC(DoubleDelta, ZSTD(1)),
    `fact_index` Int64 COMMENT 'count' CODEC(T64, ZSTD(1)),
    `period` Int64 COMMENT 'periods since 1970' CODEC(DoubleDelta, ZSTD(1)),
    `period_start` DateTime64(3, 'UTC') COMMENT 'milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)),
    `forecaster` LowCardinality(String) COMMENT 'forecaster of demand' CODEC(ZSTD(1)),
    `tenant` String COMMENT 'id of the tenant' CODEC(ZSTD(1)),
    `mean` Int64 COMMENT 'tokens' CODEC(T64, ZSTD(1)),
    `p50` Nullable(Int64) COMMENT 'count' CODEC(T64, ZSTD(1)),
    `p90` Nullable(Int64) COMMENT 'count' CODEC(T64, ZSTD(1)),
    `p99` Nullable(Int64) COMMENT 'count' CODEC(T64, ZSTD(1)),
    `topic` LowCardinality(String) COMMENT 'topic of the record that the row landed from' CODEC(ZSTD(1)),
    `partition` Int32 COMMENT 'partition of that record' CODEC(T64, ZSTD(1)),
    `offset` Int64 COMMENT 'offset of that record' CODEC(DoubleDelta, ZSTD(1)),
    `record_row` Int32 COMMENT 'place of the row among those of its record, from 0' CODEC(T64, ZSTD(1)),
    `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)),
    `landed_first` UInt64 MATERIALIZED 9223372036854775807 - `offset` COMMENT 'falls as the offset grows: the first copy of a row replaces later ones' CODEC(DoubleDelta, ZSTD(1)),
    INDEX `journal` `journal_offset` TYPE minmax GRANULARITY 1,
    INDEX `start` `period_start` TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree(`landed_first`)
PARTITION BY toYYYYMM(landed_at)
PRIMARY KEY (`pool`, `period`, `tenant`)
ORDER BY (`pool`, `period`, `tenant`, `topic`, `partition`, `journal_offset`, `fact_index`, `record_row`)
COMMENT 'one forecast of a tenant\'s demand: every landed copy; query forecasts instead';
ALTER TABLE `bourse`.`forecasts_landed`
    ADD COLUMN IF NOT EXISTS `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition' CODEC(ZSTD(1)) FIRST,
    ADD COLUMN IF NOT EXISTS `journal_offset` Int64 COMMENT 'offset in the topic\'s partition' CODEC(DoubleDelta, ZSTD(1)) AFTER `pool`,
    ADD COLUMN IF NOT EXISTS `fact_index` Int64 COMMENT 'count' CODEC(T64, ZSTD(1)) AFTER `journal_offset`,
    ADD COLUMN IF NOT EXISTS `period` Int64 COMMENT 'periods since 1970' CODEC(DoubleDelta, ZSTD(1)) AFTER `fact_index`,
    ADD COLUMN IF NOT EXISTS `period_start` DateTime64(3, 'UTC') COMMENT 'milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)) AFTER `period`,
    ADD COLUMN IF NOT EXISTS `forecaster` LowCardinality(String) COMMENT 'forecaster of demand' CODEC(ZSTD(1)) AFTER `period_start`,
    ADD COLUMN IF NOT EXISTS `tenant` String COMMENT 'id of the tenant' CODEC(ZSTD(1)) AFTER `forecaster`,
    ADD COLUMN IF NOT EXISTS `mean` Int64 COMMENT 'tokens' CODEC(T64, ZSTD(1)) AFTER `tenant`,
    ADD COLUMN IF NOT EXISTS `p50` Nullable(Int64) COMMENT 'count' CODEC(T64, ZSTD(1)) AFTER `mean`,
    ADD COLUMN IF NOT EXISTS `p90` Nullable(Int64) COMMENT 'count' CODEC(T64, ZSTD(1)) AFTER `p50`,
    ADD COLUMN IF NOT EXISTS `p99` Nullable(Int64) COMMENT 'count' CODEC(T64, ZSTD(1)) AFTER `p90`,
    ADD COLUMN IF NOT EXISTS `topic` LowCardinality(String) COMMENT 'topic of the record that the row landed from' CODEC(ZSTD(1)) AFTER `p99`,
    ADD COLUMN IF NOT EXISTS `partition` Int32 COMMENT 'partition of that record' CODEC(T64, ZSTD(1)) AFTER `topic`,
    ADD COLUMN IF NOT EXISTS `offset` Int64 COMMENT 'offset of that record' CODEC(DoubleDelta, ZSTD(1)) AFTER `partition`,
    ADD COLUMN IF NOT EXISTS `record_row` Int32 COMMENT 'place of the row among those of its record, from 0' CODEC(T64, ZSTD(1)) AFTER `offset`,
    ADD COLUMN IF NOT EXISTS `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)) AFTER `record_row`,
    ADD INDEX IF NOT EXISTS `journal` `journal_offset` TYPE minmax GRANULARITY 1,
    ADD INDEX IF NOT EXISTS `start` `period_start` TYPE minmax GRANULARITY 1;
CREATE OR REPLACE VIEW `bourse`.`forecasts`
(
    `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition',
    `journal_offset` Int64 COMMENT 'offset in the topic\'s partition',
    `fact_index` Int64 COMMENT 'count',
    `period` Int64 COMMENT 'periods since 1970',
    `period_start` DateTime64(3, 'UTC') COMMENT 'milliseconds since 1970, UTC',
    `forecaster` LowCardinality(String) COMMENT 'forecaster of demand',
    `tenant` String COMMENT 'id of the tenant',
    `mean` Int64 COMMENT 'tokens',
    `p50` Nullable(Int64) COMMENT 'count',
    `p90` Nullable(Int64) COMMENT 'count',
    `p99` Nullable(Int64) COMMENT 'count',
    `topic` LowCardinality(String) COMMENT 'topic of the record that the row landed from',
    `partition` Int32 COMMENT 'partition of that record',
    `offset` Int64 COMMENT 'offset of that record',
    `record_row` Int32 COMMENT 'place of the row among those of its record, from 0',
    `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC'
)
AS SELECT `pool`, `journal_offset`, `fact_index`, `period`, `period_start`, `forecaster`, `tenant`, `mean`, `p50`, `p90`, `p99`, `topic`, `partition`, `offset`, `record_row`, `landed_at` FROM `bourse`.`forecasts_landed` FINAL SETTINGS do_not_merge_across_partitions_select_final = 0
COMMENT 'one forecast of a tenant\'s demand';
