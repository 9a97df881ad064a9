CREATE TABLE IF NOT EXISTS `bourse`.`bot_actions_landed`
(
    `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition' CODEC(ZSTD(1)),
    `journal_offset` Int64 COMMENT 'offset in the topic\'s partition' CODEC(DoubleDelta, ZSTD(1)),
    `fact_index` Int64 COMMENT 'count' CODEC(T64, ZSTD(1)),
    `time` DateTime64(3, 'UTC') COMMENT 'milliseconds since 1970, UTC; Of the tick.' CODEC(DoubleDelta, ZSTD(1)),
    `present` Nullable(Int64) COMMENT 'periods since 1970; The open period; null: settings were refused before one was open.' CODEC(DoubleDelta, ZSTD(1)),
    `next_tenant` String COMMENT 'id of the tenant; Whose bot is evaluated first at the next tick, where this one had work enough; else empty.' CODEC(ZSTD(1)),
    `next_bot` String COMMENT 'name of the bot' CODEC(ZSTD(1)),
    `tenant` String COMMENT 'id of the tenant' CODEC(ZSTD(1)),
    `bot` String COMMENT 'name of the bot, unique among its tenant\'s' CODEC(ZSTD(1)),
    `action` LowCardinality(String) COMMENT 'what it did' CODEC(ZSTD(1)),
    `period` Nullable(Int64) COMMENT 'periods since 1970; Of the order; of the first of its periods in which it is kept from acting.' CODEC(DoubleDelta, ZSTD(1)),
    `order_id` String COMMENT 'id of the order' CODEC(ZSTD(1)),
    `side` LowCardinality(String) COMMENT 'one of a few words' CODEC(ZSTD(1)),
    `price` Int64 COMMENT 'nanocredits per token' CODEC(T64, ZSTD(1)),
    `qty` Int64 COMMENT 'tokens; Placed, or taken back.' CODEC(T64, ZSTD(1)),
    `reason` LowCardinality(String) COMMENT 'one of a few words' CODEC(ZSTD(1)),
    `field` LowCardinality(String) COMMENT 'one of a few words' CODEC(ZSTD(1)),
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
PRIMARY KEY (`pool`, `tenant`, `bot`)
ORDER BY (`pool`, `tenant`, `bot`, `topic`, `partition`, `journal_offset`, `fact_index`, `record_row`)
COMMENT 'one action of a bot, or why it acts no more: every landed copy; query bot_actions instead';
ALTER TABLE `bourse`.`bot_actions_landed`
    ADD COLUMN IF NOT EXISTS `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition' CODEC(ZSTD(1)) FIRST,
    ADD COLUMN IF NOT EXISTS `journal_offset` Int64 COMMENT 'offset in the topic\'s partition' CODEC(DoubleDelta, ZSTD(1)) AFTER `pool`,
    ADD COLUMN IF NOT EXISTS `fact_index` Int64 COMMENT 'count' CODEC(T64, ZSTD(1)) AFTER `journal_offset`,
    ADD COLUMN IF NOT EXISTS `time` DateTime64(3, 'UTC') COMMENT 'milliseconds since 1970, UTC; Of the tick.' CODEC(DoubleDelta, ZSTD(1)) AFTER `fact_index`,
    ADD COLUMN IF NOT EXISTS `present` Nullable(Int64) COMMENT 'periods since 1970; The open period; null: settings were refused before one was open.' CODEC(DoubleDelta, ZSTD(1)) AFTER `time`,
    ADD COLUMN IF NOT EXISTS `next_tenant` String COMMENT 'id of the tenant; Whose bot is evaluated first at the next tick, where this one had work enough; else empty.' CODEC(ZSTD(1)) AFTER `present`,
    ADD COLUMN IF NOT EXISTS `next_bot` String COMMENT 'name of the bot' CODEC(ZSTD(1)) AFTER `next_tenant`,
    ADD COLUMN IF NOT EXISTS `tenant` String COMMENT 'id of the tenant' CODEC(ZSTD(1)) AFTER `next_bot`,
    ADD COLUMN IF NOT EXISTS `bot` String COMMENT 'name of the bot, unique among its tenant\'s' CODEC(ZSTD(1)) AFTER `tenant`,
    ADD COLUMN IF NOT EXISTS `action` LowCardinality(String) COMMENT 'what it did' CODEC(ZSTD(1)) AFTER `bot`,
    ADD COLUMN IF NOT EXISTS `period` Nullable(Int64) COMMENT 'periods since 1970; Of the order; of the first of its periods in which it is kept from acting.' CODEC(DoubleDelta, ZSTD(1)) AFTER `action`,
    ADD COLUMN IF NOT EXISTS `order_id` String COMMENT 'id of the order' CODEC(ZSTD(1)) AFTER `period`,
    ADD COLUMN IF NOT EXISTS `side` LowCardinality(String) COMMENT 'one of a few words' CODEC(ZSTD(1)) AFTER `order_id`,
    ADD COLUMN IF NOT EXISTS `price` Int64 COMMENT 'nanocredits per token' CODEC(T64, ZSTD(1)) AFTER `side`,
    ADD COLUMN IF NOT EXISTS `qty` Int64 COMMENT 'tokens; Placed, or taken back.' CODEC(T64, ZSTD(1)) AFTER `price`,
    ADD COLUMN IF NOT EXISTS `reason` LowCardinality(String) COMMENT 'one of a few words' CODEC(ZSTD(1)) AFTER `qty`,
    ADD COLUMN IF NOT EXISTS `field` LowCardinality(String) COMMENT 'one of a few words' CODEC(ZSTD(1)) AFTER `reason`,
    ADD COLUMN IF NOT EXISTS `detail` String COMMENT 'text' CODEC(ZSTD(1)) AFTER `field`,
    ADD COLUMN IF NOT EXISTS `topic` LowCardinality(String) COMMENT 'topic of the record that the row landed from' CODEC(ZSTD(1)) AFTER `detail`,
    ADD COLUMN IF NOT EXISTS `partition` Int32 COMMENT 'partition of that record' CODEC(T64, ZSTD(1)) AFTER `topic`,
    ADD COLUMN IF NOT EXISTS `offset` Int64 COMMENT 'offset of that record' CODEC(DoubleDelta, ZSTD(1)) AFTER `partition`,
    ADD COLUMN IF NOT EXISTS `record_row` Int32 COMMENT 'place of the row among those of its record, from 0' CODEC(T64, ZSTD(1)) AFTER `offset`,
    ADD COLUMN IF NOT EXISTS `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)) AFTER `record_row`,
    ADD INDEX IF NOT EXISTS `journal` `journal_offset` TYPE minmax GRANULARITY 1;
CREATE OR REPLACE VIEW `bourse`.`bot_actions`
(
    `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition',
    `journal_offset` Int64 COMMENT 'offset in the topic\'s partition',
    `fact_index` Int64 COMMENT 'count',
    `time` DateTime64(3, 'UTC') COMMENT 'milliseconds since 1970, UTC; Of the tick.',
    `present` Nullable(Int64) COMMENT 'periods since 1970; The open period; null: settings were refused before one was open.',
    `next_tenant` String COMMENT 'id of the tenant; Whose bot is evaluated first at the next tick, where this one had work enough; else empty.',
    `next_bot` String COMMENT 'name of the bot',
    `tenant` String COMMENT 'id of the tenant',
    `bot` String COMMENT 'name of the bot, unique among its tenant\'s',
    `action` LowCardinality(String) COMMENT 'what it did',
    `period` Nullable(Int64) COMMENT 'periods since 1970; Of the order; of the first of its periods in which it is kept from acting.',
    `order_id` String COMMENT 'id of the order',
    `side` LowCardinality(String) COMMENT 'one of a few words',
    `price` Int64 COMMENT 'nanocredits per token',
    `qty` Int64 COMMENT 'tokens; Placed, or taken back.',
    `reason` LowCardinality(String) COMMENT 'one of a few words',
    `field` LowCardinality(String) COMMENT 'one of a few words',
    `detail` String COMMENT 'text',
    `topic` LowCardinality(String) COMMENT 'topic of the record that the row landed from',
    `partition` Int32 COMMENT 'partition of that record',
    `offset` Int64 COMMENT 'offset of that record',
    `record_row` Int32 COMMENT 'place of the row among those of its record, from 0',
    `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC'
)
AS SELECT `pool`, `journal_offset`, `fact_index`, `time`, `present`, `next_tenant`, `next_bot`, `tenant`, `bot`, `action`, `period`, `order_id`, `side`, `price`, `qty`, `reason`, `field`, `detail`, `topic`, `partition`, `offset`, `record_row`, `landed_at` FROM `bourse`.`bot_actions_landed` FINAL SETTINGS do_not_merge_across_partitions_select_final = 0
COMMENT 'one action of a bot, or why it acts no more';
