CREATE TABLE IF NOT EXISTS `bourse`.`unrouted_usage_landed`
(
    `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition' CODEC(ZSTD(1)),
    `journal_offset` Int64 COMMENT 'offset in the topic\'s partition' CODEC(DoubleDelta, ZSTD(1)),
    `fact_index` Int64 COMMENT 'count' CODEC(T64, ZSTD(1)),
    `meter_topic` LowCardinality(String) COMMENT 'one of a few words' CODEC(ZSTD(1)),
    `meter_partition` Int32 COMMENT 'partition number' CODEC(T64, ZSTD(1)),
    `tick` Int64 COMMENT 'ticks since 1970' CODEC(DoubleDelta, ZSTD(1)),
    `chunk` Int64 COMMENT 'count' CODEC(T64, ZSTD(1)),
    `tenant` String COMMENT 'id of the tenant' CODEC(ZSTD(1)),
    `requests` Int64 COMMENT 'count' CODEC(T64, ZSTD(1)),
    `input_tokens` Int64 COMMENT 'tokens' CODEC(T64, ZSTD(1)),
    `cached_input_tokens` Int64 COMMENT 'tokens' CODEC(T64, ZSTD(1)),
    `output_tokens` Int64 COMMENT 'tokens' CODEC(T64, ZSTD(1)),
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
PRIMARY KEY (`pool`, `tick`, `tenant`)
ORDER BY (`pool`, `tick`, `tenant`, `topic`, `partition`, `journal_offset`, `fact_index`, `record_row`)
COMMENT 'what a tenant used of a pool that does not exist: every landed copy; query unrouted_usage instead';
ALTER TABLE `bourse`.`unrouted_usage_landed`
    ADD COLUMN IF NOT EXISTS `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition' CODEC(ZSTD(1)) FIRST,
    ADD COLUMN IF NOT EXISTS `journal_offset` Int64 COMMENT 'offset in the topic\'s partition' CODEC(DoubleDelta, ZSTD(1)) AFTER `pool`,
    ADD COLUMN IF NOT EXISTS `fact_index` Int64 COMMENT 'count' CODEC(T64, ZSTD(1)) AFTER `journal_offset`,
    ADD COLUMN IF NOT EXISTS `meter_topic` LowCardinality(String) COMMENT 'one of a few words' CODEC(ZSTD(1)) AFTER `fact_index`,
    ADD COLUMN IF NOT EXISTS `meter_partition` Int32 COMMENT 'partition number' CODEC(T64, ZSTD(1)) AFTER `meter_topic`,
    ADD COLUMN IF NOT EXISTS `tick` Int64 COMMENT 'ticks since 1970' CODEC(DoubleDelta, ZSTD(1)) AFTER `meter_partition`,
    ADD COLUMN IF NOT EXISTS `chunk` Int64 COMMENT 'count' CODEC(T64, ZSTD(1)) AFTER `tick`,
    ADD COLUMN IF NOT EXISTS `tenant` String COMMENT 'id of the tenant' CODEC(ZSTD(1)) AFTER `chunk`,
    ADD COLUMN IF NOT EXISTS `requests` Int64 COMMENT 'count' CODEC(T64, ZSTD(1)) AFTER `tenant`,
    ADD COLUMN IF NOT EXISTS `input_tokens` Int64 COMMENT 'tokens' CODEC(T64, ZSTD(1)) AFTER `requests`,
    ADD COLUMN IF NOT EXISTS `cached_input_tokens` Int64 COMMENT 'tokens' CODEC(T64, ZSTD(1)) AFTER `input_tokens`,
    ADD COLUMN IF NOT EXISTS `output_tokens` Int64 COMMENT 'tokens' CODEC(T64, ZSTD(1)) AFTER `cached_input_tokens`,
    ADD COLUMN IF NOT EXISTS `topic` LowCardinality(String) COMMENT 'topic of the record that the row landed from' CODEC(ZSTD(1)) AFTER `output_tokens`,
    ADD COLUMN IF NOT EXISTS `partition` Int32 COMMENT 'partition of that record' CODEC(T64, ZSTD(1)) AFTER `topic`,
    ADD COLUMN IF NOT EXISTS `offset` Int64 COMMENT 'offset of that record' CODEC(DoubleDelta, ZSTD(1)) AFTER `partition`,
    ADD COLUMN IF NOT EXISTS `record_row` Int32 COMMENT 'place of the row among those of its record, from 0' CODEC(T64, ZSTD(1)) AFTER `offset`,
    ADD COLUMN IF NOT EXISTS `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)) AFTER `record_row`,
    ADD INDEX IF NOT EXISTS `journal` `journal_offset` TYPE minmax GRANULARITY 1;
CREATE OR REPLACE VIEW `bourse`.`unrouted_usage`
(
    `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition',
    `journal_offset` Int64 COMMENT 'offset in the topic\'s partition',
    `fact_index` Int64 COMMENT 'count',
    `meter_topic` LowCardinality(String) COMMENT 'one of a few words',
    `meter_partition` Int32 COMMENT 'partition number',
    `tick` Int64 COMMENT 'ticks since 1970',
    `chunk` Int64 COMMENT 'count',
    `tenant` String COMMENT 'id of the tenant',
    `requests` Int64 COMMENT 'count',
    `input_tokens` Int64 COMMENT 'tokens',
    `cached_input_tokens` Int64 COMMENT 'tokens',
    `output_tokens` Int64 COMMENT 'tokens',
    `topic` LowCardinality(String) COMMENT 'topic of the record that the row landed from',
    `partition` Int32 COMMENT 'partition of that record',
    `offset` Int64 COMMENT 'offset of that record',
    `record_row` Int32 COMMENT 'place of the row among those of its record, from 0',
    `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC'
)
AS SELECT `pool`, `journal_offset`, `fact_index`, `meter_topic`, `meter_partition`, `tick`, `chunk`, `tenant`, `requests`, `input_tokens`, `cached_input_tokens`, `output_tokens`, `topic`, `partition`, `offset`, `record_row`, `landed_at` FROM `bourse`.`unrouted_usage_landed` FINAL SETTINGS do_not_merge_across_partitions_select_final = 0
COMMENT 'what a tenant used of a pool that does not exist';
