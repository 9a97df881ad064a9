CREATE TABLE IF NOT EXISTS `bourse`.`latency_events_landed`
(
    `time` DateTime64(3, 'UTC') COMMENT 'milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)),
    `source` LowCardinality(String) COMMENT 'who published the event' CODEC(ZSTD(1)),
    `id` String COMMENT 'id, unique within its source' CODEC(ZSTD(1)),
    `tenant` String COMMENT 'id of the tenant' CODEC(ZSTD(1)),
    `pool` LowCardinality(String) COMMENT 'id of the pool: one model deployment' CODEC(ZSTD(1)),
    `latency_ms` Int64 COMMENT 'milliseconds' CODEC(T64, ZSTD(1)),
    `ttft_ms` Nullable(Int64) COMMENT 'milliseconds' CODEC(T64, ZSTD(1)),
    `tpot_ms` Nullable(Int64) COMMENT 'milliseconds' CODEC(T64, ZSTD(1)),
    `request_id` String COMMENT 'id of the request' CODEC(ZSTD(1)),
    `status` LowCardinality(String) COMMENT 'outcome of the request' CODEC(ZSTD(1)),
    `topic` LowCardinality(String) COMMENT 'topic of the record that the row landed from' CODEC(ZSTD(1)),
    `partition` Int32 COMMENT 'partition of that record' CODEC(T64, ZSTD(1)),
    `offset` Int64 COMMENT 'offset of that record' CODEC(DoubleDelta, ZSTD(1)),
    `record_row` Int32 COMMENT 'place of the row among those of its record, from 0' CODEC(T64, ZSTD(1)),
    `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)),
    `landed_first` UInt64 MATERIALIZED 9223372036854775807 - `offset` COMMENT 'falls as the offset grows: the first copy of a row replaces later ones' CODEC(DoubleDelta, ZSTD(1)),
    PROJECTION `by_pool_time` (SELECT * ORDER BY `pool`, `time`)
)
ENGINE = ReplacingMergeTree(`landed_first`)
PARTITION BY toYYYYMM(landed_at)
PRIMARY KEY (`tenant`, `source`, `id`)
ORDER BY (`tenant`, `source`, `id`)
SETTINGS deduplicate_merge_projection_mode = 'rebuild'
COMMENT 'one accepted latency event, once: every landed copy; query latency_events instead';
ALTER TABLE `bourse`.`latency_events_landed`
    ADD COLUMN IF NOT EXISTS `time` DateTime64(3, 'UTC') COMMENT 'milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)) FIRST,
    ADD COLUMN IF NOT EXISTS `source` LowCardinality(String) COMMENT 'who published the event' CODEC(ZSTD(1)) AFTER `time`,
    ADD COLUMN IF NOT EXISTS `id` String COMMENT 'id, unique within its source' CODEC(ZSTD(1)) AFTER `source`,
    ADD COLUMN IF NOT EXISTS `tenant` String COMMENT 'id of the tenant' CODEC(ZSTD(1)) AFTER `id`,
    ADD COLUMN IF NOT EXISTS `pool` LowCardinality(String) COMMENT 'id of the pool: one model deployment' CODEC(ZSTD(1)) AFTER `tenant`,
    ADD COLUMN IF NOT EXISTS `latency_ms` Int64 COMMENT 'milliseconds' CODEC(T64, ZSTD(1)) AFTER `pool`,
    ADD COLUMN IF NOT EXISTS `ttft_ms` Nullable(Int64) COMMENT 'milliseconds' CODEC(T64, ZSTD(1)) AFTER `latency_ms`,
    ADD COLUMN IF NOT EXISTS `tpot_ms` Nullable(Int64) COMMENT 'milliseconds' CODEC(T64, ZSTD(1)) AFTER `ttft_ms`,
    ADD COLUMN IF NOT EXISTS `request_id` String COMMENT 'id of the request' CODEC(ZSTD(1)) AFTER `tpot_ms`,
    ADD COLUMN IF NOT EXISTS `status` LowCardinality(String) COMMENT 'outcome of the request' CODEC(ZSTD(1)) AFTER `request_id`,
    ADD COLUMN IF NOT EXISTS `topic` LowCardinality(String) COMMENT 'topic of the record that the row landed from' CODEC(ZSTD(1)) AFTER `status`,
    ADD COLUMN IF NOT EXISTS `partition` Int32 COMMENT 'partition of that record' CODEC(T64, ZSTD(1)) AFTER `topic`,
    ADD COLUMN IF NOT EXISTS `offset` Int64 COMMENT 'offset of that record' CODEC(DoubleDelta, ZSTD(1)) AFTER `partition`,
    ADD COLUMN IF NOT EXISTS `record_row` Int32 COMMENT 'place of the row among those of its record, from 0' CODEC(T64, ZSTD(1)) AFTER `offset`,
    ADD COLUMN IF NOT EXISTS `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)) AFTER `record_row`;
ALTER TABLE `bourse`.`latency_events_landed` MODIFY SETTING deduplicate_merge_projection_mode = 'rebuild';
ALTER TABLE `bourse`.`latency_events_landed` ADD PROJECTION IF NOT EXISTS `by_pool_time` (SELECT * ORDER BY `pool`, `time`);
CREATE OR REPLACE VIEW `bourse`.`latency_events`
(
    `time` DateTime64(3, 'UTC') COMMENT 'milliseconds since 1970, UTC',
    `source` LowCardinality(String) COMMENT 'who published the event',
    `id` String COMMENT 'id, unique within its source',
    `tenant` String COMMENT 'id of the tenant',
    `pool` LowCardinality(String) COMMENT 'id of the pool: one model deployment',
    `latency_ms` Int64 COMMENT 'milliseconds',
    `ttft_ms` Nullable(Int64) COMMENT 'milliseconds',
    `tpot_ms` Nullable(Int64) COMMENT 'milliseconds',
    `request_id` String COMMENT 'id of the request',
    `status` LowCardinality(String) COMMENT 'outcome of the request',
    `topic` LowCardinality(String) COMMENT 'topic of the record that the row landed from',
    `partition` Int32 COMMENT 'partition of that record',
    `offset` Int64 COMMENT 'offset of that record',
    `record_row` Int32 COMMENT 'place of the row among those of its record, from 0',
    `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC'
)
AS SELECT `time`, `source`, `id`, `tenant`, `pool`, `latency_ms`, `ttft_ms`, `tpot_ms`, `request_id`, `status`, `topic`, `partition`, `offset`, `record_row`, `landed_at` FROM `bourse`.`latency_events_landed` FINAL SETTINGS do_not_merge_across_partitions_select_final = 0
COMMENT 'one accepted latency event, once';
