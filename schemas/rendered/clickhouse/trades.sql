CREATE TABLE IF NOT EXISTS `bourse`.`trades_landed`
(
    `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition' CODEC(ZSTD(1)),
    `journal_offset` Int64 COMMENT 'offset in the topic\'s partition' CODEC(DoubleDelta, ZSTD(1)),
    `fact_index` Int64 COMMENT 'count' CODEC(T64, ZSTD(1)),
    `period` Int64 COMMENT 'periods since 1970' CODEC(DoubleDelta, ZSTD(1)),
    `time` DateTime64(3, 'UTC') COMMENT 'milliseconds since 1970, UTC; Of the tick before the record that led to it.' CODEC(DoubleDelta, ZSTD(1)),
    `number` Int64 COMMENT 'count' CODEC(T64, ZSTD(1)),
    `buyer` String COMMENT 'id of the tenant' CODEC(ZSTD(1)),
    `seller` String COMMENT 'id of the tenant' CODEC(ZSTD(1)),
    `buy_order` String COMMENT 'id of the buyer\'s order' CODEC(ZSTD(1)),
    `sell_order` String COMMENT 'id of the seller\'s order' CODEC(ZSTD(1)),
    `taker` LowCardinality(String) COMMENT 'buy, sell, or auction' CODEC(ZSTD(1)),
    `price` Int64 COMMENT 'nanocredits per token' CODEC(T64, ZSTD(1)),
    `qty` Int64 COMMENT 'tokens' CODEC(T64, ZSTD(1)),
    `buyer_fee` Int64 COMMENT 'nanocredits' CODEC(T64, ZSTD(1)),
    `seller_fee` Int64 COMMENT 'nanocredits' CODEC(T64, ZSTD(1)),
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
COMMENT 'one trade: every landed copy; query trades instead';
ALTER TABLE `bourse`.`trades_landed`
    ADD COLUMN IF NOT EXISTS `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition' CODEC(ZSTD(1)) FIRST,
    ADD COLUMN IF NOT EXISTS `journal_offset` Int64 COMMENT 'offset in the topic\'s partition' CODEC(DoubleDelta, ZSTD(1)) AFTER `pool`,
    ADD COLUMN IF NOT EXISTS `fact_index` Int64 COMMENT 'count' CODEC(T64, ZSTD(1)) AFTER `journal_offset`,
    ADD COLUMN IF NOT EXISTS `period` Int64 COMMENT 'periods since 1970' CODEC(DoubleDelta, ZSTD(1)) AFTER `fact_index`,
    ADD COLUMN IF NOT EXISTS `time` DateTime64(3, 'UTC') COMMENT 'milliseconds since 1970, UTC; Of the tick before the record that led to it.' CODEC(DoubleDelta, ZSTD(1)) AFTER `period`,
    ADD COLUMN IF NOT EXISTS `number` Int64 COMMENT 'count' CODEC(T64, ZSTD(1)) AFTER `time`,
    ADD COLUMN IF NOT EXISTS `buyer` String COMMENT 'id of the tenant' CODEC(ZSTD(1)) AFTER `number`,
    ADD COLUMN IF NOT EXISTS `seller` String COMMENT 'id of the tenant' CODEC(ZSTD(1)) AFTER `buyer`,
    ADD COLUMN IF NOT EXISTS `buy_order` String COMMENT 'id of the buyer\'s order' CODEC(ZSTD(1)) AFTER `seller`,
    ADD COLUMN IF NOT EXISTS `sell_order` String COMMENT 'id of the seller\'s order' CODEC(ZSTD(1)) AFTER `buy_order`,
    ADD COLUMN IF NOT EXISTS `taker` LowCardinality(String) COMMENT 'buy, sell, or auction' CODEC(ZSTD(1)) AFTER `sell_order`,
    ADD COLUMN IF NOT EXISTS `price` Int64 COMMENT 'nanocredits per token' CODEC(T64, ZSTD(1)) AFTER `taker`,
    ADD COLUMN IF NOT EXISTS `qty` Int64 COMMENT 'tokens' CODEC(T64, ZSTD(1)) AFTER `price`,
    ADD COLUMN IF NOT EXISTS `buyer_fee` Int64 COMMENT 'nanocredits' CODEC(T64, ZSTD(1)) AFTER `qty`,
    ADD COLUMN IF NOT EXISTS `seller_fee` Int64 COMMENT 'nanocredits' CODEC(T64, ZSTD(1)) AFTER `buyer_fee`,
    ADD COLUMN IF NOT EXISTS `topic` LowCardinality(String) COMMENT 'topic of the record that the row landed from' CODEC(ZSTD(1)) AFTER `seller_fee`,
    ADD COLUMN IF NOT EXISTS `partition` Int32 COMMENT 'partition of that record' CODEC(T64, ZSTD(1)) AFTER `topic`,
    ADD COLUMN IF NOT EXISTS `offset` Int64 COMMENT 'offset of that record' CODEC(DoubleDelta, ZSTD(1)) AFTER `partition`,
    ADD COLUMN IF NOT EXISTS `record_row` Int32 COMMENT 'place of the row among those of its record, from 0' CODEC(T64, ZSTD(1)) AFTER `offset`,
    ADD COLUMN IF NOT EXISTS `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)) AFTER `record_row`,
    ADD INDEX IF NOT EXISTS `journal` `journal_offset` TYPE minmax GRANULARITY 1;
CREATE OR REPLACE VIEW `bourse`.`trades`
(
    `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition',
    `journal_offset` Int64 COMMENT 'offset in the topic\'s partition',
    `fact_index` Int64 COMMENT 'count',
    `period` Int64 COMMENT 'periods since 1970',
    `time` DateTime64(3, 'UTC') COMMENT 'milliseconds since 1970, UTC; Of the tick before the record that led to it.',
    `number` Int64 COMMENT 'count',
    `buyer` String COMMENT 'id of the tenant',
    `seller` String COMMENT 'id of the tenant',
    `buy_order` String COMMENT 'id of the buyer\'s order',
    `sell_order` String COMMENT 'id of the seller\'s order',
    `taker` LowCardinality(String) COMMENT 'buy, sell, or auction',
    `price` Int64 COMMENT 'nanocredits per token',
    `qty` Int64 COMMENT 'tokens',
    `buyer_fee` Int64 COMMENT 'nanocredits',
    `seller_fee` Int64 COMMENT 'nanocredits',
    `topic` LowCardinality(String) COMMENT 'topic of the record that the row landed from',
    `partition` Int32 COMMENT 'partition of that record',
    `offset` Int64 COMMENT 'offset of that record',
    `record_row` Int32 COMMENT 'place of the row among those of its record, from 0',
    `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC'
)
AS SELECT `pool`, `journal_offset`, `fact_index`, `period`, `time`, `number`, `buyer`, `seller`, `buy_order`, `sell_order`, `taker`, `price`, `qty`, `buyer_fee`, `seller_fee`, `topic`, `partition`, `offset`, `record_row`, `landed_at` FROM `bourse`.`trades_landed` FINAL SETTINGS do_not_merge_across_partitions_select_final = 0
COMMENT 'one trade';
