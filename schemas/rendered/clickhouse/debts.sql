CREATE TABLE IF NOT EXISTS `bourse`.`debts_landed`
(
    `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition' CODEC(ZSTD(1)),
    `journal_offset` Int64 COMMENT 'offset in the topic\'s partition' CODEC(DoubleDelta, ZSTD(1)),
    `fact_index` Int64 COMMENT 'count' CODEC(T64, ZSTD(1)),
    `at` DateTime64(3, 'UTC') COMMENT 'milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)),
    `tick` Int64 COMMENT 'ticks since 1970' CODEC(DoubleDelta, ZSTD(1)),
    `period` Int64 COMMENT 'periods since 1970' CODEC(DoubleDelta, ZSTD(1)),
    `tenant` String COMMENT 'id of the tenant' CODEC(ZSTD(1)),
    `debt` Int64 COMMENT 'thousandths of a token; What the tenant is owed; below 0: what it owes.' CODEC(T64, ZSTD(1)),
    `rate` Int64 COMMENT 'tokens per second; What it is entitled to in the long run, which debt is measured by.' CODEC(T64, ZSTD(1)),
    `due` Int64 COMMENT 'tokens' CODEC(T64, ZSTD(1)),
    `served` Int64 COMMENT 'tokens' CODEC(T64, ZSTD(1)),
    `wanted` Int64 COMMENT 'tokens' CODEC(T64, ZSTD(1)),
    `factor` Int64 COMMENT 'millionths; What its weight is multiplied by.' CODEC(T64, ZSTD(1)),
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
PRIMARY KEY (`pool`, `period`, `tenant`, `tick`)
ORDER BY (`pool`, `period`, `tenant`, `tick`, `topic`, `partition`, `journal_offset`, `fact_index`, `record_row`)
COMMENT 'a tenant\'s debt from one tick on: every landed copy; query debts instead';
ALTER TABLE `bourse`.`debts_landed`
    ADD COLUMN IF NOT EXISTS `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition' CODEC(ZSTD(1)) FIRST,
    ADD COLUMN IF NOT EXISTS `journal_offset` Int64 COMMENT 'offset in the topic\'s partition' CODEC(DoubleDelta, ZSTD(1)) AFTER `pool`,
    ADD COLUMN IF NOT EXISTS `fact_index` Int64 COMMENT 'count' CODEC(T64, ZSTD(1)) AFTER `journal_offset`,
    ADD COLUMN IF NOT EXISTS `at` DateTime64(3, 'UTC') COMMENT 'milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)) AFTER `fact_index`,
    ADD COLUMN IF NOT EXISTS `tick` Int64 COMMENT 'ticks since 1970' CODEC(DoubleDelta, ZSTD(1)) AFTER `at`,
    ADD COLUMN IF NOT EXISTS `period` Int64 COMMENT 'periods since 1970' CODEC(DoubleDelta, ZSTD(1)) AFTER `tick`,
    ADD COLUMN IF NOT EXISTS `tenant` String COMMENT 'id of the tenant' CODEC(ZSTD(1)) AFTER `period`,
    ADD COLUMN IF NOT EXISTS `debt` Int64 COMMENT 'thousandths of a token; What the tenant is owed; below 0: what it owes.' CODEC(T64, ZSTD(1)) AFTER `tenant`,
    ADD COLUMN IF NOT EXISTS `rate` Int64 COMMENT 'tokens per second; What it is entitled to in the long run, which debt is measured by.' CODEC(T64, ZSTD(1)) AFTER `debt`,
    ADD COLUMN IF NOT EXISTS `due` Int64 COMMENT 'tokens' CODEC(T64, ZSTD(1)) AFTER `rate`,
    ADD COLUMN IF NOT EXISTS `served` Int64 COMMENT 'tokens' CODEC(T64, ZSTD(1)) AFTER `due`,
    ADD COLUMN IF NOT EXISTS `wanted` Int64 COMMENT 'tokens' CODEC(T64, ZSTD(1)) AFTER `served`,
    ADD COLUMN IF NOT EXISTS `factor` Int64 COMMENT 'millionths; What its weight is multiplied by.' CODEC(T64, ZSTD(1)) AFTER `wanted`,
    ADD COLUMN IF NOT EXISTS `topic` LowCardinality(String) COMMENT 'topic of the record that the row landed from' CODEC(ZSTD(1)) AFTER `factor`,
    ADD COLUMN IF NOT EXISTS `partition` Int32 COMMENT 'partition of that record' CODEC(T64, ZSTD(1)) AFTER `topic`,
    ADD COLUMN IF NOT EXISTS `offset` Int64 COMMENT 'offset of that record' CODEC(DoubleDelta, ZSTD(1)) AFTER `partition`,
    ADD COLUMN IF NOT EXISTS `record_row` Int32 COMMENT 'place of the row among those of its record, from 0' CODEC(T64, ZSTD(1)) AFTER `offset`,
    ADD COLUMN IF NOT EXISTS `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)) AFTER `record_row`,
    ADD INDEX IF NOT EXISTS `journal` `journal_offset` TYPE minmax GRANULARITY 1;
CREATE OR REPLACE VIEW `bourse`.`debts`
(
    `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition',
    `journal_offset` Int64 COMMENT 'offset in the topic\'s partition',
    `fact_index` Int64 COMMENT 'count',
    `at` DateTime64(3, 'UTC') COMMENT 'milliseconds since 1970, UTC',
    `tick` Int64 COMMENT 'ticks since 1970',
    `period` Int64 COMMENT 'periods since 1970',
    `tenant` String COMMENT 'id of the tenant',
    `debt` Int64 COMMENT 'thousandths of a token; What the tenant is owed; below 0: what it owes.',
    `rate` Int64 COMMENT 'tokens per second; What it is entitled to in the long run, which debt is measured by.',
    `due` Int64 COMMENT 'tokens',
    `served` Int64 COMMENT 'tokens',
    `wanted` Int64 COMMENT 'tokens',
    `factor` Int64 COMMENT 'millionths; What its weight is multiplied by.',
    `topic` LowCardinality(String) COMMENT 'topic of the record that the row landed from',
    `partition` Int32 COMMENT 'partition of that record',
    `offset` Int64 COMMENT 'offset of that record',
    `record_row` Int32 COMMENT 'place of the row among those of its record, from 0',
    `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC'
)
AS SELECT `pool`, `journal_offset`, `fact_index`, `at`, `tick`, `period`, `tenant`, `debt`, `rate`, `due`, `served`, `wanted`, `factor`, `topic`, `partition`, `offset`, `record_row`, `landed_at` FROM `bourse`.`debts_landed` FINAL SETTINGS do_not_merge_across_partitions_select_final = 0
COMMENT 'a tenant\'s debt from one tick on';
