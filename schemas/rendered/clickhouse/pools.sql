CREATE TABLE IF NOT EXISTS `bourse`.`pools`
(
    `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition' CODEC(ZSTD(1)),
    `journal_offset` Int64 COMMENT 'offset in the topic\'s partition' CODEC(DoubleDelta, ZSTD(1)),
    `fact_index` Int64 COMMENT 'count' CODEC(T64, ZSTD(1)),
    `id` String COMMENT 'id, unique within its source' CODEC(ZSTD(1)),
    `version` Int64 COMMENT 'count' CODEC(T64, ZSTD(1)),
    `from_period` Int64 COMMENT 'periods since 1970' CODEC(DoubleDelta, ZSTD(1)),
    `capacity` Int64 COMMENT 'tokens per period' CODEC(T64, ZSTD(1)),
    `period_s` Int64 COMMENT 'seconds' CODEC(ZSTD(1)),
    `tick_ms` Int64 COMMENT 'milliseconds' CODEC(T64, ZSTD(1)),
    `policy` LowCardinality(String) COMMENT 'policy that divides the surplus' CODEC(ZSTD(1)),
    `base_price` Int64 COMMENT 'nanocredits per token' CODEC(T64, ZSTD(1)),
    `reserve_price` Int64 COMMENT 'nanocredits per token' CODEC(T64, ZSTD(1)),
    `cached_weight` Decimal(18, 6) COMMENT 'decimal with six places' CODEC(ZSTD(1)),
    `forecaster` LowCardinality(String) COMMENT 'forecaster of demand' CODEC(ZSTD(1)),
    `topic` LowCardinality(String) COMMENT 'topic of the record that the row landed from' CODEC(ZSTD(1)),
    `partition` Int32 COMMENT 'partition of that record' CODEC(T64, ZSTD(1)),
    `offset` Int64 COMMENT 'offset of that record' CODEC(DoubleDelta, ZSTD(1)),
    `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(landed_at)
ORDER BY (`pool`, `from_period`, `version`)
COMMENT 'one version of a pool';
ALTER TABLE `bourse`.`pools`
    ADD COLUMN IF NOT EXISTS `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition' CODEC(ZSTD(1)) FIRST,
    ADD COLUMN IF NOT EXISTS `journal_offset` Int64 COMMENT 'offset in the topic\'s partition' CODEC(DoubleDelta, ZSTD(1)) AFTER `pool`,
    ADD COLUMN IF NOT EXISTS `fact_index` Int64 COMMENT 'count' CODEC(T64, ZSTD(1)) AFTER `journal_offset`,
    ADD COLUMN IF NOT EXISTS `id` String COMMENT 'id, unique within its source' CODEC(ZSTD(1)) AFTER `fact_index`,
    ADD COLUMN IF NOT EXISTS `version` Int64 COMMENT 'count' CODEC(T64, ZSTD(1)) AFTER `id`,
    ADD COLUMN IF NOT EXISTS `from_period` Int64 COMMENT 'periods since 1970' CODEC(DoubleDelta, ZSTD(1)) AFTER `version`,
    ADD COLUMN IF NOT EXISTS `capacity` Int64 COMMENT 'tokens per period' CODEC(T64, ZSTD(1)) AFTER `from_period`,
    ADD COLUMN IF NOT EXISTS `period_s` Int64 COMMENT 'seconds' CODEC(ZSTD(1)) AFTER `capacity`,
    ADD COLUMN IF NOT EXISTS `tick_ms` Int64 COMMENT 'milliseconds' CODEC(T64, ZSTD(1)) AFTER `period_s`,
    ADD COLUMN IF NOT EXISTS `policy` LowCardinality(String) COMMENT 'policy that divides the surplus' CODEC(ZSTD(1)) AFTER `tick_ms`,
    ADD COLUMN IF NOT EXISTS `base_price` Int64 COMMENT 'nanocredits per token' CODEC(T64, ZSTD(1)) AFTER `policy`,
    ADD COLUMN IF NOT EXISTS `reserve_price` Int64 COMMENT 'nanocredits per token' CODEC(T64, ZSTD(1)) AFTER `base_price`,
    ADD COLUMN IF NOT EXISTS `cached_weight` Decimal(18, 6) COMMENT 'decimal with six places' CODEC(ZSTD(1)) AFTER `reserve_price`,
    ADD COLUMN IF NOT EXISTS `forecaster` LowCardinality(String) COMMENT 'forecaster of demand' CODEC(ZSTD(1)) AFTER `cached_weight`,
    ADD COLUMN IF NOT EXISTS `topic` LowCardinality(String) COMMENT 'topic of the record that the row landed from' CODEC(ZSTD(1)) AFTER `forecaster`,
    ADD COLUMN IF NOT EXISTS `partition` Int32 COMMENT 'partition of that record' CODEC(T64, ZSTD(1)) AFTER `topic`,
    ADD COLUMN IF NOT EXISTS `offset` Int64 COMMENT 'offset of that record' CODEC(DoubleDelta, ZSTD(1)) AFTER `partition`,
    ADD COLUMN IF NOT EXISTS `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)) AFTER `offset`;
