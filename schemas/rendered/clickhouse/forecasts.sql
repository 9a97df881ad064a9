CREATE TABLE IF NOT EXISTS `bourse`.`forecasts`
(
    `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition' CODEC(ZSTD(1)),
    `journal_offset` Int64 COMMENT 'offset in the topic\'s partition' CODEC(DoubleDelta, ZSTD(1)),
    `fact_index` Int64 COMMENT 'count' CODEC(T64, ZSTD(1)),
    `period` Int64 COMMENT 'periods since 1970' CODEC(DoubleDelta, ZSTD(1)),
    `period_start` DateTime64(3, 'UTC') COMMENT 'milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)),
    `forecaster` LowCardinality(String) COMMENT 'forecaster of demand' CODEC(ZSTD(1)),
    `tenant` String COMMENT 'id of the tenant' CODEC(ZSTD(1)),
    `mean` Int64 COMMENT 'tokens' CODEC(T64, ZSTD(1)),
    `p50` Nullable(Int64) COMMENT 'count' CODEC(T64, ZSTD(1)),
    `p90` Nullable(Int64) COMMENT 'count' CODEC(T64, ZSTD(1)),
    `p99` Nullable(Int64) COMMENT 'count' CODEC(T64, ZSTD(1)),
    `topic` LowCardinality(String) COMMENT 'topic of the record that the row landed from' CODEC(ZSTD(1)),
    `partition` Int32 COMMENT 'partition of that record' CODEC(T64, ZSTD(1)),
    `offset` Int64 COMMENT 'offset of that record' CODEC(DoubleDelta, ZSTD(1)),
    `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(landed_at)
ORDER BY (`pool`, `period`, `tenant`)
COMMENT 'one forecast of a tenant\'s demand';
ALTER TABLE `bourse`.`forecasts`
    ADD COLUMN IF NOT EXISTS `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition' CODEC(ZSTD(1)) FIRST,
    ADD COLUMN IF NOT EXISTS `journal_offset` Int64 COMMENT 'offset in the topic\'s partition' CODEC(DoubleDelta, ZSTD(1)) AFTER `pool`,
    ADD COLUMN IF NOT EXISTS `fact_index` Int64 COMMENT 'count' CODEC(T64, ZSTD(1)) AFTER `journal_offset`,
    ADD COLUMN IF NOT EXISTS `period` Int64 COMMENT 'periods since 1970' CODEC(DoubleDelta, ZSTD(1)) AFTER `fact_index`,
    ADD COLUMN IF NOT EXISTS `period_start` DateTime64(3, 'UTC') COMMENT 'milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)) AFTER `period`,
    ADD COLUMN IF NOT EXISTS `forecaster` LowCardinality(String) COMMENT 'forecaster of demand' CODEC(ZSTD(1)) AFTER `period_start`,
    ADD COLUMN IF NOT EXISTS `tenant` String COMMENT 'id of the tenant' CODEC(ZSTD(1)) AFTER `forecaster`,
    ADD COLUMN IF NOT EXISTS `mean` Int64 COMMENT 'tokens' CODEC(T64, ZSTD(1)) AFTER `tenant`,
    ADD COLUMN IF NOT EXISTS `p50` Nullable(Int64) COMMENT 'count' CODEC(T64, ZSTD(1)) AFTER `mean`,
    ADD COLUMN IF NOT EXISTS `p90` Nullable(Int64) COMMENT 'count' CODEC(T64, ZSTD(1)) AFTER `p50`,
    ADD COLUMN IF NOT EXISTS `p99` Nullable(Int64) COMMENT 'count' CODEC(T64, ZSTD(1)) AFTER `p90`,
    ADD COLUMN IF NOT EXISTS `topic` LowCardinality(String) COMMENT 'topic of the record that the row landed from' CODEC(ZSTD(1)) AFTER `p99`,
    ADD COLUMN IF NOT EXISTS `partition` Int32 COMMENT 'partition of that record' CODEC(T64, ZSTD(1)) AFTER `topic`,
    ADD COLUMN IF NOT EXISTS `offset` Int64 COMMENT 'offset of that record' CODEC(DoubleDelta, ZSTD(1)) AFTER `partition`,
    ADD COLUMN IF NOT EXISTS `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)) AFTER `offset`;
