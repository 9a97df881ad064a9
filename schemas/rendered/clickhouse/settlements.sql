CREATE TABLE IF NOT EXISTS `bourse`.`settlements_landed`
(
    `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition' CODEC(ZSTD(1)),
    `journal_offset` Int64 COMMENT 'offset in the topic\'s partition' CODEC(DoubleDelta, ZSTD(1)),
    `fact_index` Int64 COMMENT 'count' CODEC(T64, ZSTD(1)),
    `period` Int64 COMMENT 'periods since 1970' CODEC(DoubleDelta, ZSTD(1)),
    `time` DateTime64(3, 'UTC') COMMENT 'milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)),
    `kind` LowCardinality(String) COMMENT 'one of a few words; "delivered" (the present period) or "secured" (a forward one: delivered when it opens).' CODEC(ZSTD(1)),
    `number` Int64 COMMENT 'count' CODEC(T64, ZSTD(1)),
    `buyer` String COMMENT 'id of the tenant' CODEC(ZSTD(1)),
    `seller` String COMMENT 'id of the tenant' CODEC(ZSTD(1)),
    `tokens` Int64 COMMENT 'tokens' CODEC(T64, ZSTD(1)),
    `paid` Int64 COMMENT 'nanocredits; What the buyer paid, its fee included.' CODEC(T64, ZSTD(1)),
    `earned` Int64 COMMENT 'nanocredits; What the seller gets, its fee taken off.' CODEC(T64, ZSTD(1)),
    `fees` Int64 COMMENT 'nanocredits' CODEC(T64, ZSTD(1)),
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
PRIMARY KEY (`pool`, `period`, `journal_offset`, `fact_index`, `number`)
ORDER BY (`pool`, `period`, `journal_offset`, `fact_index`, `number`, `topic`, `partition`, `record_row`)
COMMENT 'one settled trade: every landed copy; query settlements instead';
ALTER TABLE `bourse`.`settlements_landed`
    ADD COLUMN IF NOT EXISTS `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition' CODEC(ZSTD(1)) FIRST,
    ADD COLUMN IF NOT EXISTS `journal_offset` Int64 COMMENT 'offset in the topic\'s partition' CODEC(DoubleDelta, ZSTD(1)) AFTER `pool`,
    ADD COLUMN IF NOT EXISTS `fact_index` Int64 COMMENT 'count' CODEC(T64, ZSTD(1)) AFTER `journal_offset`,
    ADD COLUMN IF NOT EXISTS `period` Int64 COMMENT 'periods since 1970' CODEC(DoubleDelta, ZSTD(1)) AFTER `fact_index`,
    ADD COLUMN IF NOT EXISTS `time` DateTime64(3, 'UTC') COMMENT 'milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)) AFTER `period`,
    ADD COLUMN IF NOT EXISTS `kind` LowCardinality(String) COMMENT 'one of a few words; "delivered" (the present period) or "secured" (a forward one: delivered when it opens).' CODEC(ZSTD(1)) AFTER `time`,
    ADD COLUMN IF NOT EXISTS `number` Int64 COMMENT 'count' CODEC(T64, ZSTD(1)) AFTER `kind`,
    ADD COLUMN IF NOT EXISTS `buyer` String COMMENT 'id of the tenant' CODEC(ZSTD(1)) AFTER `number`,
    ADD COLUMN IF NOT EXISTS `seller` String COMMENT 'id of the tenant' CODEC(ZSTD(1)) AFTER `buyer`,
    ADD COLUMN IF NOT EXISTS `tokens` Int64 COMMENT 'tokens' CODEC(T64, ZSTD(1)) AFTER `seller`,
    ADD COLUMN IF NOT EXISTS `paid` Int64 COMMENT 'nanocredits; What the buyer paid, its fee included.' CODEC(T64, ZSTD(1)) AFTER `tokens`,
    ADD COLUMN IF NOT EXISTS `earned` Int64 COMMENT 'nanocredits; What the seller gets, its fee taken off.' CODEC(T64, ZSTD(1)) AFTER `paid`,
    ADD COLUMN IF NOT EXISTS `fees` Int64 COMMENT 'nanocredits' CODEC(T64, ZSTD(1)) AFTER `earned`,
    ADD COLUMN IF NOT EXISTS `topic` LowCardinality(String) COMMENT 'topic of the record that the row landed from' CODEC(ZSTD(1)) AFTER `fees`,
    ADD COLUMN IF NOT EXISTS `partition` Int32 COMMENT 'partition of that record' CODEC(T64, ZSTD(1)) AFTER `topic`,
    ADD COLUMN IF NOT EXISTS `offset` Int64 COMMENT 'offset of that record' CODEC(DoubleDelta, ZSTD(1)) AFTER `partition`,
    ADD COLUMN IF NOT EXISTS `record_row` Int32 COMMENT 'place of the row among those of its record, from 0' CODEC(T64, ZSTD(1)) AFTER `offset`,
    ADD COLUMN IF NOT EXISTS `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)) AFTER `record_row`,
    ADD INDEX IF NOT EXISTS `journal` `journal_offset` TYPE minmax GRANULARITY 1;
CREATE OR REPLACE VIEW `bourse`.`settlements`
(
    `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition',
    `journal_offset` Int64 COMMENT 'offset in the topic\'s partition',
    `fact_index` Int64 COMMENT 'count',
    `period` Int64 COMMENT 'periods since 1970',
    `time` DateTime64(3, 'UTC') COMMENT 'milliseconds since 1970, UTC',
    `kind` LowCardinality(String) COMMENT 'one of a few words; "delivered" (the present period) or "secured" (a forward one: delivered when it opens).',
    `number` Int64 COMMENT 'count',
    `buyer` String COMMENT 'id of the tenant',
    `seller` String COMMENT 'id of the tenant',
    `tokens` Int64 COMMENT 'tokens',
    `paid` Int64 COMMENT 'nanocredits; What the buyer paid, its fee included.',
    `earned` Int64 COMMENT 'nanocredits; What the seller gets, its fee taken off.',
    `fees` Int64 COMMENT 'nanocredits',
    `topic` LowCardinality(String) COMMENT 'topic of the record that the row landed from',
    `partition` Int32 COMMENT 'partition of that record',
    `offset` Int64 COMMENT 'offset of that record',
    `record_row` Int32 COMMENT 'place of the row among those of its record, from 0',
    `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC'
)
AS SELECT `pool`, `journal_offset`, `fact_index`, `period`, `time`, `kind`, `number`, `buyer`, `seller`, `tokens`, `paid`, `earned`, `fees`, `topic`, `partition`, `offset`, `record_row`, `landed_at` FROM `bourse`.`settlements_landed` FINAL SETTINGS do_not_merge_across_partitions_select_final = 0
COMMENT 'one settled trade';
