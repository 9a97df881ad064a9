CREATE TABLE IF NOT EXISTS `bourse`.`backtest_periods_landed`
(
    `pool` LowCardinality(String) COMMENT 'id of the pool: one model deployment' CODEC(ZSTD(1)),
    `id` String COMMENT 'id of the backtest: what was folded, and under which variants' CODEC(ZSTD(1)),
    `variant` String COMMENT 'name of the variant; `as recorded` is what happened' CODEC(ZSTD(1)),
    `place` Int64 COMMENT 'count; The variant\'s place among those of the backtest; 0 is what happened.' CODEC(T64, ZSTD(1)),
    `period` Int64 COMMENT 'periods since 1970' CODEC(DoubleDelta, ZSTD(1)),
    `period_start` DateTime64(3, 'UTC') COMMENT 'milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)),
    `capacity` Int64 COMMENT 'tokens' CODEC(T64, ZSTD(1)),
    `price` Int64 COMMENT 'nanocredits per token' CODEC(T64, ZSTD(1)),
    `revenue` Int64 COMMENT 'nanocredits' CODEC(T64, ZSTD(1)),
    `allocated` Int64 COMMENT 'tokens' CODEC(T64, ZSTD(1)),
    `demand` Int64 COMMENT 'tokens' CODEC(T64, ZSTD(1)),
    `served` Int64 COMMENT 'tokens' CODEC(T64, ZSTD(1)),
    `jain` Decimal(18, 6) COMMENT 'decimal with six places' CODEC(ZSTD(1)),
    `welfare` Int64 COMMENT 'tokens, each times its tenant\'s elasticity' CODEC(T64, ZSTD(1)),
    `optimum` Int64 COMMENT 'tokens, each times its tenant\'s elasticity' CODEC(T64, ZSTD(1)),
    `topic` LowCardinality(String) COMMENT 'topic of the record that the row landed from' CODEC(ZSTD(1)),
    `partition` Int32 COMMENT 'partition of that record' CODEC(T64, ZSTD(1)),
    `offset` Int64 COMMENT 'offset of that record' CODEC(DoubleDelta, ZSTD(1)),
    `record_row` Int32 COMMENT 'place of the row among those of its record, from 0' CODEC(T64, ZSTD(1)),
    `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)),
    `landed_first` UInt64 MATERIALIZED 9223372036854775807 - `offset` COMMENT 'falls as the offset grows: the first copy of a row replaces later ones' CODEC(DoubleDelta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(`landed_first`)
PARTITION BY toYYYYMM(landed_at)
PRIMARY KEY (`pool`, `id`, `variant`, `period`)
ORDER BY (`pool`, `id`, `variant`, `period`)
COMMENT 'one closed period under one variant of a backtest: every landed copy; query backtest_periods instead';
ALTER TABLE `bourse`.`backtest_periods_landed`
    ADD COLUMN IF NOT EXISTS `pool` LowCardinality(String) COMMENT 'id of the pool: one model deployment' CODEC(ZSTD(1)) FIRST,
    ADD COLUMN IF NOT EXISTS `id` String COMMENT 'id of the backtest: what was folded, and under which variants' CODEC(ZSTD(1)) AFTER `pool`,
    ADD COLUMN IF NOT EXISTS `variant` String COMMENT 'name of the variant; `as recorded` is what happened' CODEC(ZSTD(1)) AFTER `id`,
    ADD COLUMN IF NOT EXISTS `place` Int64 COMMENT 'count; The variant\'s place among those of the backtest; 0 is what happened.' CODEC(T64, ZSTD(1)) AFTER `variant`,
    ADD COLUMN IF NOT EXISTS `period` Int64 COMMENT 'periods since 1970' CODEC(DoubleDelta, ZSTD(1)) AFTER `place`,
    ADD COLUMN IF NOT EXISTS `period_start` DateTime64(3, 'UTC') COMMENT 'milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)) AFTER `period`,
    ADD COLUMN IF NOT EXISTS `capacity` Int64 COMMENT 'tokens' CODEC(T64, ZSTD(1)) AFTER `period_start`,
    ADD COLUMN IF NOT EXISTS `price` Int64 COMMENT 'nanocredits per token' CODEC(T64, ZSTD(1)) AFTER `capacity`,
    ADD COLUMN IF NOT EXISTS `revenue` Int64 COMMENT 'nanocredits' CODEC(T64, ZSTD(1)) AFTER `price`,
    ADD COLUMN IF NOT EXISTS `allocated` Int64 COMMENT 'tokens' CODEC(T64, ZSTD(1)) AFTER `revenue`,
    ADD COLUMN IF NOT EXISTS `demand` Int64 COMMENT 'tokens' CODEC(T64, ZSTD(1)) AFTER `allocated`,
    ADD COLUMN IF NOT EXISTS `served` Int64 COMMENT 'tokens' CODEC(T64, ZSTD(1)) AFTER `demand`,
    ADD COLUMN IF NOT EXISTS `jain` Decimal(18, 6) COMMENT 'decimal with six places' CODEC(ZSTD(1)) AFTER `served`,
    ADD COLUMN IF NOT EXISTS `welfare` Int64 COMMENT 'tokens, each times its tenant\'s elasticity' CODEC(T64, ZSTD(1)) AFTER `jain`,
    ADD COLUMN IF NOT EXISTS `optimum` Int64 COMMENT 'tokens, each times its tenant\'s elasticity' CODEC(T64, ZSTD(1)) AFTER `welfare`,
    ADD COLUMN IF NOT EXISTS `topic` LowCardinality(String) COMMENT 'topic of the record that the row landed from' CODEC(ZSTD(1)) AFTER `optimum`,
    ADD COLUMN IF NOT EXISTS `partition` Int32 COMMENT 'partition of that record' CODEC(T64, ZSTD(1)) AFTER `topic`,
    ADD COLUMN IF NOT EXISTS `offset` Int64 COMMENT 'offset of that record' CODEC(DoubleDelta, ZSTD(1)) AFTER `partition`,
    ADD COLUMN IF NOT EXISTS `record_row` Int32 COMMENT 'place of the row among those of its record, from 0' CODEC(T64, ZSTD(1)) AFTER `offset`,
    ADD COLUMN IF NOT EXISTS `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)) AFTER `record_row`;
CREATE OR REPLACE VIEW `bourse`.`backtest_periods`
(
    `pool` LowCardinality(String) COMMENT 'id of the pool: one model deployment',
    `id` String COMMENT 'id of the backtest: what was folded, and under which variants',
    `variant` String COMMENT 'name of the variant; `as recorded` is what happened',
    `place` Int64 COMMENT 'count; The variant\'s place among those of the backtest; 0 is what happened.',
    `period` Int64 COMMENT 'periods since 1970',
    `period_start` DateTime64(3, 'UTC') COMMENT 'milliseconds since 1970, UTC',
    `capacity` Int64 COMMENT 'tokens',
    `price` Int64 COMMENT 'nanocredits per token',
    `revenue` Int64 COMMENT 'nanocredits',
    `allocated` Int64 COMMENT 'tokens',
    `demand` Int64 COMMENT 'tokens',
    `served` Int64 COMMENT 'tokens',
    `jain` Decimal(18, 6) COMMENT 'decimal with six places',
    `welfare` Int64 COMMENT 'tokens, each times its tenant\'s elasticity',
    `optimum` Int64 COMMENT 'tokens, each times its tenant\'s elasticity',
    `topic` LowCardinality(String) COMMENT 'topic of the record that the row landed from',
    `partition` Int32 COMMENT 'partition of that record',
    `offset` Int64 COMMENT 'offset of that record',
    `record_row` Int32 COMMENT 'place of the row among those of its record, from 0',
    `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC'
)
AS SELECT `pool`, `id`, `variant`, `place`, `period`, `period_start`, `capacity`, `price`, `revenue`, `allocated`, `demand`, `served`, `jain`, `welfare`, `optimum`, `topic`, `partition`, `offset`, `record_row`, `landed_at` FROM `bourse`.`backtest_periods_landed` FINAL SETTINGS do_not_merge_across_partitions_select_final = 0
COMMENT 'one closed period under one variant of a backtest';
