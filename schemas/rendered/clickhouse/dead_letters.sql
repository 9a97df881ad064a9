CREATE TABLE IF NOT EXISTS `bourse`.`dead_letters_landed`
(
    `source_topic` LowCardinality(String) COMMENT 'one of a few words' CODEC(ZSTD(1)),
    `source_partition` Int32 COMMENT 'partition number' CODEC(T64, ZSTD(1)),
    `source_offset` Int64 COMMENT 'offset in the topic\'s partition' CODEC(DoubleDelta, ZSTD(1)),
    `source_time` DateTime64(3, 'UTC') COMMENT 'when the broker appended it, milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)),
    `reason` LowCardinality(String) COMMENT 'what is wrong' CODEC(ZSTD(1)),
    `detail` String COMMENT 'text' CODEC(ZSTD(1)),
    `key` String COMMENT 'original key' CODEC(ZSTD(1)),
    `payload` String COMMENT 'original bytes' CODEC(ZSTD(1)),
    `null_payload` Bool COMMENT 'True where the message had no value at all (a tombstone), which an empty payload would not tell.' CODEC(ZSTD(1)),
    `topic` LowCardinality(String) COMMENT 'topic of the record that the row landed from' CODEC(ZSTD(1)),
    `partition` Int32 COMMENT 'partition of that record' CODEC(T64, ZSTD(1)),
    `offset` Int64 COMMENT 'offset of that record' CODEC(DoubleDelta, ZSTD(1)),
    `record_row` Int32 COMMENT 'place of the row among those of its record, from 0' CODEC(T64, ZSTD(1)),
    `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)),
    `landed_first` UInt64 MATERIALIZED 9223372036854775807 - `offset` COMMENT 'falls as the offset grows: the first copy of a row replaces later ones' CODEC(DoubleDelta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(`landed_first`)
PARTITION BY toYYYYMM(landed_at)
PRIMARY KEY (`source_topic`, `source_partition`, `source_offset`)
ORDER BY (`source_topic`, `source_partition`, `source_offset`)
COMMENT 'one message that could not be taken: every landed copy; query dead_letters instead';
ALTER TABLE `bourse`.`dead_letters_landed`
    ADD COLUMN IF NOT EXISTS `source_topic` LowCardinality(String) COMMENT 'one of a few words' CODEC(ZSTD(1)) FIRST,
    ADD COLUMN IF NOT EXISTS `source_partition` Int32 COMMENT 'partition number' CODEC(T64, ZSTD(1)) AFTER `source_topic`,
    ADD COLUMN IF NOT EXISTS `source_offset` Int64 COMMENT 'offset in the topic\'s partition' CODEC(DoubleDelta, ZSTD(1)) AFTER `source_partition`,
    ADD COLUMN IF NOT EXISTS `source_time` DateTime64(3, 'UTC') COMMENT 'when the broker appended it, milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)) AFTER `source_offset`,
    ADD COLUMN IF NOT EXISTS `reason` LowCardinality(String) COMMENT 'what is wrong' CODEC(ZSTD(1)) AFTER `source_time`,
    ADD COLUMN IF NOT EXISTS `detail` String COMMENT 'text' CODEC(ZSTD(1)) AFTER `reason`,
    ADD COLUMN IF NOT EXISTS `key` String COMMENT 'original key' CODEC(ZSTD(1)) AFTER `detail`,
    ADD COLUMN IF NOT EXISTS `payload` String COMMENT 'original bytes' CODEC(ZSTD(1)) AFTER `key`,
    ADD COLUMN IF NOT EXISTS `null_payload` Bool COMMENT 'True where the message had no value at all (a tombstone), which an empty payload would not tell.' CODEC(ZSTD(1)) AFTER `payload`,
    ADD COLUMN IF NOT EXISTS `topic` LowCardinality(String) COMMENT 'topic of the record that the row landed from' CODEC(ZSTD(1)) AFTER `null_payload`,
    ADD COLUMN IF NOT EXISTS `partition` Int32 COMMENT 'partition of that record' CODEC(T64, ZSTD(1)) AFTER `topic`,
    ADD COLUMN IF NOT EXISTS `offset` Int64 COMMENT 'offset of that record' CODEC(DoubleDelta, ZSTD(1)) AFTER `partition`,
    ADD COLUMN IF NOT EXISTS `record_row` Int32 COMMENT 'place of the row among those of its record, from 0' CODEC(T64, ZSTD(1)) AFTER `offset`,
    ADD COLUMN IF NOT EXISTS `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)) AFTER `record_row`;
CREATE OR REPLACE VIEW `bourse`.`dead_letters`
(
    `source_topic` LowCardinality(String) COMMENT 'one of a few words',
    `source_partition` Int32 COMMENT 'partition number',
    `source_offset` Int64 COMMENT 'offset in the topic\'s partition',
    `source_time` DateTime64(3, 'UTC') COMMENT 'when the broker appended it, milliseconds since 1970, UTC',
    `reason` LowCardinality(String) COMMENT 'what is wrong',
    `detail` String COMMENT 'text',
    `key` String COMMENT 'original key',
    `payload` String COMMENT 'original bytes',
    `null_payload` Bool COMMENT 'True where the message had no value at all (a tombstone), which an empty payload would not tell.',
    `topic` LowCardinality(String) COMMENT 'topic of the record that the row landed from',
    `partition` Int32 COMMENT 'partition of that record',
    `offset` Int64 COMMENT 'offset of that record',
    `record_row` Int32 COMMENT 'place of the row among those of its record, from 0',
    `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC'
)
AS SELECT `source_topic`, `source_partition`, `source_offset`, `source_time`, `reason`, `detail`, `key`, `payload`, `null_payload`, `topic`, `partition`, `offset`, `record_row`, `landed_at` FROM `bourse`.`dead_letters_landed` FINAL SETTINGS do_not_merge_across_partitions_select_final = 0
COMMENT 'one message that could not be taken';
