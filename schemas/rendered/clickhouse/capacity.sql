CREATE TABLE IF NOT EXISTS `bourse`.`capacity_landed`
(
    `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition' CODEC(ZSTD(1)),
    `journal_offset` Int64 COMMENT 'offset in the topic\'s partition' CODEC(DoubleDelta, ZSTD(1)),
    `fact_index` Int64 COMMENT 'count' CODEC(T64, ZSTD(1)),
    `at` DateTime64(3, 'UTC') COMMENT 'milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)),
    `tick` Int64 COMMENT 'ticks since 1970' CODEC(DoubleDelta, ZSTD(1)),
    `period` Int64 COMMENT 'periods since 1970' CODEC(DoubleDelta, ZSTD(1)),
    `metered_tick` Int64 COMMENT 'ticks since 1970; The tick up to which usage is counted in this one.' CODEC(DoubleDelta, ZSTD(1)),
    `elapsed_ms` Int64 COMMENT 'milliseconds; How long what is counted took; 0: nothing was reported since the last tick.' CODEC(T64, ZSTD(1)),
    `served` Int64 COMMENT 'tokens' CODEC(T64, ZSTD(1)),
    `wanted` Int64 COMMENT 'tokens; Tokens served and refused.' CODEC(T64, ZSTD(1)),
    `throughput` Int64 COMMENT 'tokens per second' CODEC(T64, ZSTD(1)),
    `throughput_promised` Int64 COMMENT 'tokens per second' CODEC(T64, ZSTD(1)),
    `throughput_lent` Int64 COMMENT 'tokens per second' CODEC(T64, ZSTD(1)),
    `throughput_kept` Int64 COMMENT 'tokens per second' CODEC(T64, ZSTD(1)),
    `kv` Int64 COMMENT 'KV-cache blocks' CODEC(T64, ZSTD(1)),
    `kv_promised` Int64 COMMENT 'KV-cache blocks' CODEC(T64, ZSTD(1)),
    `kv_lent` Int64 COMMENT 'KV-cache blocks' CODEC(T64, ZSTD(1)),
    `kv_kept` Int64 COMMENT 'KV-cache blocks' CODEC(T64, ZSTD(1)),
    `concurrency` Int64 COMMENT 'requests in flight' CODEC(T64, ZSTD(1)),
    `concurrency_promised` Int64 COMMENT 'requests in flight' CODEC(T64, ZSTD(1)),
    `concurrency_lent` Int64 COMMENT 'requests in flight' CODEC(T64, ZSTD(1)),
    `concurrency_kept` Int64 COMMENT 'requests in flight' CODEC(T64, ZSTD(1)),
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
PRIMARY KEY (`pool`, `period`, `tick`)
ORDER BY (`pool`, `period`, `tick`, `topic`, `partition`, `journal_offset`, `fact_index`, `record_row`)
COMMENT 'how a pool\'s capacity was shared at one tick: every landed copy; query capacity instead';
ALTER TABLE `bourse`.`capacity_landed`
    ADD COLUMN IF NOT EXISTS `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition' CODEC(ZSTD(1)) FIRST,
    ADD COLUMN IF NOT EXISTS `journal_offset` Int64 COMMENT 'offset in the topic\'s partition' CODEC(DoubleDelta, ZSTD(1)) AFTER `pool`,
    ADD COLUMN IF NOT EXISTS `fact_index` Int64 COMMENT 'count' CODEC(T64, ZSTD(1)) AFTER `journal_offset`,
    ADD COLUMN IF NOT EXISTS `at` DateTime64(3, 'UTC') COMMENT 'milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)) AFTER `fact_index`,
    ADD COLUMN IF NOT EXISTS `tick` Int64 COMMENT 'ticks since 1970' CODEC(DoubleDelta, ZSTD(1)) AFTER `at`,
    ADD COLUMN IF NOT EXISTS `period` Int64 COMMENT 'periods since 1970' CODEC(DoubleDelta, ZSTD(1)) AFTER `tick`,
    ADD COLUMN IF NOT EXISTS `metered_tick` Int64 COMMENT 'ticks since 1970; The tick up to which usage is counted in this one.' CODEC(DoubleDelta, ZSTD(1)) AFTER `period`,
    ADD COLUMN IF NOT EXISTS `elapsed_ms` Int64 COMMENT 'milliseconds; How long what is counted took; 0: nothing was reported since the last tick.' CODEC(T64, ZSTD(1)) AFTER `metered_tick`,
    ADD COLUMN IF NOT EXISTS `served` Int64 COMMENT 'tokens' CODEC(T64, ZSTD(1)) AFTER `elapsed_ms`,
    ADD COLUMN IF NOT EXISTS `wanted` Int64 COMMENT 'tokens; Tokens served and refused.' CODEC(T64, ZSTD(1)) AFTER `served`,
    ADD COLUMN IF NOT EXISTS `throughput` Int64 COMMENT 'tokens per second' CODEC(T64, ZSTD(1)) AFTER `wanted`,
    ADD COLUMN IF NOT EXISTS `throughput_promised` Int64 COMMENT 'tokens per second' CODEC(T64, ZSTD(1)) AFTER `throughput`,
    ADD COLUMN IF NOT EXISTS `throughput_lent` Int64 COMMENT 'tokens per second' CODEC(T64, ZSTD(1)) AFTER `throughput_promised`,
    ADD COLUMN IF NOT EXISTS `throughput_kept` Int64 COMMENT 'tokens per second' CODEC(T64, ZSTD(1)) AFTER `throughput_lent`,
    ADD COLUMN IF NOT EXISTS `kv` Int64 COMMENT 'KV-cache blocks' CODEC(T64, ZSTD(1)) AFTER `throughput_kept`,
    ADD COLUMN IF NOT EXISTS `kv_promised` Int64 COMMENT 'KV-cache blocks' CODEC(T64, ZSTD(1)) AFTER `kv`,
    ADD COLUMN IF NOT EXISTS `kv_lent` Int64 COMMENT 'KV-cache blocks' CODEC(T64, ZSTD(1)) AFTER `kv_promised`,
    ADD COLUMN IF NOT EXISTS `kv_kept` Int64 COMMENT 'KV-cache blocks' CODEC(T64, ZSTD(1)) AFTER `kv_lent`,
    ADD COLUMN IF NOT EXISTS `concurrency` Int64 COMMENT 'requests in flight' CODEC(T64, ZSTD(1)) AFTER `kv_kept`,
    ADD COLUMN IF NOT EXISTS `concurrency_promised` Int64 COMMENT 'requests in flight' CODEC(T64, ZSTD(1)) AFTER `concurrency`,
    ADD COLUMN IF NOT EXISTS `concurrency_lent` Int64 COMMENT 'requests in flight' CODEC(T64, ZSTD(1)) AFTER `concurrency_promised`,
    ADD COLUMN IF NOT EXISTS `concurrency_kept` Int64 COMMENT 'requests in flight' CODEC(T64, ZSTD(1)) AFTER `concurrency_lent`,
    ADD COLUMN IF NOT EXISTS `topic` LowCardinality(String) COMMENT 'topic of the record that the row landed from' CODEC(ZSTD(1)) AFTER `concurrency_kept`,
    ADD COLUMN IF NOT EXISTS `partition` Int32 COMMENT 'partition of that record' CODEC(T64, ZSTD(1)) AFTER `topic`,
    ADD COLUMN IF NOT EXISTS `offset` Int64 COMMENT 'offset of that record' CODEC(DoubleDelta, ZSTD(1)) AFTER `partition`,
    ADD COLUMN IF NOT EXISTS `record_row` Int32 COMMENT 'place of the row among those of its record, from 0' CODEC(T64, ZSTD(1)) AFTER `offset`,
    ADD COLUMN IF NOT EXISTS `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)) AFTER `record_row`;
ALTER TABLE `bourse`.`capacity_landed`
    ADD INDEX IF NOT EXISTS `journal` `journal_offset` TYPE minmax GRANULARITY 1;
CREATE OR REPLACE VIEW `bourse`.`capacity`
(
    `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition',
    `journal_offset` Int64 COMMENT 'offset in the topic\'s partition',
    `fact_index` Int64 COMMENT 'count',
    `at` DateTime64(3, 'UTC') COMMENT 'milliseconds since 1970, UTC',
    `tick` Int64 COMMENT 'ticks since 1970',
    `period` Int64 COMMENT 'periods since 1970',
    `metered_tick` Int64 COMMENT 'ticks since 1970; The tick up to which usage is counted in this one.',
    `elapsed_ms` Int64 COMMENT 'milliseconds; How long what is counted took; 0: nothing was reported since the last tick.',
    `served` Int64 COMMENT 'tokens',
    `wanted` Int64 COMMENT 'tokens; Tokens served and refused.',
    `throughput` Int64 COMMENT 'tokens per second',
    `throughput_promised` Int64 COMMENT 'tokens per second',
    `throughput_lent` Int64 COMMENT 'tokens per second',
    `throughput_kept` Int64 COMMENT 'tokens per second',
    `kv` Int64 COMMENT 'KV-cache blocks',
    `kv_promised` Int64 COMMENT 'KV-cache blocks',
    `kv_lent` Int64 COMMENT 'KV-cache blocks',
    `kv_kept` Int64 COMMENT 'KV-cache blocks',
    `concurrency` Int64 COMMENT 'requests in flight',
    `concurrency_promised` Int64 COMMENT 'requests in flight',
    `concurrency_lent` Int64 COMMENT 'requests in flight',
    `concurrency_kept` Int64 COMMENT 'requests in flight',
    `topic` LowCardinality(String) COMMENT 'topic of the record that the row landed from',
    `partition` Int32 COMMENT 'partition of that record',
    `offset` Int64 COMMENT 'offset of that record',
    `record_row` Int32 COMMENT 'place of the row among those of its record, from 0',
    `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC'
)
AS SELECT `pool`, `journal_offset`, `fact_index`, `at`, `tick`, `period`, `metered_tick`, `elapsed_ms`, `served`, `wanted`, `throughput`, `throughput_promised`, `throughput_lent`, `throughput_kept`, `kv`, `kv_promised`, `kv_lent`, `kv_kept`, `concurrency`, `concurrency_promised`, `concurrency_lent`, `concurrency_kept`, `topic`, `partition`, `offset`, `record_row`, `landed_at` FROM `bourse`.`capacity_landed` FINAL SETTINGS do_not_merge_across_partitions_select_final = 0
COMMENT 'how a pool\'s capacity was shared at one tick';
