CREATE TABLE IF NOT EXISTS `bourse`.`pools_landed`
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
    `record_row` Int32 COMMENT 'place of the row among those of its record, from 0' CODEC(T64, ZSTD(1)),
    `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)),
    `landed_first` UInt64 MATERIALIZED 9223372036854775807 - `offset` COMMENT 'falls as the offset grows: the first copy of a row replaces later ones' CODEC(DoubleDelta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(`landed_first`)
PARTITION BY toYYYYMM(landed_at)
PRIMARY KEY (`pool`, `from_period`, `version`)
ORDER BY (`pool`, `from_period`, `version`, `topic`, `partition`, `journal_offset`, `fact_index`, `record_row`)
COMMENT 'one version of a pool: every landed copy; query pools instead';
ALTER TABLE `bourse`.`pools_landed`
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
    ADD COLUMN IF NOT EXISTS `record_row` Int32 COMMENT 'place of the row among those of its record, from 0' CODEC(T64, ZSTD(1)) AFTER `offset`,
    ADD COLUMN IF NOT EXISTS `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)) AFTER `record_row`;
CREATE OR REPLACE VIEW `bourse`.`pools`
(
    `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition',
    `journal_offset` Int64 COMMENT 'offset in the topic\'s partition',
    `fact_index` Int64 COMMENT 'count',
    `id` String COMMENT 'id, unique within its source',
    `version` Int64 COMMENT 'count',
    `from_period` Int64 COMMENT 'periods since 1970',
    `capacity` Int64 COMMENT 'tokens per period',
    `period_s` Int64 COMMENT 'seconds',
    `tick_ms` Int64 COMMENT 'milliseconds',
    `policy` LowCardinality(String) COMMENT 'policy that divides the surplus',
    `base_price` Int64 COMMENT 'nanocredits per token',
    `reserve_price` Int64 COMMENT 'nanocredits per token',
    `cached_weight` Decimal(18, 6) COMMENT 'decimal with six places',
    `forecaster` LowCardinality(String) COMMENT 'forecaster of demand',
    `topic` LowCardinality(String) COMMENT 'topic of the record that the row landed from',
    `partition` Int32 COMMENT 'partition of that record',
    `offset` Int64 COMMENT 'offset of that record',
    `record_row` Int32 COMMENT 'place of the row among those of its record, from 0',
    `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC'
)
AS SELECT `pool`, `journal_offset`, `fact_index`, `id`, `version`, `from_period`, `capacity`, `period_s`, `tick_ms`, `policy`, `base_price`, `reserve_price`, `cached_weight`, `forecaster`, `topic`, `partition`, `offset`, `record_row`, `landed_at` FROM `bourse`.`pools_landed` FINAL SETTINGS do_not_merge_across_partitions_select_final = 0
COMMENT 'one version of a pool';
