CREATE TABLE IF NOT EXISTS `bourse`.`usage_events_landed`
(
    `time` DateTime64(3, 'UTC') COMMENT 'milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)),
    `source` LowCardinality(String) COMMENT 'who published the event' CODEC(ZSTD(1)),
    `id` String COMMENT 'id, unique within its source' CODEC(ZSTD(1)),
    `tenant` String COMMENT 'id of the tenant' CODEC(ZSTD(1)),
    `pool` LowCardinality(String) COMMENT 'id of the pool: one model deployment' CODEC(ZSTD(1)),
    `input_tokens` Int64 COMMENT 'tokens' CODEC(T64, ZSTD(1)),
    `output_tokens` Int64 COMMENT 'tokens' CODEC(T64, ZSTD(1)),
    `cached_input_tokens` Int64 COMMENT 'tokens' CODEC(T64, ZSTD(1)),
    `model` LowCardinality(String) COMMENT 'model that served' CODEC(ZSTD(1)),
    `request_id` String COMMENT 'id of the request' CODEC(ZSTD(1)),
    `basis` LowCardinality(String) COMMENT 'where the numbers come from; Of a gateway: `reported` by the runtime, `counted` on the way, or `reserved`, as nobody knows more.' CODEC(ZSTD(1)),
    `topic` LowCardinality(String) COMMENT 'topic of the record that the row landed from' CODEC(ZSTD(1)),
    `partition` Int32 COMMENT 'partition of that record' CODEC(T64, ZSTD(1)),
    `offset` Int64 COMMENT 'offset of that record' CODEC(DoubleDelta, ZSTD(1)),
    `record_row` Int32 COMMENT 'place of the row among those of its record, from 0' CODEC(T64, ZSTD(1)),
    `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)),
    `landed_first` UInt64 MATERIALIZED 9223372036854775807 - `offset` COMMENT 'falls as the offset grows: the first copy of a row replaces later ones' CODEC(DoubleDelta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(`landed_first`)
PARTITION BY toYYYYMM(landed_at)
PRIMARY KEY (`tenant`, `source`, `id`)
ORDER BY (`tenant`, `source`, `id`)
COMMENT 'one accepted usage event, once: every landed copy; query usage_events instead';
ALTER TABLE `bourse`.`usage_events_landed`
    ADD COLUMN IF NOT EXISTS `time` DateTime64(3, 'UTC') COMMENT 'milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)) FIRST,
    ADD COLUMN IF NOT EXISTS `source` LowCardinality(String) COMMENT 'who published the event' CODEC(ZSTD(1)) AFTER `time`,
    ADD COLUMN IF NOT EXISTS `id` String COMMENT 'id, unique within its source' CODEC(ZSTD(1)) AFTER `source`,
    ADD COLUMN IF NOT EXISTS `tenant` String COMMENT 'id of the tenant' CODEC(ZSTD(1)) AFTER `id`,
    ADD COLUMN IF NOT EXISTS `pool` LowCardinality(String) COMMENT 'id of the pool: one model deployment' CODEC(ZSTD(1)) AFTER `tenant`,
    ADD COLUMN IF NOT EXISTS `input_tokens` Int64 COMMENT 'tokens' CODEC(T64, ZSTD(1)) AFTER `pool`,
    ADD COLUMN IF NOT EXISTS `output_tokens` Int64 COMMENT 'tokens' CODEC(T64, ZSTD(1)) AFTER `input_tokens`,
    ADD COLUMN IF NOT EXISTS `cached_input_tokens` Int64 COMMENT 'tokens' CODEC(T64, ZSTD(1)) AFTER `output_tokens`,
    ADD COLUMN IF NOT EXISTS `model` LowCardinality(String) COMMENT 'model that served' CODEC(ZSTD(1)) AFTER `cached_input_tokens`,
    ADD COLUMN IF NOT EXISTS `request_id` String COMMENT 'id of the request' CODEC(ZSTD(1)) AFTER `model`,
    ADD COLUMN IF NOT EXISTS `basis` LowCardinality(String) COMMENT 'where the numbers come from; Of a gateway: `reported` by the runtime, `counted` on the way, or `reserved`, as nobody knows more.' CODEC(ZSTD(1)) AFTER `request_id`,
    ADD COLUMN IF NOT EXISTS `topic` LowCardinality(String) COMMENT 'topic of the record that the row landed from' CODEC(ZSTD(1)) AFTER `basis`,
    ADD COLUMN IF NOT EXISTS `partition` Int32 COMMENT 'partition of that record' CODEC(T64, ZSTD(1)) AFTER `topic`,
    ADD COLUMN IF NOT EXISTS `offset` Int64 COMMENT 'offset of that record' CODEC(DoubleDelta, ZSTD(1)) AFTER `partition`,
    ADD COLUMN IF NOT EXISTS `record_row` Int32 COMMENT 'place of the row among those of its record, from 0' CODEC(T64, ZSTD(1)) AFTER `offset`,
    ADD COLUMN IF NOT EXISTS `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)) AFTER `record_row`;
CREATE OR REPLACE VIEW `bourse`.`usage_events`
(
    `time` DateTime64(3, 'UTC') COMMENT 'milliseconds since 1970, UTC',
    `source` LowCardinality(String) COMMENT 'who published the event',
    `id` String COMMENT 'id, unique within its source',
    `tenant` String COMMENT 'id of the tenant',
    `pool` LowCardinality(String) COMMENT 'id of the pool: one model deployment',
    `input_tokens` Int64 COMMENT 'tokens',
    `output_tokens` Int64 COMMENT 'tokens',
    `cached_input_tokens` Int64 COMMENT 'tokens',
    `model` LowCardinality(String) COMMENT 'model that served',
    `request_id` String COMMENT 'id of the request',
    `basis` LowCardinality(String) COMMENT 'where the numbers come from; Of a gateway: `reported` by the runtime, `counted` on the way, or `reserved`, as nobody knows more.',
    `topic` LowCardinality(String) COMMENT 'topic of the record that the row landed from',
    `partition` Int32 COMMENT 'partition of that record',
    `offset` Int64 COMMENT 'offset of that record',
    `record_row` Int32 COMMENT 'place of the row among those of its record, from 0',
    `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC'
)
AS SELECT `time`, `source`, `id`, `tenant`, `pool`, `input_tokens`, `output_tokens`, `cached_input_tokens`, `model`, `request_id`, `basis`, `topic`, `partition`, `offset`, `record_row`, `landed_at` FROM `bourse`.`usage_events_landed` FINAL SETTINGS do_not_merge_across_partitions_select_final = 0
COMMENT 'one accepted usage event, once';
