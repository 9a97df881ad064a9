CREATE TABLE IF NOT EXISTS `bourse`.`sla_landed`
(
    `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition' CODEC(ZSTD(1)),
    `journal_offset` Int64 COMMENT 'offset in the topic\'s partition' CODEC(DoubleDelta, ZSTD(1)),
    `fact_index` Int64 COMMENT 'count' CODEC(T64, ZSTD(1)),
    `period` Int64 COMMENT 'periods since 1970; In which, or at whose end, it was decided.' CODEC(DoubleDelta, ZSTD(1)),
    `period_start` DateTime64(3, 'UTC') COMMENT 'milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)),
    `tenant` String COMMENT 'id of the tenant' CODEC(ZSTD(1)),
    `kind` LowCardinality(String) COMMENT 'what changed' CODEC(ZSTD(1)),
    `before` Int64 COMMENT 'tokens' CODEC(T64, ZSTD(1)),
    `after` Int64 COMMENT 'tokens' CODEC(T64, ZSTD(1)),
    `reason` LowCardinality(String) COMMENT 'why' CODEC(ZSTD(1)),
    `counterparty` String COMMENT 'the tenant on the other side; empty: none' CODEC(ZSTD(1)),
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
PRIMARY KEY (`pool`, `period`, `tenant`)
ORDER BY (`pool`, `period`, `tenant`, `topic`, `partition`, `journal_offset`, `fact_index`, `record_row`)
COMMENT 'one change of a tenant\'s base, with its reason and who paid or got it: every landed copy; query sla instead';
ALTER TABLE `bourse`.`sla_landed`
    ADD COLUMN IF NOT EXISTS `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition' CODEC(ZSTD(1)) FIRST,
    ADD COLUMN IF NOT EXISTS `journal_offset` Int64 COMMENT 'offset in the topic\'s partition' CODEC(DoubleDelta, ZSTD(1)) AFTER `pool`,
    ADD COLUMN IF NOT EXISTS `fact_index` Int64 COMMENT 'count' CODEC(T64, ZSTD(1)) AFTER `journal_offset`,
    ADD COLUMN IF NOT EXISTS `period` Int64 COMMENT 'periods since 1970; In which, or at whose end, it was decided.' CODEC(DoubleDelta, ZSTD(1)) AFTER `fact_index`,
    ADD COLUMN IF NOT EXISTS `period_start` DateTime64(3, 'UTC') COMMENT 'milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)) AFTER `period`,
    ADD COLUMN IF NOT EXISTS `tenant` String COMMENT 'id of the tenant' CODEC(ZSTD(1)) AFTER `period_start`,
    ADD COLUMN IF NOT EXISTS `kind` LowCardinality(String) COMMENT 'what changed' CODEC(ZSTD(1)) AFTER `tenant`,
    ADD COLUMN IF NOT EXISTS `before` Int64 COMMENT 'tokens' CODEC(T64, ZSTD(1)) AFTER `kind`,
    ADD COLUMN IF NOT EXISTS `after` Int64 COMMENT 'tokens' CODEC(T64, ZSTD(1)) AFTER `before`,
    ADD COLUMN IF NOT EXISTS `reason` LowCardinality(String) COMMENT 'why' CODEC(ZSTD(1)) AFTER `after`,
    ADD COLUMN IF NOT EXISTS `counterparty` String COMMENT 'the tenant on the other side; empty: none' CODEC(ZSTD(1)) AFTER `reason`,
    ADD COLUMN IF NOT EXISTS `topic` LowCardinality(String) COMMENT 'topic of the record that the row landed from' CODEC(ZSTD(1)) AFTER `counterparty`,
    ADD COLUMN IF NOT EXISTS `partition` Int32 COMMENT 'partition of that record' CODEC(T64, ZSTD(1)) AFTER `topic`,
    ADD COLUMN IF NOT EXISTS `offset` Int64 COMMENT 'offset of that record' CODEC(DoubleDelta, ZSTD(1)) AFTER `partition`,
    ADD COLUMN IF NOT EXISTS `record_row` Int32 COMMENT 'place of the row among those of its record, from 0' CODEC(T64, ZSTD(1)) AFTER `offset`,
    ADD COLUMN IF NOT EXISTS `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)) AFTER `record_row`,
    ADD INDEX IF NOT EXISTS `journal` `journal_offset` TYPE minmax GRANULARITY 1,
    ADD INDEX IF NOT EXISTS `start` `period_start` TYPE minmax GRANULARITY 1;
CREATE OR REPLACE VIEW `bourse`.`sla`
(
    `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition',
    `journal_offset` Int64 COMMENT 'offset in the topic\'s partition',
    `fact_index` Int64 COMMENT 'count',
    `period` Int64 COMMENT 'periods since 1970; In which, or at whose end, it was decided.',
    `period_start` DateTime64(3, 'UTC') COMMENT 'milliseconds since 1970, UTC',
    `tenant` String COMMENT 'id of the tenant',
    `kind` LowCardinality(String) COMMENT 'what changed',
    `before` Int64 COMMENT 'tokens',
    `after` Int64 COMMENT 'tokens',
    `reason` LowCardinality(String) COMMENT 'why',
    `counterparty` String COMMENT 'the tenant on the other side; empty: none',
    `topic` LowCardinality(String) COMMENT 'topic of the record that the row landed from',
    `partition` Int32 COMMENT 'partition of that record',
    `offset` Int64 COMMENT 'offset of that record',
    `record_row` Int32 COMMENT 'place of the row among those of its record, from 0',
    `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC'
)
AS SELECT `pool`, `journal_offset`, `fact_index`, `period`, `period_start`, `tenant`, `kind`, `before`, `after`, `reason`, `counterparty`, `topic`, `partition`, `offset`, `record_row`, `landed_at` FROM `bourse`.`sla_landed` FINAL SETTINGS do_not_merge_across_partitions_select_final = 0
COMMENT 'one change of a tenant\'s base, with its reason and who paid or got it';
