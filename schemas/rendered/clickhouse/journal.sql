CREATE TABLE IF NOT EXISTS `bourse`.`journal`
(
    `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition' CODEC(ZSTD(1)),
    `kind` LowCardinality(String) COMMENT 'type of the record' CODEC(ZSTD(1)),
    `payload` String COMMENT 'the record as JSON' CODEC(ZSTD(3)),
    `appended_at` DateTime64(3, 'UTC') COMMENT 'when the broker appended it, milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)),
    `topic` LowCardinality(String) COMMENT 'topic of the record that the row landed from' CODEC(ZSTD(1)),
    `partition` Int32 COMMENT 'partition of that record' CODEC(T64, ZSTD(1)),
    `offset` Int64 COMMENT 'offset of that record' CODEC(DoubleDelta, ZSTD(1)),
    `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(landed_at)
ORDER BY (`pool`, `partition`, `offset`)
COMMENT 'one journal record';
ALTER TABLE `bourse`.`journal`
    ADD COLUMN IF NOT EXISTS `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition' CODEC(ZSTD(1)) FIRST,
    ADD COLUMN IF NOT EXISTS `kind` LowCardinality(String) COMMENT 'type of the record' CODEC(ZSTD(1)) AFTER `pool`,
    ADD COLUMN IF NOT EXISTS `payload` String COMMENT 'the record as JSON' CODEC(ZSTD(3)) AFTER `kind`,
    ADD COLUMN IF NOT EXISTS `appended_at` DateTime64(3, 'UTC') COMMENT 'when the broker appended it, milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)) AFTER `payload`,
    ADD COLUMN IF NOT EXISTS `topic` LowCardinality(String) COMMENT 'topic of the record that the row landed from' CODEC(ZSTD(1)) AFTER `appended_at`,
    ADD COLUMN IF NOT EXISTS `partition` Int32 COMMENT 'partition of that record' CODEC(T64, ZSTD(1)) AFTER `topic`,
    ADD COLUMN IF NOT EXISTS `offset` Int64 COMMENT 'offset of that record' CODEC(DoubleDelta, ZSTD(1)) AFTER `partition`,
    ADD COLUMN IF NOT EXISTS `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)) AFTER `offset`;
