CREATE TABLE IF NOT EXISTS `bourse`.`deliveries_landed`
(
    `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition' CODEC(ZSTD(1)),
    `journal_offset` Int64 COMMENT 'offset in the topic\'s partition' CODEC(DoubleDelta, ZSTD(1)),
    `fact_index` Int64 COMMENT 'count' CODEC(T64, ZSTD(1)),
    `period` Int64 COMMENT 'periods since 1970' CODEC(DoubleDelta, ZSTD(1)),
    `tenant` String COMMENT 'id of the tenant' CODEC(ZSTD(1)),
    `bought` Int64 COMMENT 'tokens' CODEC(T64, ZSTD(1)),
    `sold` Int64 COMMENT 'tokens' CODEC(T64, ZSTD(1)),
    `received` Int64 COMMENT 'tokens; Tokens that a net buyer got.' CODEC(T64, ZSTD(1)),
    `given` Int64 COMMENT 'tokens; Tokens that a net seller gave.' CODEC(T64, ZSTD(1)),
    `shortfall` Int64 COMMENT 'tokens; Bought and not delivered, as capacity fell: owed to the tenant.' CODEC(T64, ZSTD(1)),
    `earned` Int64 COMMENT 'nanocredits; Paid out for what was sold.' CODEC(T64, ZSTD(1)),
    `refunded` Int64 COMMENT 'nanocredits; Paid back for what was not delivered.' CODEC(T64, ZSTD(1)),
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
PRIMARY KEY (`pool`, `period`, `tenant`)
ORDER BY (`pool`, `period`, `tenant`, `topic`, `partition`, `journal_offset`, `fact_index`, `record_row`)
COMMENT 'one tenant\'s forward trades of a period, delivered: every landed copy; query deliveries instead';
ALTER TABLE `bourse`.`deliveries_landed`
    ADD COLUMN IF NOT EXISTS `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition' CODEC(ZSTD(1)) FIRST,
    ADD COLUMN IF NOT EXISTS `journal_offset` Int64 COMMENT 'offset in the topic\'s partition' CODEC(DoubleDelta, ZSTD(1)) AFTER `pool`,
    ADD COLUMN IF NOT EXISTS `fact_index` Int64 COMMENT 'count' CODEC(T64, ZSTD(1)) AFTER `journal_offset`,
    ADD COLUMN IF NOT EXISTS `period` Int64 COMMENT 'periods since 1970' CODEC(DoubleDelta, ZSTD(1)) AFTER `fact_index`,
    ADD COLUMN IF NOT EXISTS `tenant` String COMMENT 'id of the tenant' CODEC(ZSTD(1)) AFTER `period`,
    ADD COLUMN IF NOT EXISTS `bought` Int64 COMMENT 'tokens' CODEC(T64, ZSTD(1)) AFTER `tenant`,
    ADD COLUMN IF NOT EXISTS `sold` Int64 COMMENT 'tokens' CODEC(T64, ZSTD(1)) AFTER `bought`,
    ADD COLUMN IF NOT EXISTS `received` Int64 COMMENT 'tokens; Tokens that a net buyer got.' CODEC(T64, ZSTD(1)) AFTER `sold`,
    ADD COLUMN IF NOT EXISTS `given` Int64 COMMENT 'tokens; Tokens that a net seller gave.' CODEC(T64, ZSTD(1)) AFTER `received`,
    ADD COLUMN IF NOT EXISTS `shortfall` Int64 COMMENT 'tokens; Bought and not delivered, as capacity fell: owed to the tenant.' CODEC(T64, ZSTD(1)) AFTER `given`,
    ADD COLUMN IF NOT EXISTS `earned` Int64 COMMENT 'nanocredits; Paid out for what was sold.' CODEC(T64, ZSTD(1)) AFTER `shortfall`,
    ADD COLUMN IF NOT EXISTS `refunded` Int64 COMMENT 'nanocredits; Paid back for what was not delivered.' CODEC(T64, ZSTD(1)) AFTER `earned`,
    ADD COLUMN IF NOT EXISTS `topic` LowCardinality(String) COMMENT 'topic of the record that the row landed from' CODEC(ZSTD(1)) AFTER `refunded`,
    ADD COLUMN IF NOT EXISTS `partition` Int32 COMMENT 'partition of that record' CODEC(T64, ZSTD(1)) AFTER `topic`,
    ADD COLUMN IF NOT EXISTS `offset` Int64 COMMENT 'offset of that record' CODEC(DoubleDelta, ZSTD(1)) AFTER `partition`,
    ADD COLUMN IF NOT EXISTS `record_row` Int32 COMMENT 'place of the row among those of its record, from 0' CODEC(T64, ZSTD(1)) AFTER `offset`,
    ADD COLUMN IF NOT EXISTS `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)) AFTER `record_row`,
    ADD INDEX IF NOT EXISTS `journal` `journal_offset` TYPE minmax GRANULARITY 1;
CREATE OR REPLACE VIEW `bourse`.`deliveries`
(
    `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition',
    `journal_offset` Int64 COMMENT 'offset in the topic\'s partition',
    `fact_index` Int64 COMMENT 'count',
    `period` Int64 COMMENT 'periods since 1970',
    `tenant` String COMMENT 'id of the tenant',
    `bought` Int64 COMMENT 'tokens',
    `sold` Int64 COMMENT 'tokens',
    `received` Int64 COMMENT 'tokens; Tokens that a net buyer got.',
    `given` Int64 COMMENT 'tokens; Tokens that a net seller gave.',
    `shortfall` Int64 COMMENT 'tokens; Bought and not delivered, as capacity fell: owed to the tenant.',
    `earned` Int64 COMMENT 'nanocredits; Paid out for what was sold.',
    `refunded` Int64 COMMENT 'nanocredits; Paid back for what was not delivered.',
    `topic` LowCardinality(String) COMMENT 'topic of the record that the row landed from',
    `partition` Int32 COMMENT 'partition of that record',
    `offset` Int64 COMMENT 'offset of that record',
    `record_row` Int32 COMMENT 'place of the row among those of its record, from 0',
    `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC'
)
AS SELECT `pool`, `journal_offset`, `fact_index`, `period`, `tenant`, `bought`, `sold`, `received`, `given`, `shortfall`, `earned`, `refunded`, `topic`, `partition`, `offset`, `record_row`, `landed_at` FROM `bourse`.`deliveries_landed` FINAL SETTINGS do_not_merge_across_partitions_select_final = 0
COMMENT 'one tenant\'s forward trades of a period, delivered';
