CREATE TABLE IF NOT EXISTS `bourse`.`scaling_settings_landed`
(
    `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition' CODEC(ZSTD(1)),
    `journal_offset` Int64 COMMENT 'offset in the topic\'s partition' CODEC(DoubleDelta, ZSTD(1)),
    `fact_index` Int64 COMMENT 'count' CODEC(T64, ZSTD(1)),
    `id` String COMMENT 'id, unique within its source' CODEC(ZSTD(1)),
    `version` Int64 COMMENT 'count; Of the pool.' CODEC(T64, ZSTD(1)),
    `enabled` Bool COMMENT 'Whether it is.' CODEC(ZSTD(1)),
    `min_replicas` Int64 COMMENT 'replicas' CODEC(T64, ZSTD(1)),
    `max_replicas` Int64 COMMENT 'replicas' CODEC(T64, ZSTD(1)),
    `quantile` LowCardinality(String) COMMENT 'forecast that capacity is planned for' CODEC(ZSTD(1)),
    `headroom` Decimal(18, 6) COMMENT 'decimal with six places' CODEC(ZSTD(1)),
    `max_step` Int64 COMMENT 'replicas' CODEC(T64, ZSTD(1)),
    `down_after_s` Int64 COMMENT 'seconds' CODEC(T64, ZSTD(1)),
    `cooldown_s` Int64 COMMENT 'seconds' CODEC(T64, ZSTD(1)),
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
COMMENT 'one version of how a pool is scaled: every landed copy; query scaling_settings instead';
ALTER TABLE `bourse`.`scaling_settings_landed`
    ADD COLUMN IF NOT EXISTS `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition' CODEC(ZSTD(1)) FIRST,
    ADD COLUMN IF NOT EXISTS `journal_offset` Int64 COMMENT 'offset in the topic\'s partition' CODEC(DoubleDelta, ZSTD(1)) AFTER `pool`,
    ADD COLUMN IF NOT EXISTS `fact_index` Int64 COMMENT 'count' CODEC(T64, ZSTD(1)) AFTER `journal_offset`,
    ADD COLUMN IF NOT EXISTS `id` String COMMENT 'id, unique within its source' CODEC(ZSTD(1)) AFTER `fact_index`,
    ADD COLUMN IF NOT EXISTS `version` Int64 COMMENT 'count; Of the pool.' CODEC(T64, ZSTD(1)) AFTER `id`,
    ADD COLUMN IF NOT EXISTS `enabled` Bool COMMENT 'Whether it is.' CODEC(ZSTD(1)) AFTER `version`,
    ADD COLUMN IF NOT EXISTS `min_replicas` Int64 COMMENT 'replicas' CODEC(T64, ZSTD(1)) AFTER `enabled`,
    ADD COLUMN IF NOT EXISTS `max_replicas` Int64 COMMENT 'replicas' CODEC(T64, ZSTD(1)) AFTER `min_replicas`,
    ADD COLUMN IF NOT EXISTS `quantile` LowCardinality(String) COMMENT 'forecast that capacity is planned for' CODEC(ZSTD(1)) AFTER `max_replicas`,
    ADD COLUMN IF NOT EXISTS `headroom` Decimal(18, 6) COMMENT 'decimal with six places' CODEC(ZSTD(1)) AFTER `quantile`,
    ADD COLUMN IF NOT EXISTS `max_step` Int64 COMMENT 'replicas' CODEC(T64, ZSTD(1)) AFTER `headroom`,
    ADD COLUMN IF NOT EXISTS `down_after_s` Int64 COMMENT 'seconds' CODEC(T64, ZSTD(1)) AFTER `max_step`,
    ADD COLUMN IF NOT EXISTS `cooldown_s` Int64 COMMENT 'seconds' CODEC(T64, ZSTD(1)) AFTER `down_after_s`,
    ADD COLUMN IF NOT EXISTS `topic` LowCardinality(String) COMMENT 'topic of the record that the row landed from' CODEC(ZSTD(1)) AFTER `cooldown_s`,
    ADD COLUMN IF NOT EXISTS `partition` Int32 COMMENT 'partition of that record' CODEC(T64, ZSTD(1)) AFTER `topic`,
    ADD COLUMN IF NOT EXISTS `offset` Int64 COMMENT 'offset of that record' CODEC(DoubleDelta, ZSTD(1)) AFTER `partition`,
    ADD COLUMN IF NOT EXISTS `record_row` Int32 COMMENT 'place of the row among those of its record, from 0' CODEC(T64, ZSTD(1)) AFTER `offset`,
    ADD COLUMN IF NOT EXISTS `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)) AFTER `record_row`,
    ADD INDEX IF NOT EXISTS `journal` `journal_offset` TYPE minmax GRANULARITY 1;
CREATE OR REPLACE VIEW `bourse`.`scaling_settings`
(
    `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition',
    `journal_offset` Int64 COMMENT 'offset in the topic\'s partition',
    `fact_index` Int64 COMMENT 'count',
    `id` String COMMENT 'id, unique within its source',
    `version` Int64 COMMENT 'count; Of the pool.',
    `enabled` Bool COMMENT 'Whether it is.',
    `min_replicas` Int64 COMMENT 'replicas',
    `max_replicas` Int64 COMMENT 'replicas',
    `quantile` LowCardinality(String) COMMENT 'forecast that capacity is planned for',
    `headroom` Decimal(18, 6) COMMENT 'decimal with six places',
    `max_step` Int64 COMMENT 'replicas',
    `down_after_s` Int64 COMMENT 'seconds',
    `cooldown_s` Int64 COMMENT 'seconds',
    `topic` LowCardinality(String) COMMENT 'topic of the record that the row landed from',
    `partition` Int32 COMMENT 'partition of that record',
    `offset` Int64 COMMENT 'offset of that record',
    `record_row` Int32 COMMENT 'place of the row among those of its record, from 0',
    `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC'
)
AS SELECT `pool`, `journal_offset`, `fact_index`, `id`, `version`, `enabled`, `min_replicas`, `max_replicas`, `quantile`, `headroom`, `max_step`, `down_after_s`, `cooldown_s`, `topic`, `partition`, `offset`, `record_row`, `landed_at` FROM `bourse`.`scaling_settings_landed` FINAL SETTINGS do_not_merge_across_partitions_select_final = 0
COMMENT 'one version of how a pool is scaled';
