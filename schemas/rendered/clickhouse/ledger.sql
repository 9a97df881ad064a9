CREATE TABLE IF NOT EXISTS `bourse`.`ledger_landed`
(
    `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition' CODEC(ZSTD(1)),
    `journal_offset` Int64 COMMENT 'offset in the topic\'s partition' CODEC(DoubleDelta, ZSTD(1)),
    `fact_index` Int64 COMMENT 'count' CODEC(T64, ZSTD(1)),
    `period` Int64 COMMENT 'periods since 1970; The pool\'s open period when it was written.' CODEC(DoubleDelta, ZSTD(1)),
    `entry` LowCardinality(String) COMMENT 'what the posting does' CODEC(ZSTD(1)),
    `code` LowCardinality(String) COMMENT 'what the posting is for' CODEC(ZSTD(1)),
    `asset` Int64 COMMENT '-1: nanocredits; else the delivery period whose tokens these are' CODEC(DoubleDelta, ZSTD(1)),
    `hold` String COMMENT 'the hold that is set aside, captured or freed' CODEC(ZSTD(1)),
    `debit_account` String COMMENT 'account that pays' CODEC(ZSTD(1)),
    `credit_account` String COMMENT 'account that is paid' CODEC(ZSTD(1)),
    `amount` Int64 COMMENT 'nanocredits, or tokens' CODEC(T64, ZSTD(1)),
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
COMMENT 'one posting: what one account paid another, or set aside: every landed copy; query ledger instead';
ALTER TABLE `bourse`.`ledger_landed`
    ADD COLUMN IF NOT EXISTS `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition' CODEC(ZSTD(1)) FIRST,
    ADD COLUMN IF NOT EXISTS `journal_offset` Int64 COMMENT 'offset in the topic\'s partition' CODEC(DoubleDelta, ZSTD(1)) AFTER `pool`,
    ADD COLUMN IF NOT EXISTS `fact_index` Int64 COMMENT 'count' CODEC(T64, ZSTD(1)) AFTER `journal_offset`,
    ADD COLUMN IF NOT EXISTS `period` Int64 COMMENT 'periods since 1970; The pool\'s open period when it was written.' CODEC(DoubleDelta, ZSTD(1)) AFTER `fact_index`,
    ADD COLUMN IF NOT EXISTS `entry` LowCardinality(String) COMMENT 'what the posting does' CODEC(ZSTD(1)) AFTER `period`,
    ADD COLUMN IF NOT EXISTS `code` LowCardinality(String) COMMENT 'what the posting is for' CODEC(ZSTD(1)) AFTER `entry`,
    ADD COLUMN IF NOT EXISTS `asset` Int64 COMMENT '-1: nanocredits; else the delivery period whose tokens these are' CODEC(DoubleDelta, ZSTD(1)) AFTER `code`,
    ADD COLUMN IF NOT EXISTS `hold` String COMMENT 'the hold that is set aside, captured or freed' CODEC(ZSTD(1)) AFTER `asset`,
    ADD COLUMN IF NOT EXISTS `debit_account` String COMMENT 'account that pays' CODEC(ZSTD(1)) AFTER `hold`,
    ADD COLUMN IF NOT EXISTS `credit_account` String COMMENT 'account that is paid' CODEC(ZSTD(1)) AFTER `debit_account`,
    ADD COLUMN IF NOT EXISTS `amount` Int64 COMMENT 'nanocredits, or tokens' CODEC(T64, ZSTD(1)) AFTER `credit_account`,
    ADD COLUMN IF NOT EXISTS `topic` LowCardinality(String) COMMENT 'topic of the record that the row landed from' CODEC(ZSTD(1)) AFTER `amount`,
    ADD COLUMN IF NOT EXISTS `partition` Int32 COMMENT 'partition of that record' CODEC(T64, ZSTD(1)) AFTER `topic`,
    ADD COLUMN IF NOT EXISTS `offset` Int64 COMMENT 'offset of that record' CODEC(DoubleDelta, ZSTD(1)) AFTER `partition`,
    ADD COLUMN IF NOT EXISTS `record_row` Int32 COMMENT 'place of the row among those of its record, from 0' CODEC(T64, ZSTD(1)) AFTER `offset`,
    ADD COLUMN IF NOT EXISTS `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)) AFTER `record_row`,
    ADD INDEX IF NOT EXISTS `journal` `journal_offset` TYPE minmax GRANULARITY 1;
CREATE OR REPLACE VIEW `bourse`.`ledger`
(
    `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition',
    `journal_offset` Int64 COMMENT 'offset in the topic\'s partition',
    `fact_index` Int64 COMMENT 'count',
    `period` Int64 COMMENT 'periods since 1970; The pool\'s open period when it was written.',
    `entry` LowCardinality(String) COMMENT 'what the posting does',
    `code` LowCardinality(String) COMMENT 'what the posting is for',
    `asset` Int64 COMMENT '-1: nanocredits; else the delivery period whose tokens these are',
    `hold` String COMMENT 'the hold that is set aside, captured or freed',
    `debit_account` String COMMENT 'account that pays',
    `credit_account` String COMMENT 'account that is paid',
    `amount` Int64 COMMENT 'nanocredits, or tokens',
    `topic` LowCardinality(String) COMMENT 'topic of the record that the row landed from',
    `partition` Int32 COMMENT 'partition of that record',
    `offset` Int64 COMMENT 'offset of that record',
    `record_row` Int32 COMMENT 'place of the row among those of its record, from 0',
    `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC'
)
AS SELECT `pool`, `journal_offset`, `fact_index`, `period`, `entry`, `code`, `asset`, `hold`, `debit_account`, `credit_account`, `amount`, `topic`, `partition`, `offset`, `record_row`, `landed_at` FROM `bourse`.`ledger_landed` FINAL SETTINGS do_not_merge_across_partitions_select_final = 0
COMMENT 'one posting: what one account paid another, or set aside';
