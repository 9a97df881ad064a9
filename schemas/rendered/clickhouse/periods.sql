CREATE TABLE IF NOT EXISTS `bourse`.`periods_landed`
(
    `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition' CODEC(ZSTD(1)),
    `journal_offset` Int64 COMMENT 'offset in the topic\'s partition' CODEC(DoubleDelta, ZSTD(1)),
    `fact_index` Int64 COMMENT 'count' CODEC(T64, ZSTD(1)),
    `period` Int64 COMMENT 'periods since 1970' CODEC(DoubleDelta, ZSTD(1)),
    `period_start` DateTime64(3, 'UTC') COMMENT 'milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)),
    `period_s` Int64 COMMENT 'seconds' CODEC(ZSTD(1)),
    `policy` LowCardinality(String) COMMENT 'policy that divides the surplus' CODEC(ZSTD(1)),
    `capacity` Int64 COMMENT 'tokens' CODEC(T64, ZSTD(1)),
    `price` Int64 COMMENT 'nanocredits per token' CODEC(T64, ZSTD(1)),
    `allocated` Int64 COMMENT 'tokens' CODEC(T64, ZSTD(1)),
    `unallocated` Int64 COMMENT 'tokens' CODEC(T64, ZSTD(1)),
    `used` Int64 COMMENT 'tokens' CODEC(T64, ZSTD(1)),
    `tenants` Int64 COMMENT 'count' CODEC(T64, ZSTD(1)),
    `closed_tick` Int64 COMMENT 'ticks since 1970' CODEC(DoubleDelta, ZSTD(1)),
    `late_meters` Array(String) COMMENT 'Meters that had not reported when the grace ran out, as "topic/partition"; empty when the barrier was met.' CODEC(ZSTD(1)),
    `state_hash` String COMMENT 'BLAKE2b-256 of the pool\'s state, hex' CODEC(ZSTD(1)),
    `topic` LowCardinality(String) COMMENT 'topic of the record that the row landed from' CODEC(ZSTD(1)),
    `partition` Int32 COMMENT 'partition of that record' CODEC(T64, ZSTD(1)),
    `offset` Int64 COMMENT 'offset of that record' CODEC(DoubleDelta, ZSTD(1)),
    `record_row` Int32 COMMENT 'place of the row among those of its record, from 0' CODEC(T64, ZSTD(1)),
    `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)),
    `landed_first` UInt64 MATERIALIZED 9223372036854775807 - `offset` COMMENT 'falls as the offset grows: the first copy of a row replaces later ones' CODEC(DoubleDelta, ZSTD(1)),
    INDEX `journal` `journal_offset` TYPE minmax GRANULARITY 1,
    INDEX `start` `period_start` TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree(`landed_first`)
PARTITION BY toYYYYMM(landed_at)
PRIMARY KEY (`pool`, `period`)
ORDER BY (`pool`, `period`, `topic`, `partition`, `journal_offset`, `fact_index`, `record_row`)
COMMENT 'one closed period of a pool: every landed copy; query periods instead';
ALTER TABLE `bourse`.`periods_landed`
    ADD COLUMN IF NOT EXISTS `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition' CODEC(ZSTD(1)) FIRST,
    ADD COLUMN IF NOT EXISTS `journal_offset` Int64 COMMENT 'offset in the topic\'s partition' CODEC(DoubleDelta, ZSTD(1)) AFTER `pool`,
    ADD COLUMN IF NOT EXISTS `fact_index` Int64 COMMENT 'count' CODEC(T64, ZSTD(1)) AFTER `journal_offset`,
    ADD COLUMN IF NOT EXISTS `period` Int64 COMMENT 'periods since 1970' CODEC(DoubleDelta, ZSTD(1)) AFTER `fact_index`,
    ADD COLUMN IF NOT EXISTS `period_start` DateTime64(3, 'UTC') COMMENT 'milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)) AFTER `period`,
    ADD COLUMN IF NOT EXISTS `period_s` Int64 COMMENT 'seconds' CODEC(ZSTD(1)) AFTER `period_start`,
    ADD COLUMN IF NOT EXISTS `policy` LowCardinality(String) COMMENT 'policy that divides the surplus' CODEC(ZSTD(1)) AFTER `period_s`,
    ADD COLUMN IF NOT EXISTS `capacity` Int64 COMMENT 'tokens' CODEC(T64, ZSTD(1)) AFTER `policy`,
    ADD COLUMN IF NOT EXISTS `price` Int64 COMMENT 'nanocredits per token' CODEC(T64, ZSTD(1)) AFTER `capacity`,
    ADD COLUMN IF NOT EXISTS `allocated` Int64 COMMENT 'tokens' CODEC(T64, ZSTD(1)) AFTER `price`,
    ADD COLUMN IF NOT EXISTS `unallocated` Int64 COMMENT 'tokens' CODEC(T64, ZSTD(1)) AFTER `allocated`,
    ADD COLUMN IF NOT EXISTS `used` Int64 COMMENT 'tokens' CODEC(T64, ZSTD(1)) AFTER `unallocated`,
    ADD COLUMN IF NOT EXISTS `tenants` Int64 COMMENT 'count' CODEC(T64, ZSTD(1)) AFTER `used`,
    ADD COLUMN IF NOT EXISTS `closed_tick` Int64 COMMENT 'ticks since 1970' CODEC(DoubleDelta, ZSTD(1)) AFTER `tenants`,
    ADD COLUMN IF NOT EXISTS `late_meters` Array(String) COMMENT 'Meters that had not reported when the grace ran out, as "topic/partition"; empty when the barrier was met.' CODEC(ZSTD(1)) AFTER `closed_tick`,
    ADD COLUMN IF NOT EXISTS `state_hash` String COMMENT 'BLAKE2b-256 of the pool\'s state, hex' CODEC(ZSTD(1)) AFTER `late_meters`,
    ADD COLUMN IF NOT EXISTS `topic` LowCardinality(String) COMMENT 'topic of the record that the row landed from' CODEC(ZSTD(1)) AFTER `state_hash`,
    ADD COLUMN IF NOT EXISTS `partition` Int32 COMMENT 'partition of that record' CODEC(T64, ZSTD(1)) AFTER `topic`,
    ADD COLUMN IF NOT EXISTS `offset` Int64 COMMENT 'offset of that record' CODEC(DoubleDelta, ZSTD(1)) AFTER `partition`,
    ADD COLUMN IF NOT EXISTS `record_row` Int32 COMMENT 'place of the row among those of its record, from 0' CODEC(T64, ZSTD(1)) AFTER `offset`,
    ADD COLUMN IF NOT EXISTS `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)) AFTER `record_row`,
    ADD INDEX IF NOT EXISTS `journal` `journal_offset` TYPE minmax GRANULARITY 1,
    ADD INDEX IF NOT EXISTS `start` `period_start` TYPE minmax GRANULARITY 1;
CREATE OR REPLACE VIEW `bourse`.`periods`
(
    `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition',
    `journal_offset` Int64 COMMENT 'offset in the topic\'s partition',
    `fact_index` Int64 COMMENT 'count',
    `period` Int64 COMMENT 'periods since 1970',
    `period_start` DateTime64(3, 'UTC') COMMENT 'milliseconds since 1970, UTC',
    `period_s` Int64 COMMENT 'seconds',
    `policy` LowCardinality(String) COMMENT 'policy that divides the surplus',
    `capacity` Int64 COMMENT 'tokens',
    `price` Int64 COMMENT 'nanocredits per token',
    `allocated` Int64 COMMENT 'tokens',
    `unallocated` Int64 COMMENT 'tokens',
    `used` Int64 COMMENT 'tokens',
    `tenants` Int64 COMMENT 'count',
    `closed_tick` Int64 COMMENT 'ticks since 1970',
    `late_meters` Array(String) COMMENT 'Meters that had not reported when the grace ran out, as "topic/partition"; empty when the barrier was met.',
    `state_hash` String COMMENT 'BLAKE2b-256 of the pool\'s state, hex',
    `topic` LowCardinality(String) COMMENT 'topic of the record that the row landed from',
    `partition` Int32 COMMENT 'partition of that record',
    `offset` Int64 COMMENT 'offset of that record',
    `record_row` Int32 COMMENT 'place of the row among those of its record, from 0',
    `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC'
)
AS SELECT `pool`, `journal_offset`, `fact_index`, `period`, `period_start`, `period_s`, `policy`, `capacity`, `price`, `allocated`, `unallocated`, `used`, `tenants`, `closed_tick`, `late_meters`, `state_hash`, `topic`, `partition`, `offset`, `record_row`, `landed_at` FROM `bourse`.`periods_landed` FINAL SETTINGS do_not_merge_across_partitions_select_final = 0
COMMENT 'one closed period of a pool';
