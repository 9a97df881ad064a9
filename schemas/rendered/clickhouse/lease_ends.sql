CREATE TABLE IF NOT EXISTS `bourse`.`lease_ends_landed`
(
    `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition' CODEC(ZSTD(1)),
    `journal_offset` Int64 COMMENT 'offset in the topic\'s partition' CODEC(DoubleDelta, ZSTD(1)),
    `fact_index` Int64 COMMENT 'count' CODEC(T64, ZSTD(1)),
    `at` DateTime64(3, 'UTC') COMMENT 'milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)),
    `tick` Int64 COMMENT 'ticks since 1970' CODEC(DoubleDelta, ZSTD(1)),
    `gateway` LowCardinality(String) COMMENT 'name of the gateway' CODEC(ZSTD(1)),
    `incarnation` String COMMENT 'one life of the gateway\'s process' CODEC(ZSTD(1)),
    `number` Int64 COMMENT 'count; Of its last lease; 0: it never had one.' CODEC(T64, ZSTD(1)),
    `reason` LowCardinality(String) COMMENT 'why' CODEC(ZSTD(1)),
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
PRIMARY KEY (`pool`, `gateway`, `tick`)
ORDER BY (`pool`, `gateway`, `tick`, `topic`, `partition`, `journal_offset`, `fact_index`, `record_row`)
COMMENT 'the end of a gateway\'s lease: every landed copy; query lease_ends instead';
ALTER TABLE `bourse`.`lease_ends_landed`
    ADD COLUMN IF NOT EXISTS `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition' CODEC(ZSTD(1)) FIRST,
    ADD COLUMN IF NOT EXISTS `journal_offset` Int64 COMMENT 'offset in the topic\'s partition' CODEC(DoubleDelta, ZSTD(1)) AFTER `pool`,
    ADD COLUMN IF NOT EXISTS `fact_index` Int64 COMMENT 'count' CODEC(T64, ZSTD(1)) AFTER `journal_offset`,
    ADD COLUMN IF NOT EXISTS `at` DateTime64(3, 'UTC') COMMENT 'milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)) AFTER `fact_index`,
    ADD COLUMN IF NOT EXISTS `tick` Int64 COMMENT 'ticks since 1970' CODEC(DoubleDelta, ZSTD(1)) AFTER `at`,
    ADD COLUMN IF NOT EXISTS `gateway` LowCardinality(String) COMMENT 'name of the gateway' CODEC(ZSTD(1)) AFTER `tick`,
    ADD COLUMN IF NOT EXISTS `incarnation` String COMMENT 'one life of the gateway\'s process' CODEC(ZSTD(1)) AFTER `gateway`,
    ADD COLUMN IF NOT EXISTS `number` Int64 COMMENT 'count; Of its last lease; 0: it never had one.' CODEC(T64, ZSTD(1)) AFTER `incarnation`,
    ADD COLUMN IF NOT EXISTS `reason` LowCardinality(String) COMMENT 'why' CODEC(ZSTD(1)) AFTER `number`,
    ADD COLUMN IF NOT EXISTS `topic` LowCardinality(String) COMMENT 'topic of the record that the row landed from' CODEC(ZSTD(1)) AFTER `reason`,
    ADD COLUMN IF NOT EXISTS `partition` Int32 COMMENT 'partition of that record' CODEC(T64, ZSTD(1)) AFTER `topic`,
    ADD COLUMN IF NOT EXISTS `offset` Int64 COMMENT 'offset of that record' CODEC(DoubleDelta, ZSTD(1)) AFTER `partition`,
    ADD COLUMN IF NOT EXISTS `record_row` Int32 COMMENT 'place of the row among those of its record, from 0' CODEC(T64, ZSTD(1)) AFTER `offset`,
    ADD COLUMN IF NOT EXISTS `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)) AFTER `record_row`,
    ADD INDEX IF NOT EXISTS `journal` `journal_offset` TYPE minmax GRANULARITY 1;
CREATE OR REPLACE VIEW `bourse`.`lease_ends`
(
    `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition',
    `journal_offset` Int64 COMMENT 'offset in the topic\'s partition',
    `fact_index` Int64 COMMENT 'count',
    `at` DateTime64(3, 'UTC') COMMENT 'milliseconds since 1970, UTC',
    `tick` Int64 COMMENT 'ticks since 1970',
    `gateway` LowCardinality(String) COMMENT 'name of the gateway',
    `incarnation` String COMMENT 'one life of the gateway\'s process',
    `number` Int64 COMMENT 'count; Of its last lease; 0: it never had one.',
    `reason` LowCardinality(String) COMMENT 'why',
    `topic` LowCardinality(String) COMMENT 'topic of the record that the row landed from',
    `partition` Int32 COMMENT 'partition of that record',
    `offset` Int64 COMMENT 'offset of that record',
    `record_row` Int32 COMMENT 'place of the row among those of its record, from 0',
    `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC'
)
AS SELECT `pool`, `journal_offset`, `fact_index`, `at`, `tick`, `gateway`, `incarnation`, `number`, `reason`, `topic`, `partition`, `offset`, `record_row`, `landed_at` FROM `bourse`.`lease_ends_landed` FINAL SETTINGS do_not_merge_across_partitions_select_final = 0
COMMENT 'the end of a gateway\'s lease';
