CREATE TABLE IF NOT EXISTS `bourse`.`admission_events_landed`
(
    `time` DateTime64(3, 'UTC') COMMENT 'milliseconds since 1970, UTC; The interval\'s end.' CODEC(DoubleDelta, ZSTD(1)),
    `source` LowCardinality(String) COMMENT 'who published the event' CODEC(ZSTD(1)),
    `id` String COMMENT 'id, unique within its source' CODEC(ZSTD(1)),
    `tenant` String COMMENT 'id of the tenant' CODEC(ZSTD(1)),
    `pool` LowCardinality(String) COMMENT 'id of the pool: one model deployment' CODEC(ZSTD(1)),
    `interval_ms` Int64 COMMENT 'milliseconds; How long the interval was.' CODEC(T64, ZSTD(1)),
    `admitted` Int64 COMMENT 'requests' CODEC(T64, ZSTD(1)),
    `refused_own_throughput` Int64 COMMENT 'requests' CODEC(T64, ZSTD(1)),
    `refused_own_kv` Int64 COMMENT 'requests' CODEC(T64, ZSTD(1)),
    `refused_own_concurrency` Int64 COMMENT 'requests' CODEC(T64, ZSTD(1)),
    `refused_pool_throughput` Int64 COMMENT 'requests' CODEC(T64, ZSTD(1)),
    `refused_pool_kv` Int64 COMMENT 'requests' CODEC(T64, ZSTD(1)),
    `refused_pool_concurrency` Int64 COMMENT 'requests' CODEC(T64, ZSTD(1)),
    `refused_unknown` Int64 COMMENT 'requests; By a gateway without limits to decide by: its lease was over, or had not come. What they wanted is in no other count.' CODEC(T64, ZSTD(1)),
    `stopped` Int64 COMMENT 'requests; Running requests that were stopped for others.' CODEC(T64, ZSTD(1)),
    `refused_tokens` Int64 COMMENT 'tokens; What refused requests would have reserved: input and most output.' CODEC(T64, ZSTD(1)),
    `refused_kv_blocks` Int64 COMMENT 'KV-cache blocks; Likewise, KV-cache blocks.' CODEC(T64, ZSTD(1)),
    `peak_kv_blocks` Int64 COMMENT 'KV-cache blocks; Most blocks in use at once.' CODEC(T64, ZSTD(1)),
    `peak_concurrency` Int64 COMMENT 'requests; Most requests in flight at once.' CODEC(T64, ZSTD(1)),
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
COMMENT 'what a gateway admitted and refused of a tenant in one interval, once: every landed copy; query admission_events instead';
ALTER TABLE `bourse`.`admission_events_landed`
    ADD COLUMN IF NOT EXISTS `time` DateTime64(3, 'UTC') COMMENT 'milliseconds since 1970, UTC; The interval\'s end.' CODEC(DoubleDelta, ZSTD(1)) FIRST,
    ADD COLUMN IF NOT EXISTS `source` LowCardinality(String) COMMENT 'who published the event' CODEC(ZSTD(1)) AFTER `time`,
    ADD COLUMN IF NOT EXISTS `id` String COMMENT 'id, unique within its source' CODEC(ZSTD(1)) AFTER `source`,
    ADD COLUMN IF NOT EXISTS `tenant` String COMMENT 'id of the tenant' CODEC(ZSTD(1)) AFTER `id`,
    ADD COLUMN IF NOT EXISTS `pool` LowCardinality(String) COMMENT 'id of the pool: one model deployment' CODEC(ZSTD(1)) AFTER `tenant`,
    ADD COLUMN IF NOT EXISTS `interval_ms` Int64 COMMENT 'milliseconds; How long the interval was.' CODEC(T64, ZSTD(1)) AFTER `pool`,
    ADD COLUMN IF NOT EXISTS `admitted` Int64 COMMENT 'requests' CODEC(T64, ZSTD(1)) AFTER `interval_ms`,
    ADD COLUMN IF NOT EXISTS `refused_own_throughput` Int64 COMMENT 'requests' CODEC(T64, ZSTD(1)) AFTER `admitted`,
    ADD COLUMN IF NOT EXISTS `refused_own_kv` Int64 COMMENT 'requests' CODEC(T64, ZSTD(1)) AFTER `refused_own_throughput`,
    ADD COLUMN IF NOT EXISTS `refused_own_concurrency` Int64 COMMENT 'requests' CODEC(T64, ZSTD(1)) AFTER `refused_own_kv`,
    ADD COLUMN IF NOT EXISTS `refused_pool_throughput` Int64 COMMENT 'requests' CODEC(T64, ZSTD(1)) AFTER `refused_own_concurrency`,
    ADD COLUMN IF NOT EXISTS `refused_pool_kv` Int64 COMMENT 'requests' CODEC(T64, ZSTD(1)) AFTER `refused_pool_throughput`,
    ADD COLUMN IF NOT EXISTS `refused_pool_concurrency` Int64 COMMENT 'requests' CODEC(T64, ZSTD(1)) AFTER `refused_pool_kv`,
    ADD COLUMN IF NOT EXISTS `refused_unknown` Int64 COMMENT 'requests; By a gateway without limits to decide by: its lease was over, or had not come. What they wanted is in no other count.' CODEC(T64, ZSTD(1)) AFTER `refused_pool_concurrency`,
    ADD COLUMN IF NOT EXISTS `stopped` Int64 COMMENT 'requests; Running requests that were stopped for others.' CODEC(T64, ZSTD(1)) AFTER `refused_unknown`,
    ADD COLUMN IF NOT EXISTS `refused_tokens` Int64 COMMENT 'tokens; What refused requests would have reserved: input and most output.' CODEC(T64, ZSTD(1)) AFTER `stopped`,
    ADD COLUMN IF NOT EXISTS `refused_kv_blocks` Int64 COMMENT 'KV-cache blocks; Likewise, KV-cache blocks.' CODEC(T64, ZSTD(1)) AFTER `refused_tokens`,
    ADD COLUMN IF NOT EXISTS `peak_kv_blocks` Int64 COMMENT 'KV-cache blocks; Most blocks in use at once.' CODEC(T64, ZSTD(1)) AFTER `refused_kv_blocks`,
    ADD COLUMN IF NOT EXISTS `peak_concurrency` Int64 COMMENT 'requests; Most requests in flight at once.' CODEC(T64, ZSTD(1)) AFTER `peak_kv_blocks`,
    ADD COLUMN IF NOT EXISTS `topic` LowCardinality(String) COMMENT 'topic of the record that the row landed from' CODEC(ZSTD(1)) AFTER `peak_concurrency`,
    ADD COLUMN IF NOT EXISTS `partition` Int32 COMMENT 'partition of that record' CODEC(T64, ZSTD(1)) AFTER `topic`,
    ADD COLUMN IF NOT EXISTS `offset` Int64 COMMENT 'offset of that record' CODEC(DoubleDelta, ZSTD(1)) AFTER `partition`,
    ADD COLUMN IF NOT EXISTS `record_row` Int32 COMMENT 'place of the row among those of its record, from 0' CODEC(T64, ZSTD(1)) AFTER `offset`,
    ADD COLUMN IF NOT EXISTS `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)) AFTER `record_row`;
ALTER TABLE `bourse`.`admission_events_landed` MODIFY SETTING deduplicate_merge_projection_mode = 'rebuild';
ALTER TABLE `bourse`.`admission_events_landed` ADD PROJECTION IF NOT EXISTS `by_pool_time` (SELECT * ORDER BY `pool`, `time`);
CREATE OR REPLACE VIEW `bourse`.`admission_events`
(
    `time` DateTime64(3, 'UTC') COMMENT 'milliseconds since 1970, UTC; The interval\'s end.',
    `source` LowCardinality(String) COMMENT 'who published the event',
    `id` String COMMENT 'id, unique within its source',
    `tenant` String COMMENT 'id of the tenant',
    `pool` LowCardinality(String) COMMENT 'id of the pool: one model deployment',
    `interval_ms` Int64 COMMENT 'milliseconds; How long the interval was.',
    `admitted` Int64 COMMENT 'requests',
    `refused_own_throughput` Int64 COMMENT 'requests',
    `refused_own_kv` Int64 COMMENT 'requests',
    `refused_own_concurrency` Int64 COMMENT 'requests',
    `refused_pool_throughput` Int64 COMMENT 'requests',
    `refused_pool_kv` Int64 COMMENT 'requests',
    `refused_pool_concurrency` Int64 COMMENT 'requests',
    `refused_unknown` Int64 COMMENT 'requests; By a gateway without limits to decide by: its lease was over, or had not come. What they wanted is in no other count.',
    `stopped` Int64 COMMENT 'requests; Running requests that were stopped for others.',
    `refused_tokens` Int64 COMMENT 'tokens; What refused requests would have reserved: input and most output.',
    `refused_kv_blocks` Int64 COMMENT 'KV-cache blocks; Likewise, KV-cache blocks.',
    `peak_kv_blocks` Int64 COMMENT 'KV-cache blocks; Most blocks in use at once.',
    `peak_concurrency` Int64 COMMENT 'requests; Most requests in flight at once.',
    `topic` LowCardinality(String) COMMENT 'topic of the record that the row landed from',
    `partition` Int32 COMMENT 'partition of that record',
    `offset` Int64 COMMENT 'offset of that record',
    `record_row` Int32 COMMENT 'place of the row among those of its record, from 0',
    `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC'
)
AS SELECT `time`, `source`, `id`, `tenant`, `pool`, `interval_ms`, `admitted`, `refused_own_throughput`, `refused_own_kv`, `refused_own_concurrency`, `refused_pool_throughput`, `refused_pool_kv`, `refused_pool_concurrency`, `refused_unknown`, `stopped`, `refused_tokens`, `refused_kv_blocks`, `peak_kv_blocks`, `peak_concurrency`, `topic`, `partition`, `offset`, `record_row`, `landed_at` FROM `bourse`.`admission_events_landed` FINAL SETTINGS do_not_merge_across_partitions_select_final = 0
COMMENT 'what a gateway admitted and refused of a tenant in one interval, once';
