CREATE TABLE IF NOT EXISTS `bourse`.`transfers_landed`
(
    `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition' CODEC(ZSTD(1)),
    `journal_offset` Int64 COMMENT 'offset in the topic\'s partition' CODEC(DoubleDelta, ZSTD(1)),
    `fact_index` Int64 COMMENT 'count' CODEC(T64, ZSTD(1)),
    `period` Int64 COMMENT 'periods since 1970' CODEC(DoubleDelta, ZSTD(1)),
    `tenant` String COMMENT 'id of the tenant' CODEC(ZSTD(1)),
    `to` String COMMENT 'id of the tenant' CODEC(ZSTD(1)),
    `transfer_id` String COMMENT 'id, unique within its source' CODEC(ZSTD(1)),
    `event` LowCardinality(String) COMMENT 'what happened' CODEC(ZSTD(1)),
    `tokens` Int64 COMMENT 'tokens' CODEC(T64, ZSTD(1)),
    `money` Int64 COMMENT 'nanocredits' CODEC(T64, ZSTD(1)),
    `for_tokens` Int64 COMMENT 'tokens' CODEC(T64, ZSTD(1)),
    `for_money` Int64 COMMENT 'nanocredits' CODEC(T64, ZSTD(1)),
    `reason` LowCardinality(String) COMMENT 'why it was rejected, or an offer ended' CODEC(ZSTD(1)),
    `field` LowCardinality(String) COMMENT 'the offending field' CODEC(ZSTD(1)),
    `detail` String COMMENT 'text' CODEC(ZSTD(1)),
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
PRIMARY KEY (`pool`, `period`, `tenant`, `transfer_id`)
ORDER BY (`pool`, `period`, `tenant`, `transfer_id`, `topic`, `partition`, `journal_offset`, `fact_index`, `record_row`)
COMMENT 'one event of a transfer\'s life: every landed copy; query transfers instead';
ALTER TABLE `bourse`.`transfers_landed`
    ADD COLUMN IF NOT EXISTS `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition' CODEC(ZSTD(1)) FIRST,
    ADD COLUMN IF NOT EXISTS `journal_offset` Int64 COMMENT 'offset in the topic\'s partition' CODEC(DoubleDelta, ZSTD(1)) AFTER `pool`,
    ADD COLUMN IF NOT EXISTS `fact_index` Int64 COMMENT 'count' CODEC(T64, ZSTD(1)) AFTER `journal_offset`,
    ADD COLUMN IF NOT EXISTS `period` Int64 COMMENT 'periods since 1970' CODEC(DoubleDelta, ZSTD(1)) AFTER `fact_index`,
    ADD COLUMN IF NOT EXISTS `tenant` String COMMENT 'id of the tenant' CODEC(ZSTD(1)) AFTER `period`,
    ADD COLUMN IF NOT EXISTS `to` String COMMENT 'id of the tenant' CODEC(ZSTD(1)) AFTER `tenant`,
    ADD COLUMN IF NOT EXISTS `transfer_id` String COMMENT 'id, unique within its source' CODEC(ZSTD(1)) AFTER `to`,
    ADD COLUMN IF NOT EXISTS `event` LowCardinality(String) COMMENT 'what happened' CODEC(ZSTD(1)) AFTER `transfer_id`,
    ADD COLUMN IF NOT EXISTS `tokens` Int64 COMMENT 'tokens' CODEC(T64, ZSTD(1)) AFTER `event`,
    ADD COLUMN IF NOT EXISTS `money` Int64 COMMENT 'nanocredits' CODEC(T64, ZSTD(1)) AFTER `tokens`,
    ADD COLUMN IF NOT EXISTS `for_tokens` Int64 COMMENT 'tokens' CODEC(T64, ZSTD(1)) AFTER `money`,
    ADD COLUMN IF NOT EXISTS `for_money` Int64 COMMENT 'nanocredits' CODEC(T64, ZSTD(1)) AFTER `for_tokens`,
    ADD COLUMN IF NOT EXISTS `reason` LowCardinality(String) COMMENT 'why it was rejected, or an offer ended' CODEC(ZSTD(1)) AFTER `for_money`,
    ADD COLUMN IF NOT EXISTS `field` LowCardinality(String) COMMENT 'the offending field' CODEC(ZSTD(1)) AFTER `reason`,
    ADD COLUMN IF NOT EXISTS `detail` String COMMENT 'text' CODEC(ZSTD(1)) AFTER `field`,
    ADD COLUMN IF NOT EXISTS `topic` LowCardinality(String) COMMENT 'topic of the record that the row landed from' CODEC(ZSTD(1)) AFTER `detail`,
    ADD COLUMN IF NOT EXISTS `partition` Int32 COMMENT 'partition of that record' CODEC(T64, ZSTD(1)) AFTER `topic`,
    ADD COLUMN IF NOT EXISTS `offset` Int64 COMMENT 'offset of that record' CODEC(DoubleDelta, ZSTD(1)) AFTER `partition`,
    ADD COLUMN IF NOT EXISTS `record_row` Int32 COMMENT 'place of the row among those of its record, from 0' CODEC(T64, ZSTD(1)) AFTER `offset`,
    ADD COLUMN IF NOT EXISTS `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)) AFTER `record_row`,
    ADD INDEX IF NOT EXISTS `journal` `journal_offset` TYPE minmax GRANULARITY 1;
CREATE OR REPLACE VIEW `bourse`.`transfers`
(
    `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition',
    `journal_offset` Int64 COMMENT 'offset in the topic\'s partition',
    `fact_index` Int64 COMMENT 'count',
    `period` Int64 COMMENT 'periods since 1970',
    `tenant` String COMMENT 'id of the tenant',
    `to` String COMMENT 'id of the tenant',
    `transfer_id` String COMMENT 'id, unique within its source',
    `event` LowCardinality(String) COMMENT 'what happened',
    `tokens` Int64 COMMENT 'tokens',
    `money` Int64 COMMENT 'nanocredits',
    `for_tokens` Int64 COMMENT 'tokens',
    `for_money` Int64 COMMENT 'nanocredits',
    `reason` LowCardinality(String) COMMENT 'why it was rejected, or an offer ended',
    `field` LowCardinality(String) COMMENT 'the offending field',
    `detail` String COMMENT 'text',
    `topic` LowCardinality(String) COMMENT 'topic of the record that the row landed from',
    `partition` Int32 COMMENT 'partition of that record',
    `offset` Int64 COMMENT 'offset of that record',
    `record_row` Int32 COMMENT 'place of the row among those of its record, from 0',
    `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC'
)
AS SELECT `pool`, `journal_offset`, `fact_index`, `period`, `tenant`, `to`, `transfer_id`, `event`, `tokens`, `money`, `for_tokens`, `for_money`, `reason`, `field`, `detail`, `topic`, `partition`, `offset`, `record_row`, `landed_at` FROM `bourse`.`transfers_landed` FINAL SETTINGS do_not_merge_across_partitions_select_final = 0
COMMENT 'one event of a transfer\'s life';
