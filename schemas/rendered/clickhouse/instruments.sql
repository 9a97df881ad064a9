CREATE TABLE IF NOT EXISTS `bourse`.`instruments_landed`
(
    `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition' CODEC(ZSTD(1)),
    `journal_offset` Int64 COMMENT 'offset in the topic\'s partition' CODEC(DoubleDelta, ZSTD(1)),
    `fact_index` Int64 COMMENT 'count' CODEC(T64, ZSTD(1)),
    `period` Int64 COMMENT 'periods since 1970' CODEC(DoubleDelta, ZSTD(1)),
    `phase` LowCardinality(String) COMMENT 'one of a few words; continuous, auction or closed; empty: as it was, only the clock went on.' CODEC(ZSTD(1)),
    `reference` Nullable(Int64) COMMENT 'count' CODEC(T64, ZSTD(1)),
    `clock` Nullable(DateTime64(3, 'UTC')) COMMENT 'milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)),
    `uncross_at` Nullable(DateTime64(3, 'UTC')) COMMENT 'milliseconds since 1970, UTC; When the auction with which it began ends by itself.' CODEC(DoubleDelta, ZSTD(1)),
    `id` String COMMENT 'id of the operator\'s command, empty where the rules did it' CODEC(ZSTD(1)),
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
PRIMARY KEY (`pool`, `period`, `journal_offset`, `fact_index`)
ORDER BY (`pool`, `period`, `journal_offset`, `fact_index`, `topic`, `partition`, `record_row`)
COMMENT 'one change of an instrument: it began, its clock or phase changed, or it closed: every landed copy; query instruments instead';
ALTER TABLE `bourse`.`instruments_landed`
    ADD COLUMN IF NOT EXISTS `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition' CODEC(ZSTD(1)) FIRST,
    ADD COLUMN IF NOT EXISTS `journal_offset` Int64 COMMENT 'offset in the topic\'s partition' CODEC(DoubleDelta, ZSTD(1)) AFTER `pool`,
    ADD COLUMN IF NOT EXISTS `fact_index` Int64 COMMENT 'count' CODEC(T64, ZSTD(1)) AFTER `journal_offset`,
    ADD COLUMN IF NOT EXISTS `period` Int64 COMMENT 'periods since 1970' CODEC(DoubleDelta, ZSTD(1)) AFTER `fact_index`,
    ADD COLUMN IF NOT EXISTS `phase` LowCardinality(String) COMMENT 'one of a few words; continuous, auction or closed; empty: as it was, only the clock went on.' CODEC(ZSTD(1)) AFTER `period`,
    ADD COLUMN IF NOT EXISTS `reference` Nullable(Int64) COMMENT 'count' CODEC(T64, ZSTD(1)) AFTER `phase`,
    ADD COLUMN IF NOT EXISTS `clock` Nullable(DateTime64(3, 'UTC')) COMMENT 'milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)) AFTER `reference`,
    ADD COLUMN IF NOT EXISTS `uncross_at` Nullable(DateTime64(3, 'UTC')) COMMENT 'milliseconds since 1970, UTC; When the auction with which it began ends by itself.' CODEC(DoubleDelta, ZSTD(1)) AFTER `clock`,
    ADD COLUMN IF NOT EXISTS `id` String COMMENT 'id of the operator\'s command, empty where the rules did it' CODEC(ZSTD(1)) AFTER `uncross_at`,
    ADD COLUMN IF NOT EXISTS `topic` LowCardinality(String) COMMENT 'topic of the record that the row landed from' CODEC(ZSTD(1)) AFTER `id`,
    ADD COLUMN IF NOT EXISTS `partition` Int32 COMMENT 'partition of that record' CODEC(T64, ZSTD(1)) AFTER `topic`,
    ADD COLUMN IF NOT EXISTS `offset` Int64 COMMENT 'offset of that record' CODEC(DoubleDelta, ZSTD(1)) AFTER `partition`,
    ADD COLUMN IF NOT EXISTS `record_row` Int32 COMMENT 'place of the row among those of its record, from 0' CODEC(T64, ZSTD(1)) AFTER `offset`,
    ADD COLUMN IF NOT EXISTS `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)) AFTER `record_row`,
    ADD INDEX IF NOT EXISTS `journal` `journal_offset` TYPE minmax GRANULARITY 1;
CREATE OR REPLACE VIEW `bourse`.`instruments`
(
    `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition',
    `journal_offset` Int64 COMMENT 'offset in the topic\'s partition',
    `fact_index` Int64 COMMENT 'count',
    `period` Int64 COMMENT 'periods since 1970',
    `phase` LowCardinality(String) COMMENT 'one of a few words; continuous, auction or closed; empty: as it was, only the clock went on.',
    `reference` Nullable(Int64) COMMENT 'count',
    `clock` Nullable(DateTime64(3, 'UTC')) COMMENT 'milliseconds since 1970, UTC',
    `uncross_at` Nullable(DateTime64(3, 'UTC')) COMMENT 'milliseconds since 1970, UTC; When the auction with which it began ends by itself.',
    `id` String COMMENT 'id of the operator\'s command, empty where the rules did it',
    `topic` LowCardinality(String) COMMENT 'topic of the record that the row landed from',
    `partition` Int32 COMMENT 'partition of that record',
    `offset` Int64 COMMENT 'offset of that record',
    `record_row` Int32 COMMENT 'place of the row among those of its record, from 0',
    `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC'
)
AS SELECT `pool`, `journal_offset`, `fact_index`, `period`, `phase`, `reference`, `clock`, `uncross_at`, `id`, `topic`, `partition`, `offset`, `record_row`, `landed_at` FROM `bourse`.`instruments_landed` FINAL SETTINGS do_not_merge_across_partitions_select_final = 0
COMMENT 'one change of an instrument: it began, its clock or phase changed, or it closed';
