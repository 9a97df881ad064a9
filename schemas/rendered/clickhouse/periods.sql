CREATE TABLE IF NOT EXISTS `bourse`.`periods`
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
    `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(landed_at)
ORDER BY (`pool`, `period`)
COMMENT 'one closed period of a pool';
ALTER TABLE `bourse`.`periods`
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
    ADD COLUMN IF NOT EXISTS `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)) AFTER `offset`;
