CREATE TABLE IF NOT EXISTS `bourse`.`refusals`
(
    `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition' CODEC(ZSTD(1)),
    `journal_offset` Int64 COMMENT 'offset in the topic\'s partition' CODEC(DoubleDelta, ZSTD(1)),
    `fact_index` Int64 COMMENT 'count' CODEC(T64, ZSTD(1)),
    `command` LowCardinality(String) COMMENT 'one of a few words' CODEC(ZSTD(1)),
    `command_id` String COMMENT 'id, unique within its source' CODEC(ZSTD(1)),
    `tenant` String COMMENT 'id of the tenant, empty where the command names none' CODEC(ZSTD(1)),
    `reason` LowCardinality(String) COMMENT 'why' CODEC(ZSTD(1)),
    `detail` String COMMENT 'text' CODEC(ZSTD(1)),
    `topic` LowCardinality(String) COMMENT 'topic of the record that the row landed from' CODEC(ZSTD(1)),
    `partition` Int32 COMMENT 'partition of that record' CODEC(T64, ZSTD(1)),
    `offset` Int64 COMMENT 'offset of that record' CODEC(DoubleDelta, ZSTD(1)),
    `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(landed_at)
ORDER BY (`pool`, `journal_offset`, `fact_index`)
COMMENT 'one refused command';
ALTER TABLE `bourse`.`refusals`
    ADD COLUMN IF NOT EXISTS `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition' CODEC(ZSTD(1)) FIRST,
    ADD COLUMN IF NOT EXISTS `journal_offset` Int64 COMMENT 'offset in the topic\'s partition' CODEC(DoubleDelta, ZSTD(1)) AFTER `pool`,
    ADD COLUMN IF NOT EXISTS `fact_index` Int64 COMMENT 'count' CODEC(T64, ZSTD(1)) AFTER `journal_offset`,
    ADD COLUMN IF NOT EXISTS `command` LowCardinality(String) COMMENT 'one of a few words' CODEC(ZSTD(1)) AFTER `fact_index`,
    ADD COLUMN IF NOT EXISTS `command_id` String COMMENT 'id, unique within its source' CODEC(ZSTD(1)) AFTER `command`,
    ADD COLUMN IF NOT EXISTS `tenant` String COMMENT 'id of the tenant, empty where the command names none' CODEC(ZSTD(1)) AFTER `command_id`,
    ADD COLUMN IF NOT EXISTS `reason` LowCardinality(String) COMMENT 'why' CODEC(ZSTD(1)) AFTER `tenant`,
    ADD COLUMN IF NOT EXISTS `detail` String COMMENT 'text' CODEC(ZSTD(1)) AFTER `reason`,
    ADD COLUMN IF NOT EXISTS `topic` LowCardinality(String) COMMENT 'topic of the record that the row landed from' CODEC(ZSTD(1)) AFTER `detail`,
    ADD COLUMN IF NOT EXISTS `partition` Int32 COMMENT 'partition of that record' CODEC(T64, ZSTD(1)) AFTER `topic`,
    ADD COLUMN IF NOT EXISTS `offset` Int64 COMMENT 'offset of that record' CODEC(DoubleDelta, ZSTD(1)) AFTER `partition`,
    ADD COLUMN IF NOT EXISTS `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)) AFTER `offset`;
