CREATE TABLE IF NOT EXISTS `bourse`.`gateway_refusals_landed`
(
    `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition' CODEC(ZSTD(1)),
    `journal_offset` Int64 COMMENT 'offset in the topic\'s partition' CODEC(DoubleDelta, ZSTD(1)),
    `fact_index` Int64 COMMENT 'count' CODEC(T64, ZSTD(1)),
    `at` DateTime64(3, 'UTC') COMMENT 'milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)),
    `gateway` LowCardinality(String) COMMENT 'name of the gateway' CODEC(ZSTD(1)),
    `incarnation` String COMMENT 'one life of the gateway\'s process' CODEC(ZSTD(1)),
    `sequence` Int64 COMMENT 'count' CODEC(T64, ZSTD(1)),
    `reason` LowCardinality(String) COMMENT 'why' CODEC(ZSTD(1)),
    `detail` String COMMENT 'text' CODEC(ZSTD(1)),
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
PRIMARY KEY (`pool`, `gateway`, `at`, `journal_offset`)
ORDER BY (`pool`, `gateway`, `at`, `journal_offset`, `topic`, `partition`, `fact_index`, `record_row`)
COMMENT 'one report of a gateway that was not taken: every landed copy; query gateway_refusals instead';
ALTER TABLE `bourse`.`gateway_refusals_landed`
    ADD COLUMN IF NOT EXISTS `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition' CODEC(ZSTD(1)) FIRST,
    ADD COLUMN IF NOT EXISTS `journal_offset` Int64 COMMENT 'offset in the topic\'s partition' CODEC(DoubleDelta, ZSTD(1)) AFTER `pool`,
    ADD COLUMN IF NOT EXISTS `fact_index` Int64 COMMENT 'count' CODEC(T64, ZSTD(1)) AFTER `journal_offset`,
    ADD COLUMN IF NOT EXISTS `at` DateTime64(3, 'UTC') COMMENT 'milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)) AFTER `fact_index`,
    ADD COLUMN IF NOT EXISTS `gateway` LowCardinality(String) COMMENT 'name of the gateway' CODEC(ZSTD(1)) AFTER `at`,
    ADD COLUMN IF NOT EXISTS `incarnation` String COMMENT 'one life of the gateway\'s process' CODEC(ZSTD(1)) AFTER `gateway`,
    ADD COLUMN IF NOT EXISTS `sequence` Int64 COMMENT 'count' CODEC(T64, ZSTD(1)) AFTER `incarnation`,
    ADD COLUMN IF NOT EXISTS `reason` LowCardinality(String) COMMENT 'why' CODEC(ZSTD(1)) AFTER `sequence`,
    ADD COLUMN IF NOT EXISTS `detail` String COMMENT 'text' CODEC(ZSTD(1)) AFTER `reason`,
    ADD COLUMN IF NOT EXISTS `topic` LowCardinality(String) COMMENT 'topic of the record that the row landed from' CODEC(ZSTD(1)) AFTER `detail`,
    ADD COLUMN IF NOT EXISTS `partition` Int32 COMMENT 'partition of that record' CODEC(T64, ZSTD(1)) AFTER `topic`,
    ADD COLUMN IF NOT EXISTS `offset` Int64 COMMENT 'offset of that record' CODEC(DoubleDelta, ZSTD(1)) AFTER `partition`,
    ADD COLUMN IF NOT EXISTS `record_row` Int32 COMMENT 'place of the row among those of its record, from 0' CODEC(T64, ZSTD(1)) AFTER `offset`,
    ADD COLUMN IF NOT EXISTS `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)) AFTER `record_row`,
    ADD INDEX IF NOT EXISTS `journal` `journal_offset` TYPE minmax GRANULARITY 1;
CREATE OR REPLACE VIEW `bourse`.`gateway_refusals`
(
    `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition',
    `journal_offset` Int64 COMMENT 'offset in the topic\'s partition',
    `fact_index` Int64 COMMENT 'count',
    `at` DateTime64(3, 'UTC') COMMENT 'milliseconds since 1970, UTC',
    `gateway` LowCardinality(String) COMMENT 'name of the gateway',
    `incarnation` String COMMENT 'one life of the gateway\'s process',
    `sequence` Int64 COMMENT 'count',
    `reason` LowCardinality(String) COMMENT 'why',
    `detail` String COMMENT 'text',
    `topic` LowCardinality(String) COMMENT 'topic of the record that the row landed from',
    `partition` Int32 COMMENT 'partition of that record',
    `offset` Int64 COMMENT 'offset of that record',
    `record_row` Int32 COMMENT 'place of the row among those of its record, from 0',
    `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC'
)
AS SELECT `pool`, `journal_offset`, `fact_index`, `at`, `gateway`, `incarnation`, `sequence`, `reason`, `detail`, `topic`, `partition`, `offset`, `record_row`, `landed_at` FROM `bourse`.`gateway_refusals_landed` FINAL SETTINGS do_not_merge_across_partitions_select_final = 0
COMMENT 'one report of a gateway that was not taken';
