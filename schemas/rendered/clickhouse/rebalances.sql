CREATE TABLE IF NOT EXISTS `bourse`.`rebalances_landed`
(
    `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition' CODEC(ZSTD(1)),
    `journal_offset` Int64 COMMENT 'offset in the topic\'s partition' CODEC(DoubleDelta, ZSTD(1)),
    `fact_index` Int64 COMMENT 'count' CODEC(T64, ZSTD(1)),
    `id` String COMMENT 'id, unique within its source' CODEC(ZSTD(1)),
    `period` Int64 COMMENT 'periods since 1970; In which it was decided.' CODEC(DoubleDelta, ZSTD(1)),
    `as_of` DateTime64(3, 'UTC') COMMENT 'milliseconds since 1970, UTC; End of the look-back.' CODEC(DoubleDelta, ZSTD(1)),
    `moved` Int64 COMMENT 'tokens; In all.' CODEC(T64, ZSTD(1)),
    `gave` Int64 COMMENT 'tenants; Whose base fell.' CODEC(T64, ZSTD(1)),
    `got` Int64 COMMENT 'tenants; Whose base rose.' CODEC(T64, ZSTD(1)),
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
PRIMARY KEY (`pool`, `period`)
ORDER BY (`pool`, `period`, `topic`, `partition`, `journal_offset`, `fact_index`, `record_row`)
COMMENT 'one step of all bases towards long-term use: every landed copy; query rebalances instead';
ALTER TABLE `bourse`.`rebalances_landed`
    ADD COLUMN IF NOT EXISTS `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition' CODEC(ZSTD(1)) FIRST,
    ADD COLUMN IF NOT EXISTS `journal_offset` Int64 COMMENT 'offset in the topic\'s partition' CODEC(DoubleDelta, ZSTD(1)) AFTER `pool`,
    ADD COLUMN IF NOT EXISTS `fact_index` Int64 COMMENT 'count' CODEC(T64, ZSTD(1)) AFTER `journal_offset`,
    ADD COLUMN IF NOT EXISTS `id` String COMMENT 'id, unique within its source' CODEC(ZSTD(1)) AFTER `fact_index`,
    ADD COLUMN IF NOT EXISTS `period` Int64 COMMENT 'periods since 1970; In which it was decided.' CODEC(DoubleDelta, ZSTD(1)) AFTER `id`,
    ADD COLUMN IF NOT EXISTS `as_of` DateTime64(3, 'UTC') COMMENT 'milliseconds since 1970, UTC; End of the look-back.' CODEC(DoubleDelta, ZSTD(1)) AFTER `period`,
    ADD COLUMN IF NOT EXISTS `moved` Int64 COMMENT 'tokens; In all.' CODEC(T64, ZSTD(1)) AFTER `as_of`,
    ADD COLUMN IF NOT EXISTS `gave` Int64 COMMENT 'tenants; Whose base fell.' CODEC(T64, ZSTD(1)) AFTER `moved`,
    ADD COLUMN IF NOT EXISTS `got` Int64 COMMENT 'tenants; Whose base rose.' CODEC(T64, ZSTD(1)) AFTER `gave`,
    ADD COLUMN IF NOT EXISTS `topic` LowCardinality(String) COMMENT 'topic of the record that the row landed from' CODEC(ZSTD(1)) AFTER `got`,
    ADD COLUMN IF NOT EXISTS `partition` Int32 COMMENT 'partition of that record' CODEC(T64, ZSTD(1)) AFTER `topic`,
    ADD COLUMN IF NOT EXISTS `offset` Int64 COMMENT 'offset of that record' CODEC(DoubleDelta, ZSTD(1)) AFTER `partition`,
    ADD COLUMN IF NOT EXISTS `record_row` Int32 COMMENT 'place of the row among those of its record, from 0' CODEC(T64, ZSTD(1)) AFTER `offset`,
    ADD COLUMN IF NOT EXISTS `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)) AFTER `record_row`,
    ADD INDEX IF NOT EXISTS `journal` `journal_offset` TYPE minmax GRANULARITY 1;
CREATE OR REPLACE VIEW `bourse`.`rebalances`
(
    `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition',
    `journal_offset` Int64 COMMENT 'offset in the topic\'s partition',
    `fact_index` Int64 COMMENT 'count',
    `id` String COMMENT 'id, unique within its source',
    `period` Int64 COMMENT 'periods since 1970; In which it was decided.',
    `as_of` DateTime64(3, 'UTC') COMMENT 'milliseconds since 1970, UTC; End of the look-back.',
    `moved` Int64 COMMENT 'tokens; In all.',
    `gave` Int64 COMMENT 'tenants; Whose base fell.',
    `got` Int64 COMMENT 'tenants; Whose base rose.',
    `topic` LowCardinality(String) COMMENT 'topic of the record that the row landed from',
    `partition` Int32 COMMENT 'partition of that record',
    `offset` Int64 COMMENT 'offset of that record',
    `record_row` Int32 COMMENT 'place of the row among those of its record, from 0',
    `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC'
)
AS SELECT `pool`, `journal_offset`, `fact_index`, `id`, `period`, `as_of`, `moved`, `gave`, `got`, `topic`, `partition`, `offset`, `record_row`, `landed_at` FROM `bourse`.`rebalances_landed` FINAL SETTINGS do_not_merge_across_partitions_select_final = 0
COMMENT 'one step of all bases towards long-term use';
