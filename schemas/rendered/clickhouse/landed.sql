CREATE TABLE IF NOT EXISTS `bourse`.`landed_through`
(
    `topic` LowCardinality(String) COMMENT 'topic' CODEC(ZSTD(1)),
    `partition` Int32 COMMENT 'partition number' CODEC(ZSTD(1)),
    `through` Int64 COMMENT 'offset up to which, itself included, everything has landed' CODEC(ZSTD(1)),
    `journal_offset` Int64 DEFAULT -1 COMMENT 'of the topic facts: the journal offset of the last fact up to there; else -1' CODEC(ZSTD(1)),
    `fact_index` Int64 DEFAULT -1 COMMENT 'index of that fact among those of its journal record; else -1' CODEC(ZSTD(1)),
    `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC' CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree(`through`)
ORDER BY (`topic`, `partition`)
COMMENT 'how far the sink is: every landed batch; query landed instead';
ALTER TABLE `bourse`.`landed_through`
    ADD COLUMN IF NOT EXISTS `topic` LowCardinality(String) COMMENT 'topic' CODEC(ZSTD(1)) FIRST,
    ADD COLUMN IF NOT EXISTS `partition` Int32 COMMENT 'partition number' CODEC(ZSTD(1)) AFTER `topic`,
    ADD COLUMN IF NOT EXISTS `through` Int64 COMMENT 'offset up to which, itself included, everything has landed' CODEC(ZSTD(1)) AFTER `partition`,
    ADD COLUMN IF NOT EXISTS `journal_offset` Int64 DEFAULT -1 COMMENT 'of the topic facts: the journal offset of the last fact up to there; else -1' CODEC(ZSTD(1)) AFTER `through`,
    ADD COLUMN IF NOT EXISTS `fact_index` Int64 DEFAULT -1 COMMENT 'index of that fact among those of its journal record; else -1' CODEC(ZSTD(1)) AFTER `journal_offset`,
    ADD COLUMN IF NOT EXISTS `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC' CODEC(ZSTD(1)) AFTER `fact_index`;
CREATE OR REPLACE VIEW `bourse`.`landed`
(
    `topic` LowCardinality(String) COMMENT 'topic',
    `partition` Int32 COMMENT 'partition number',
    `through` Int64 COMMENT 'offset up to which, itself included, everything has landed',
    `journal_offset` Int64 COMMENT 'of the topic facts: the journal offset of the last fact up to there; else -1',
    `fact_index` Int64 COMMENT 'index of that fact among those of its journal record; else -1',
    `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC'
)
AS SELECT `topic`, `partition`, `through`, `journal_offset`, `fact_index`, `landed_at` FROM `bourse`.`landed_through` FINAL SETTINGS do_not_merge_across_partitions_select_final = 0
COMMENT 'how far each topic partition has landed';
