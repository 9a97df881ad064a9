CREATE TABLE IF NOT EXISTS `bourse`.`shortfalls_landed`
(
    `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition' CODEC(ZSTD(1)),
    `journal_offset` Int64 COMMENT 'offset in the topic\'s partition' CODEC(DoubleDelta, ZSTD(1)),
    `fact_index` Int64 COMMENT 'count' CODEC(T64, ZSTD(1)),
    `at` DateTime64(3, 'UTC') COMMENT 'milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)),
    `tick` Int64 COMMENT 'ticks since 1970' CODEC(DoubleDelta, ZSTD(1)),
    `period` Int64 COMMENT 'periods since 1970' CODEC(DoubleDelta, ZSTD(1)),
    `tenant` String COMMENT 'id of the tenant' CODEC(ZSTD(1)),
    `tier` LowCardinality(String) COMMENT 'tier' CODEC(ZSTD(1)),
    `dimension` LowCardinality(String) COMMENT 'one of a few words; throughput, kv or concurrency.' CODEC(ZSTD(1)),
    `promised` Int64 COMMENT 'tokens per second, blocks or requests' CODEC(T64, ZSTD(1)),
    `shortfall` Int64 COMMENT 'tokens per second, blocks or requests' CODEC(T64, ZSTD(1)),
    `topic` LowCardinality(String) COMMENT 'topic of the record that the row landed from' CODEC(ZSTD(1)),
    `partition` Int32 COMMENT 'partition of that record' CODEC(T64, ZSTD(1)),
    `offset` Int64 COMMENT 'offset of that record' CODEC(DoubleDelta, ZSTD(1)),
    `record_row` Int32 COMMENT 'place of the row among those of its record, from 0' CODEC(T64, ZSTD(1)),
    `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)),
    `landed_first` UInt64 MATERIALIZED 9223372036854775807 - `offset` COMMENT 'falls as the offset grows: the first copy of a row replaces later ones' CODEC(DoubleDelta, ZSTD(1)),
    INDEX `journal` `journal_offset` TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree(`landed_first`)
PARTITION BY toYYYYMM(landed_at)
PRIMARY KEY (`pool`, `period`, `tenant`, `tick`)
ORDER BY (`pool`, `period`, `tenant`, `tick`, `topic`, `partition`, `journal_offset`, `fact_index`, `record_row`)
COMMENT 'what a promise lacks from one tick on: every landed copy; query shortfalls instead';
ALTER TABLE `bourse`.`shortfalls_landed`
    ADD COLUMN IF NOT EXISTS `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition' CODEC(ZSTD(1)) FIRST,
    ADD COLUMN IF NOT EXISTS `journal_offset` Int64 COMMENT 'offset in the topic\'s partition' CODEC(DoubleDelta, ZSTD(1)) AFTER `pool`,
    ADD COLUMN IF NOT EXISTS `fact_index` Int64 COMMENT 'count' CODEC(T64, ZSTD(1)) AFTER `journal_offset`,
    ADD COLUMN IF NOT EXISTS `at` DateTime64(3, 'UTC') COMMENT 'milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)) AFTER `fact_index`,
    ADD COLUMN IF NOT EXISTS `tick` Int64 COMMENT 'ticks since 1970' CODEC(DoubleDelta, ZSTD(1)) AFTER `at`,
    ADD COLUMN IF NOT EXISTS `period` Int64 COMMENT 'periods since 1970' CODEC(DoubleDelta, ZSTD(1)) AFTER `tick`,
    ADD COLUMN IF NOT EXISTS `tenant` String COMMENT 'id of the tenant' CODEC(ZSTD(1)) AFTER `period`,
    ADD COLUMN IF NOT EXISTS `tier` LowCardinality(String) COMMENT 'tier' CODEC(ZSTD(1)) AFTER `tenant`,
    ADD COLUMN IF NOT EXISTS `dimension` LowCardinality(String) COMMENT 'one of a few words; throughput, kv or concurrency.' CODEC(ZSTD(1)) AFTER `tier`,
    ADD COLUMN IF NOT EXISTS `promised` Int64 COMMENT 'tokens per second, blocks or requests' CODEC(T64, ZSTD(1)) AFTER `dimension`,
    ADD COLUMN IF NOT EXISTS `shortfall` Int64 COMMENT 'tokens per second, blocks or requests' CODEC(T64, ZSTD(1)) AFTER `promised`,
    ADD COLUMN IF NOT EXISTS `topic` LowCardinality(String) COMMENT 'topic of the record that the row landed from' CODEC(ZSTD(1)) AFTER `shortfall`,
    ADD COLUMN IF NOT EXISTS `partition` Int32 COMMENT 'partition of that record' CODEC(T64, ZSTD(1)) AFTER `topic`,
    ADD COLUMN IF NOT EXISTS `offset` Int64 COMMENT 'offset of that record' CODEC(DoubleDelta, ZSTD(1)) AFTER `partition`,
    ADD COLUMN IF NOT EXISTS `record_row` Int32 COMMENT 'place of the row among those of its record, from 0' CODEC(T64, ZSTD(1)) AFTER `offset`,
    ADD COLUMN IF NOT EXISTS `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)) AFTER `record_row`,
    ADD INDEX IF NOT EXISTS `journal` `journal_offset` TYPE minmax GRANULARITY 1;
CREATE OR REPLACE VIEW `bourse`.`shortfalls`
(
    `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition',
    `journal_offset` Int64 COMMENT 'offset in the topic\'s partition',
    `fact_index` Int64 COMMENT 'count',
    `at` DateTime64(3, 'UTC') COMMENT 'milliseconds since 1970, UTC',
    `tick` Int64 COMMENT 'ticks since 1970',
    `period` Int64 COMMENT 'periods since 1970',
    `tenant` String COMMENT 'id of the tenant',
    `tier` LowCardinality(String) COMMENT 'tier',
    `dimension` LowCardinality(String) COMMENT 'one of a few words; throughput, kv or concurrency.',
    `promised` Int64 COMMENT 'tokens per second, blocks or requests',
    `shortfall` Int64 COMMENT 'tokens per second, blocks or requests',
    `topic` LowCardinality(String) COMMENT 'topic of the record that the row landed from',
    `partition` Int32 COMMENT 'partition of that record',
    `offset` Int64 COMMENT 'offset of that record',
    `record_row` Int32 COMMENT 'place of the row among those of its record, from 0',
    `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC'
)
AS SELECT `pool`, `journal_offset`, `fact_index`, `at`, `tick`, `period`, `tenant`, `tier`, `dimension`, `promised`, `shortfall`, `topic`, `partition`, `offset`, `record_row`, `landed_at` FROM `bourse`.`shortfalls_landed` FINAL SETTINGS do_not_merge_across_partitions_select_final = 0
COMMENT 'what a promise lacks from one tick on';
