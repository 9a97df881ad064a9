CREATE TABLE IF NOT EXISTS `bourse`.`journal_landed`
(
    `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition' CODEC(ZSTD(1)),
    `kind` LowCardinality(String) COMMENT 'type of the record' CODEC(ZSTD(1)),
    `payload` String COMMENT 'the record as JSON' CODEC(ZSTD(3)),
    `appended_at` DateTime64(3, 'UTC') COMMENT 'when the broker appended it, milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)),
    `topic` LowCardinality(String) COMMENT 'topic of the record that the row landed from' CODEC(ZSTD(1)),
    `partition` Int32 COMMENT 'partition of that record' CODEC(T64, ZSTD(1)),
    `offset` Int64 COMMENT 'offset of that record' CODEC(DoubleDelta, ZSTD(1)),
    `record_row` Int32 COMMENT 'place of the row among those of its record, from 0' CODEC(T64, ZSTD(1)),
    `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)),
    `landed_first` UInt64 MATERIALIZED 9223372036854775807 - `offset` COMMENT 'falls as the offset grows: the first copy of a row replaces later ones' CODEC(DoubleDelta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(`landed_first`)
PARTITION BY toYYYYMM(landed_at)
PRIMARY KEY (`pool`, `partition`, `offset`)
ORDER BY (`pool`, `partition`, `offset`, `topic`, `record_row`)
COMMENT 'one journal record: every landed copy; query journal instead';
ALTER TABLE `bourse`.`journal_landed`
    ADD COLUMN IF NOT EXISTS `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition' CODEC(ZSTD(1)) FIRST,
    ADD COLUMN IF NOT EXISTS `kind` LowCardinality(String) COMMENT 'type of the record' CODEC(ZSTD(1)) AFTER `pool`,
    ADD COLUMN IF NOT EXISTS `payload` String COMMENT 'the record as JSON' CODEC(ZSTD(3)) AFTER `kind`,
    ADD COLUMN IF NOT EXISTS `appended_at` DateTime64(3, 'UTC') COMMENT 'when the broker appended it, milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)) AFTER `payload`,
    ADD COLUMN IF NOT EXISTS `topic` LowCardinality(String) COMMENT 'topic of the record that the row landed from' CODEC(ZSTD(1)) AFTER `appended_at`,
    ADD COLUMN IF NOT EXISTS `partition` Int32 COMMENT 'partition of that record' CODEC(T64, ZSTD(1)) AFTER `topic`,
    ADD COLUMN IF NOT EXISTS `offset` Int64 COMMENT 'offset of that record' CODEC(DoubleDelta, ZSTD(1)) AFTER `partition`,
    ADD COLUMN IF NOT EXISTS `record_row` Int32 COMMENT 'place of the row among those of its record, from 0' CODEC(T64, ZSTD(1)) AFTER `offset`,
    ADD COLUMN IF NOT EXISTS `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)) AFTER `record_row`;
CREATE OR REPLACE VIEW `bourse`.`journal`
(
    `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition',
    `kind` LowCardinality(String) COMMENT 'type of the record',
    `payload` String COMMENT 'the record as JSON',
    `appended_at` DateTime64(3, 'UTC') COMMENT 'when the broker appended it, milliseconds since 1970, UTC',
    `topic` LowCardinality(String) COMMENT 'topic of the record that the row landed from',
    `partition` Int32 COMMENT 'partition of that record',
    `offset` Int64 COMMENT 'offset of that record',
    `record_row` Int32 COMMENT 'place of the row among those of its record, from 0',
    `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC'
)
AS SELECT `pool`, `kind`, `payload`, `appended_at`, `topic`, `partition`, `offset`, `record_row`, `landed_at` FROM `bourse`.`journal_landed` FINAL SETTINGS do_not_merge_across_partitions_select_final = 0
COMMENT 'one journal record';
