CREATE TABLE IF NOT EXISTS `bourse`.`token_pools_landed`
(
    `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition' CODEC(ZSTD(1)),
    `journal_offset` Int64 COMMENT 'offset in the topic\'s partition' CODEC(DoubleDelta, ZSTD(1)),
    `fact_index` Int64 COMMENT 'count' CODEC(T64, ZSTD(1)),
    `id` String COMMENT 'id, unique within its source' CODEC(ZSTD(1)),
    `version` Int64 COMMENT 'count; Of the pool.' CODEC(T64, ZSTD(1)),
    `tick` Int64 COMMENT 'ticks since 1970; The last tick before it.' CODEC(DoubleDelta, ZSTD(1)),
    `at` DateTime64(3, 'UTC') COMMENT 'milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)),
    `replicas` Nullable(Int64) COMMENT 'replicas' CODEC(T64, ZSTD(1)),
    `replica_tokens_per_s` Nullable(Int64) COMMENT 'tokens per second' CODEC(T64, ZSTD(1)),
    `replica_kv_blocks` Nullable(Int64) COMMENT 'KV-cache blocks' CODEC(T64, ZSTD(1)),
    `replica_concurrency` Nullable(Int64) COMMENT 'requests in flight' CODEC(T64, ZSTD(1)),
    `kv_block_tokens` Int64 COMMENT 'tokens' CODEC(T64, ZSTD(1)),
    `debt_half_life_s` Int64 COMMENT 'seconds' CODEC(T64, ZSTD(1)),
    `debt_gain` Decimal(18, 6) COMMENT 'decimal with six places' CODEC(ZSTD(1)),
    `debt_bound_s` Int64 COMMENT 'seconds of entitlement' CODEC(T64, ZSTD(1)),
    `debt_weights` Bool COMMENT 'Whether the policy max_min shares by weights that debt has changed.' CODEC(ZSTD(1)),
    `burst_fill` Array(Int64) COMMENT 'millionths; Filled so far, the pool lets tenants use `burst_scale` of what they may borrow; empty: the default of admission.' CODEC(ZSTD(1)),
    `burst_scale` Array(Int64) COMMENT 'millionths' CODEC(ZSTD(1)),
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
PRIMARY KEY (`pool`, `version`)
ORDER BY (`pool`, `version`, `topic`, `partition`, `journal_offset`, `fact_index`, `record_row`)
COMMENT 'one version of a pool\'s physical capacity: every landed copy; query token_pools instead';
ALTER TABLE `bourse`.`token_pools_landed`
    ADD COLUMN IF NOT EXISTS `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition' CODEC(ZSTD(1)) FIRST,
    ADD COLUMN IF NOT EXISTS `journal_offset` Int64 COMMENT 'offset in the topic\'s partition' CODEC(DoubleDelta, ZSTD(1)) AFTER `pool`,
    ADD COLUMN IF NOT EXISTS `fact_index` Int64 COMMENT 'count' CODEC(T64, ZSTD(1)) AFTER `journal_offset`,
    ADD COLUMN IF NOT EXISTS `id` String COMMENT 'id, unique within its source' CODEC(ZSTD(1)) AFTER `fact_index`,
    ADD COLUMN IF NOT EXISTS `version` Int64 COMMENT 'count; Of the pool.' CODEC(T64, ZSTD(1)) AFTER `id`,
    ADD COLUMN IF NOT EXISTS `tick` Int64 COMMENT 'ticks since 1970; The last tick before it.' CODEC(DoubleDelta, ZSTD(1)) AFTER `version`,
    ADD COLUMN IF NOT EXISTS `at` DateTime64(3, 'UTC') COMMENT 'milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)) AFTER `tick`,
    ADD COLUMN IF NOT EXISTS `replicas` Nullable(Int64) COMMENT 'replicas' CODEC(T64, ZSTD(1)) AFTER `at`,
    ADD COLUMN IF NOT EXISTS `replica_tokens_per_s` Nullable(Int64) COMMENT 'tokens per second' CODEC(T64, ZSTD(1)) AFTER `replicas`,
    ADD COLUMN IF NOT EXISTS `replica_kv_blocks` Nullable(Int64) COMMENT 'KV-cache blocks' CODEC(T64, ZSTD(1)) AFTER `replica_tokens_per_s`,
    ADD COLUMN IF NOT EXISTS `replica_concurrency` Nullable(Int64) COMMENT 'requests in flight' CODEC(T64, ZSTD(1)) AFTER `replica_kv_blocks`,
    ADD COLUMN IF NOT EXISTS `kv_block_tokens` Int64 COMMENT 'tokens' CODEC(T64, ZSTD(1)) AFTER `replica_concurrency`,
    ADD COLUMN IF NOT EXISTS `debt_half_life_s` Int64 COMMENT 'seconds' CODEC(T64, ZSTD(1)) AFTER `kv_block_tokens`,
    ADD COLUMN IF NOT EXISTS `debt_gain` Decimal(18, 6) COMMENT 'decimal with six places' CODEC(ZSTD(1)) AFTER `debt_half_life_s`,
    ADD COLUMN IF NOT EXISTS `debt_bound_s` Int64 COMMENT 'seconds of entitlement' CODEC(T64, ZSTD(1)) AFTER `debt_gain`,
    ADD COLUMN IF NOT EXISTS `debt_weights` Bool COMMENT 'Whether the policy max_min shares by weights that debt has changed.' CODEC(ZSTD(1)) AFTER `debt_bound_s`,
    ADD COLUMN IF NOT EXISTS `burst_fill` Array(Int64) COMMENT 'millionths; Filled so far, the pool lets tenants use `burst_scale` of what they may borrow; empty: the default of admission.' CODEC(ZSTD(1)) AFTER `debt_weights`,
    ADD COLUMN IF NOT EXISTS `burst_scale` Array(Int64) COMMENT 'millionths' CODEC(ZSTD(1)) AFTER `burst_fill`,
    ADD COLUMN IF NOT EXISTS `topic` LowCardinality(String) COMMENT 'topic of the record that the row landed from' CODEC(ZSTD(1)) AFTER `burst_scale`,
    ADD COLUMN IF NOT EXISTS `partition` Int32 COMMENT 'partition of that record' CODEC(T64, ZSTD(1)) AFTER `topic`,
    ADD COLUMN IF NOT EXISTS `offset` Int64 COMMENT 'offset of that record' CODEC(DoubleDelta, ZSTD(1)) AFTER `partition`,
    ADD COLUMN IF NOT EXISTS `record_row` Int32 COMMENT 'place of the row among those of its record, from 0' CODEC(T64, ZSTD(1)) AFTER `offset`,
    ADD COLUMN IF NOT EXISTS `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)) AFTER `record_row`,
    ADD INDEX IF NOT EXISTS `journal` `journal_offset` TYPE minmax GRANULARITY 1;
CREATE OR REPLACE VIEW `bourse`.`token_pools`
(
    `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition',
    `journal_offset` Int64 COMMENT 'offset in the topic\'s partition',
    `fact_index` Int64 COMMENT 'count',
    `id` String COMMENT 'id, unique within its source',
    `version` Int64 COMMENT 'count; Of the pool.',
    `tick` Int64 COMMENT 'ticks since 1970; The last tick before it.',
    `at` DateTime64(3, 'UTC') COMMENT 'milliseconds since 1970, UTC',
    `replicas` Nullable(Int64) COMMENT 'replicas',
    `replica_tokens_per_s` Nullable(Int64) COMMENT 'tokens per second',
    `replica_kv_blocks` Nullable(Int64) COMMENT 'KV-cache blocks',
    `replica_concurrency` Nullable(Int64) COMMENT 'requests in flight',
    `kv_block_tokens` Int64 COMMENT 'tokens',
    `debt_half_life_s` Int64 COMMENT 'seconds',
    `debt_gain` Decimal(18, 6) COMMENT 'decimal with six places',
    `debt_bound_s` Int64 COMMENT 'seconds of entitlement',
    `debt_weights` Bool COMMENT 'Whether the policy max_min shares by weights that debt has changed.',
    `burst_fill` Array(Int64) COMMENT 'millionths; Filled so far, the pool lets tenants use `burst_scale` of what they may borrow; empty: the default of admission.',
    `burst_scale` Array(Int64) COMMENT 'millionths',
    `topic` LowCardinality(String) COMMENT 'topic of the record that the row landed from',
    `partition` Int32 COMMENT 'partition of that record',
    `offset` Int64 COMMENT 'offset of that record',
    `record_row` Int32 COMMENT 'place of the row among those of its record, from 0',
    `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC'
)
AS SELECT `pool`, `journal_offset`, `fact_index`, `id`, `version`, `tick`, `at`, `replicas`, `replica_tokens_per_s`, `replica_kv_blocks`, `replica_concurrency`, `kv_block_tokens`, `debt_half_life_s`, `debt_gain`, `debt_bound_s`, `debt_weights`, `burst_fill`, `burst_scale`, `topic`, `partition`, `offset`, `record_row`, `landed_at` FROM `bourse`.`token_pools_landed` FINAL SETTINGS do_not_merge_across_partitions_select_final = 0
COMMENT 'one version of a pool\'s physical capacity';
