CREATE TABLE IF NOT EXISTS `bourse`.`orders_landed`
(
    `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition' CODEC(ZSTD(1)),
    `journal_offset` Int64 COMMENT 'offset in the topic\'s partition' CODEC(DoubleDelta, ZSTD(1)),
    `fact_index` Int64 COMMENT 'count' CODEC(T64, ZSTD(1)),
    `period` Int64 COMMENT 'periods since 1970' CODEC(DoubleDelta, ZSTD(1)),
    `tenant` String COMMENT 'id of the tenant' CODEC(ZSTD(1)),
    `order_id` String COMMENT 'id of the order' CODEC(ZSTD(1)),
    `event` LowCardinality(String) COMMENT 'what happened' CODEC(ZSTD(1)),
    `side` LowCardinality(String) COMMENT 'buy or sell' CODEC(ZSTD(1)),
    `order_type` LowCardinality(String) COMMENT 'limit or market' CODEC(ZSTD(1)),
    `tif` LowCardinality(String) COMMENT 'time in force' CODEC(ZSTD(1)),
    `stp` LowCardinality(String) COMMENT 'self-trade prevention' CODEC(ZSTD(1)),
    `post_only` Bool COMMENT 'only as a resting order' CODEC(ZSTD(1)),
    `expire` Nullable(DateTime64(3, 'UTC')) COMMENT 'milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)),
    `price` Int64 COMMENT 'nanocredits per token' CODEC(T64, ZSTD(1)),
    `qty` Int64 COMMENT 'tokens' CODEC(T64, ZSTD(1)),
    `open` Int64 COMMENT 'tokens' CODEC(T64, ZSTD(1)),
    `kept_priority` Bool COMMENT 'a replaced order kept its place' CODEC(ZSTD(1)),
    `reason` LowCardinality(String) COMMENT 'why it was rejected or cancelled' CODEC(ZSTD(1)),
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
PRIMARY KEY (`pool`, `period`, `tenant`, `order_id`)
ORDER BY (`pool`, `period`, `tenant`, `order_id`, `topic`, `partition`, `journal_offset`, `fact_index`, `record_row`)
COMMENT 'one event of an order\'s life: every landed copy; query orders instead';
ALTER TABLE `bourse`.`orders_landed`
    ADD COLUMN IF NOT EXISTS `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition' CODEC(ZSTD(1)) FIRST,
    ADD COLUMN IF NOT EXISTS `journal_offset` Int64 COMMENT 'offset in the topic\'s partition' CODEC(DoubleDelta, ZSTD(1)) AFTER `pool`,
    ADD COLUMN IF NOT EXISTS `fact_index` Int64 COMMENT 'count' CODEC(T64, ZSTD(1)) AFTER `journal_offset`,
    ADD COLUMN IF NOT EXISTS `period` Int64 COMMENT 'periods since 1970' CODEC(DoubleDelta, ZSTD(1)) AFTER `fact_index`,
    ADD COLUMN IF NOT EXISTS `tenant` String COMMENT 'id of the tenant' CODEC(ZSTD(1)) AFTER `period`,
    ADD COLUMN IF NOT EXISTS `order_id` String COMMENT 'id of the order' CODEC(ZSTD(1)) AFTER `tenant`,
    ADD COLUMN IF NOT EXISTS `event` LowCardinality(String) COMMENT 'what happened' CODEC(ZSTD(1)) AFTER `order_id`,
    ADD COLUMN IF NOT EXISTS `side` LowCardinality(String) COMMENT 'buy or sell' CODEC(ZSTD(1)) AFTER `event`,
    ADD COLUMN IF NOT EXISTS `order_type` LowCardinality(String) COMMENT 'limit or market' CODEC(ZSTD(1)) AFTER `side`,
    ADD COLUMN IF NOT EXISTS `tif` LowCardinality(String) COMMENT 'time in force' CODEC(ZSTD(1)) AFTER `order_type`,
    ADD COLUMN IF NOT EXISTS `stp` LowCardinality(String) COMMENT 'self-trade prevention' CODEC(ZSTD(1)) AFTER `tif`,
    ADD COLUMN IF NOT EXISTS `post_only` Bool COMMENT 'only as a resting order' CODEC(ZSTD(1)) AFTER `stp`,
    ADD COLUMN IF NOT EXISTS `expire` Nullable(DateTime64(3, 'UTC')) COMMENT 'milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)) AFTER `post_only`,
    ADD COLUMN IF NOT EXISTS `price` Int64 COMMENT 'nanocredits per token' CODEC(T64, ZSTD(1)) AFTER `expire`,
    ADD COLUMN IF NOT EXISTS `qty` Int64 COMMENT 'tokens' CODEC(T64, ZSTD(1)) AFTER `price`,
    ADD COLUMN IF NOT EXISTS `open` Int64 COMMENT 'tokens' CODEC(T64, ZSTD(1)) AFTER `qty`,
    ADD COLUMN IF NOT EXISTS `kept_priority` Bool COMMENT 'a replaced order kept its place' CODEC(ZSTD(1)) AFTER `open`,
    ADD COLUMN IF NOT EXISTS `reason` LowCardinality(String) COMMENT 'why it was rejected or cancelled' CODEC(ZSTD(1)) AFTER `kept_priority`,
    ADD COLUMN IF NOT EXISTS `field` LowCardinality(String) COMMENT 'the offending field' CODEC(ZSTD(1)) AFTER `reason`,
    ADD COLUMN IF NOT EXISTS `detail` String COMMENT 'text' CODEC(ZSTD(1)) AFTER `field`,
    ADD COLUMN IF NOT EXISTS `topic` LowCardinality(String) COMMENT 'topic of the record that the row landed from' CODEC(ZSTD(1)) AFTER `detail`,
    ADD COLUMN IF NOT EXISTS `partition` Int32 COMMENT 'partition of that record' CODEC(T64, ZSTD(1)) AFTER `topic`,
    ADD COLUMN IF NOT EXISTS `offset` Int64 COMMENT 'offset of that record' CODEC(DoubleDelta, ZSTD(1)) AFTER `partition`,
    ADD COLUMN IF NOT EXISTS `record_row` Int32 COMMENT 'place of the row among those of its record, from 0' CODEC(T64, ZSTD(1)) AFTER `offset`,
    ADD COLUMN IF NOT EXISTS `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)) AFTER `record_row`;
ALTER TABLE `bourse`.`orders_landed`
    ADD INDEX IF NOT EXISTS `journal` `journal_offset` TYPE minmax GRANULARITY 1;
CREATE OR REPLACE VIEW `bourse`.`orders`
(
    `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition',
    `journal_offset` Int64 COMMENT 'offset in the topic\'s partition',
    `fact_index` Int64 COMMENT 'count',
    `period` Int64 COMMENT 'periods since 1970',
    `tenant` String COMMENT 'id of the tenant',
    `order_id` String COMMENT 'id of the order',
    `event` LowCardinality(String) COMMENT 'what happened',
    `side` LowCardinality(String) COMMENT 'buy or sell',
    `order_type` LowCardinality(String) COMMENT 'limit or market',
    `tif` LowCardinality(String) COMMENT 'time in force',
    `stp` LowCardinality(String) COMMENT 'self-trade prevention',
    `post_only` Bool COMMENT 'only as a resting order',
    `expire` Nullable(DateTime64(3, 'UTC')) COMMENT 'milliseconds since 1970, UTC',
    `price` Int64 COMMENT 'nanocredits per token',
    `qty` Int64 COMMENT 'tokens',
    `open` Int64 COMMENT 'tokens',
    `kept_priority` Bool COMMENT 'a replaced order kept its place',
    `reason` LowCardinality(String) COMMENT 'why it was rejected or cancelled',
    `field` LowCardinality(String) COMMENT 'the offending field',
    `detail` String COMMENT 'text',
    `topic` LowCardinality(String) COMMENT 'topic of the record that the row landed from',
    `partition` Int32 COMMENT 'partition of that record',
    `offset` Int64 COMMENT 'offset of that record',
    `record_row` Int32 COMMENT 'place of the row among those of its record, from 0',
    `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC'
)
AS SELECT `pool`, `journal_offset`, `fact_index`, `period`, `tenant`, `order_id`, `event`, `side`, `order_type`, `tif`, `stp`, `post_only`, `expire`, `price`, `qty`, `open`, `kept_priority`, `reason`, `field`, `detail`, `topic`, `partition`, `offset`, `record_row`, `landed_at` FROM `bourse`.`orders_landed` FINAL SETTINGS do_not_merge_across_partitions_select_final = 0
COMMENT 'one event of an order\'s life';
