CREATE TABLE IF NOT EXISTS `bourse`.`leases_landed`
(
    `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition' CODEC(ZSTD(1)),
    `journal_offset` Int64 COMMENT 'offset in the topic\'s partition' CODEC(DoubleDelta, ZSTD(1)),
    `fact_index` Int64 COMMENT 'count' CODEC(T64, ZSTD(1)),
    `at` DateTime64(3, 'UTC') COMMENT 'milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)),
    `tick` Int64 COMMENT 'ticks since 1970; The lease\'s number.' CODEC(DoubleDelta, ZSTD(1)),
    `period` Int64 COMMENT 'periods since 1970' CODEC(DoubleDelta, ZSTD(1)),
    `gateway` LowCardinality(String) COMMENT 'name of the gateway' CODEC(ZSTD(1)),
    `tenant` String COMMENT 'id of the tenant' CODEC(ZSTD(1)),
    `tier` LowCardinality(String) COMMENT 'tier' CODEC(ZSTD(1)),
    `throughput_nominal` Int64 COMMENT 'tokens per second' CODEC(T64, ZSTD(1)),
    `throughput_borrowing` Nullable(Int64) COMMENT 'tokens per second' CODEC(T64, ZSTD(1)),
    `throughput_kept` Int64 COMMENT 'tokens per second' CODEC(T64, ZSTD(1)),
    `kv_nominal` Int64 COMMENT 'KV-cache blocks' CODEC(T64, ZSTD(1)),
    `kv_borrowing` Nullable(Int64) COMMENT 'KV-cache blocks' CODEC(T64, ZSTD(1)),
    `kv_kept` Int64 COMMENT 'KV-cache blocks' CODEC(T64, ZSTD(1)),
    `concurrency_nominal` Int64 COMMENT 'requests in flight' CODEC(T64, ZSTD(1)),
    `concurrency_borrowing` Nullable(Int64) COMMENT 'requests in flight' CODEC(T64, ZSTD(1)),
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
PRIMARY KEY (`pool`, `period`, `tenant`, `gateway`, `tick`)
ORDER BY (`pool`, `period`, `tenant`, `gateway`, `tick`, `topic`, `partition`, `journal_offset`, `fact_index`, `record_row`)
COMMENT 'a gateway\'s part of a tenant\'s limits from one tick on: every landed copy; query leases instead';
ALTER TABLE `bourse`.`leases_landed`
    ADD COLUMN IF NOT EXISTS `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition' CODEC(ZSTD(1)) FIRST,
    ADD COLUMN IF NOT EXISTS `journal_offset` Int64 COMMENT 'offset in the topic\'s partition' CODEC(DoubleDelta, ZSTD(1)) AFTER `pool`,
    ADD COLUMN IF NOT EXISTS `fact_index` Int64 COMMENT 'count' CODEC(T64, ZSTD(1)) AFTER `journal_offset`,
    ADD COLUMN IF NOT EXISTS `at` DateTime64(3, 'UTC') COMMENT 'milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)) AFTER `fact_index`,
    ADD COLUMN IF NOT EXISTS `tick` Int64 COMMENT 'ticks since 1970; The lease\'s number.' CODEC(DoubleDelta, ZSTD(1)) AFTER `at`,
    ADD COLUMN IF NOT EXISTS `period` Int64 COMMENT 'periods since 1970' CODEC(DoubleDelta, ZSTD(1)) AFTER `tick`,
    ADD COLUMN IF NOT EXISTS `gateway` LowCardinality(String) COMMENT 'name of the gateway' CODEC(ZSTD(1)) AFTER `period`,
    ADD COLUMN IF NOT EXISTS `tenant` String COMMENT 'id of the tenant' CODEC(ZSTD(1)) AFTER `gateway`,
    ADD COLUMN IF NOT EXISTS `tier` LowCardinality(String) COMMENT 'tier' CODEC(ZSTD(1)) AFTER `tenant`,
    ADD COLUMN IF NOT EXISTS `throughput_nominal` Int64 COMMENT 'tokens per second' CODEC(T64, ZSTD(1)) AFTER `tier`,
    ADD COLUMN IF NOT EXISTS `throughput_borrowing` Nullable(Int64) COMMENT 'tokens per second' CODEC(T64, ZSTD(1)) AFTER `throughput_nominal`,
    ADD COLUMN IF NOT EXISTS `throughput_kept` Int64 COMMENT 'tokens per second' CODEC(T64, ZSTD(1)) AFTER `throughput_borrowing`,
    ADD COLUMN IF NOT EXISTS `kv_nominal` Int64 COMMENT 'KV-cache blocks' CODEC(T64, ZSTD(1)) AFTER `throughput_kept`,
    ADD COLUMN IF NOT EXISTS `kv_borrowing` Nullable(Int64) COMMENT 'KV-cache blocks' CODEC(T64, ZSTD(1)) AFTER `kv_nominal`,
    ADD COLUMN IF NOT EXISTS `kv_kept` Int64 COMMENT 'KV-cache blocks' CODEC(T64, ZSTD(1)) AFTER `kv_borrowing`,
    ADD COLUMN IF NOT EXISTS `concurrency_nominal` Int64 COMMENT 'requests in flight' CODEC(T64, ZSTD(1)) AFTER `kv_kept`,
    ADD COLUMN IF NOT EXISTS `concurrency_borrowing` Nullable(Int64) COMMENT 'requests in flight' CODEC(T64, ZSTD(1)) AFTER `concurrency_nominal`,
    ADD COLUMN IF NOT EXISTS `concurrency_kept` Int64 COMMENT 'requests in flight' CODEC(T64, ZSTD(1)) AFTER `concurrency_borrowing`,
    ADD COLUMN IF NOT EXISTS `topic` LowCardinality(String) COMMENT 'topic of the record that the row landed from' CODEC(ZSTD(1)) AFTER `concurrency_kept`,
    ADD COLUMN IF NOT EXISTS `partition` Int32 COMMENT 'partition of that record' CODEC(T64, ZSTD(1)) AFTER `topic`,
    ADD COLUMN IF NOT EXISTS `offset` Int64 COMMENT 'offset of that record' CODEC(DoubleDelta, ZSTD(1)) AFTER `partition`,
    ADD COLUMN IF NOT EXISTS `record_row` Int32 COMMENT 'place of the row among those of its record, from 0' CODEC(T64, ZSTD(1)) AFTER `offset`,
    ADD COLUMN IF NOT EXISTS `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)) AFTER `record_row`,
    ADD INDEX IF NOT EXISTS `journal` `journal_offset` TYPE minmax GRANULARITY 1;
CREATE OR REPLACE VIEW `bourse`.`leases`
(
    `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition',
    `journal_offset` Int64 COMMENT 'offset in the topic\'s partition',
    `fact_index` Int64 COMMENT 'count',
    `at` DateTime64(3, 'UTC') COMMENT 'milliseconds since 1970, UTC',
    `tick` Int64 COMMENT 'ticks since 1970; The lease\'s number.',
    `period` Int64 COMMENT 'periods since 1970',
    `gateway` LowCardinality(String) COMMENT 'name of the gateway',
    `tenant` String COMMENT 'id of the tenant',
    `tier` LowCardinality(String) COMMENT 'tier',
    `throughput_nominal` Int64 COMMENT 'tokens per second',
    `throughput_borrowing` Nullable(Int64) COMMENT 'tokens per second',
    `throughput_kept` Int64 COMMENT 'tokens per second',
    `kv_nominal` Int64 COMMENT 'KV-cache blocks',
    `kv_borrowing` Nullable(Int64) COMMENT 'KV-cache blocks',
    `kv_kept` Int64 COMMENT 'KV-cache blocks',
    `concurrency_nominal` Int64 COMMENT 'requests in flight',
    `concurrency_borrowing` Nullable(Int64) COMMENT 'requests in flight',
    `concurrency_kept` Int64 COMMENT 'requests in flight',
    `topic` LowCardinality(String) COMMENT 'topic of the record that the row landed from',
    `partition` Int32 COMMENT 'partition of that record',
    `offset` Int64 COMMENT 'offset of that record',
    `record_row` Int32 COMMENT 'place of the row among those of its record, from 0',
    `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC'
)
AS SELECT `pool`, `journal_offset`, `fact_index`, `at`, `tick`, `period`, `gateway`, `tenant`, `tier`, `throughput_nominal`, `throughput_borrowing`, `throughput_kept`, `kv_nominal`, `kv_borrowing`, `kv_kept`, `concurrency_nominal`, `concurrency_borrowing`, `concurrency_kept`, `topic`, `partition`, `offset`, `record_row`, `landed_at` FROM `bourse`.`leases_landed` FINAL SETTINGS do_not_merge_across_partitions_select_final = 0
COMMENT 'a gateway\'s part of a tenant\'s limits from one tick on';
