CREATE TABLE IF NOT EXISTS `bourse`.`profiles`
(
    `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition' CODEC(ZSTD(1)),
    `journal_offset` Int64 COMMENT 'offset in the topic\'s partition' CODEC(DoubleDelta, ZSTD(1)),
    `fact_index` Int64 COMMENT 'count' CODEC(T64, ZSTD(1)),
    `id` String COMMENT 'id, unique within its source' CODEC(ZSTD(1)),
    `version` Int64 COMMENT 'count' CODEC(T64, ZSTD(1)),
    `from_period` Int64 COMMENT 'periods since 1970' CODEC(DoubleDelta, ZSTD(1)),
    `tenant` String COMMENT 'id of the tenant' CODEC(ZSTD(1)),
    `base` Int64 COMMENT 'tokens per period' CODEC(T64, ZSTD(1)),
    `elasticity` Decimal(18, 6) COMMENT 'decimal with six places' CODEC(ZSTD(1)),
    `sla_ms` Nullable(Int64) COMMENT 'milliseconds' CODEC(T64, ZSTD(1)),
    `budget_amount` Nullable(Int64) COMMENT 'nanocredits' CODEC(T64, ZSTD(1)),
    `budget_window_s` Nullable(Int64) COMMENT 'seconds' CODEC(ZSTD(1)),
    `tier` LowCardinality(String) COMMENT 'tier' CODEC(ZSTD(1)),
    `weight` Decimal(18, 6) COMMENT 'decimal with six places' CODEC(ZSTD(1)),
    `topic` LowCardinality(String) COMMENT 'topic of the record that the row landed from' CODEC(ZSTD(1)),
    `partition` Int32 COMMENT 'partition of that record' CODEC(T64, ZSTD(1)),
    `offset` Int64 COMMENT 'offset of that record' CODEC(DoubleDelta, ZSTD(1)),
    `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(landed_at)
ORDER BY (`pool`, `tenant`, `from_period`, `version`)
COMMENT 'one version of a tenant\'s profile';
ALTER TABLE `bourse`.`profiles`
    ADD COLUMN IF NOT EXISTS `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition' CODEC(ZSTD(1)) FIRST,
    ADD COLUMN IF NOT EXISTS `journal_offset` Int64 COMMENT 'offset in the topic\'s partition' CODEC(DoubleDelta, ZSTD(1)) AFTER `pool`,
    ADD COLUMN IF NOT EXISTS `fact_index` Int64 COMMENT 'count' CODEC(T64, ZSTD(1)) AFTER `journal_offset`,
    ADD COLUMN IF NOT EXISTS `id` String COMMENT 'id, unique within its source' CODEC(ZSTD(1)) AFTER `fact_index`,
    ADD COLUMN IF NOT EXISTS `version` Int64 COMMENT 'count' CODEC(T64, ZSTD(1)) AFTER `id`,
    ADD COLUMN IF NOT EXISTS `from_period` Int64 COMMENT 'periods since 1970' CODEC(DoubleDelta, ZSTD(1)) AFTER `version`,
    ADD COLUMN IF NOT EXISTS `tenant` String COMMENT 'id of the tenant' CODEC(ZSTD(1)) AFTER `from_period`,
    ADD COLUMN IF NOT EXISTS `base` Int64 COMMENT 'tokens per period' CODEC(T64, ZSTD(1)) AFTER `tenant`,
    ADD COLUMN IF NOT EXISTS `elasticity` Decimal(18, 6) COMMENT 'decimal with six places' CODEC(ZSTD(1)) AFTER `base`,
    ADD COLUMN IF NOT EXISTS `sla_ms` Nullable(Int64) COMMENT 'milliseconds' CODEC(T64, ZSTD(1)) AFTER `elasticity`,
    ADD COLUMN IF NOT EXISTS `budget_amount` Nullable(Int64) COMMENT 'nanocredits' CODEC(T64, ZSTD(1)) AFTER `sla_ms`,
    ADD COLUMN IF NOT EXISTS `budget_window_s` Nullable(Int64) COMMENT 'seconds' CODEC(ZSTD(1)) AFTER `budget_amount`,
    ADD COLUMN IF NOT EXISTS `tier` LowCardinality(String) COMMENT 'tier' CODEC(ZSTD(1)) AFTER `budget_window_s`,
    ADD COLUMN IF NOT EXISTS `weight` Decimal(18, 6) COMMENT 'decimal with six places' CODEC(ZSTD(1)) AFTER `tier`,
    ADD COLUMN IF NOT EXISTS `topic` LowCardinality(String) COMMENT 'topic of the record that the row landed from' CODEC(ZSTD(1)) AFTER `weight`,
    ADD COLUMN IF NOT EXISTS `partition` Int32 COMMENT 'partition of that record' CODEC(T64, ZSTD(1)) AFTER `topic`,
    ADD COLUMN IF NOT EXISTS `offset` Int64 COMMENT 'offset of that record' CODEC(DoubleDelta, ZSTD(1)) AFTER `partition`,
    ADD COLUMN IF NOT EXISTS `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)) AFTER `offset`;
