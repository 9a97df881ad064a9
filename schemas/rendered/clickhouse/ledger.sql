CREATE TABLE IF NOT EXISTS `bourse`.`ledger`
(
    `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition' CODEC(ZSTD(1)),
    `journal_offset` Int64 COMMENT 'offset in the topic\'s partition' CODEC(DoubleDelta, ZSTD(1)),
    `fact_index` Int64 COMMENT 'count' CODEC(T64, ZSTD(1)),
    `period` Int64 COMMENT 'periods since 1970' CODEC(DoubleDelta, ZSTD(1)),
    `kind` LowCardinality(String) COMMENT 'one of a few words' CODEC(ZSTD(1)),
    `debit_account` String COMMENT 'account that pays' CODEC(ZSTD(1)),
    `credit_account` LowCardinality(String) COMMENT 'account that is paid' CODEC(ZSTD(1)),
    `amount` Int64 COMMENT 'nanocredits' CODEC(T64, ZSTD(1)),
    `topic` LowCardinality(String) COMMENT 'topic of the record that the row landed from' CODEC(ZSTD(1)),
    `partition` Int32 COMMENT 'partition of that record' CODEC(T64, ZSTD(1)),
    `offset` Int64 COMMENT 'offset of that record' CODEC(DoubleDelta, ZSTD(1)),
    `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(landed_at)
ORDER BY (`pool`, `period`, `debit_account`, `credit_account`)
COMMENT 'one posting: what one account paid another';
ALTER TABLE `bourse`.`ledger`
    ADD COLUMN IF NOT EXISTS `pool` LowCardinality(String) COMMENT 'id of the pool; empty for the whole partition' CODEC(ZSTD(1)) FIRST,
    ADD COLUMN IF NOT EXISTS `journal_offset` Int64 COMMENT 'offset in the topic\'s partition' CODEC(DoubleDelta, ZSTD(1)) AFTER `pool`,
    ADD COLUMN IF NOT EXISTS `fact_index` Int64 COMMENT 'count' CODEC(T64, ZSTD(1)) AFTER `journal_offset`,
    ADD COLUMN IF NOT EXISTS `period` Int64 COMMENT 'periods since 1970' CODEC(DoubleDelta, ZSTD(1)) AFTER `fact_index`,
    ADD COLUMN IF NOT EXISTS `kind` LowCardinality(String) COMMENT 'one of a few words' CODEC(ZSTD(1)) AFTER `period`,
    ADD COLUMN IF NOT EXISTS `debit_account` String COMMENT 'account that pays' CODEC(ZSTD(1)) AFTER `kind`,
    ADD COLUMN IF NOT EXISTS `credit_account` LowCardinality(String) COMMENT 'account that is paid' CODEC(ZSTD(1)) AFTER `debit_account`,
    ADD COLUMN IF NOT EXISTS `amount` Int64 COMMENT 'nanocredits' CODEC(T64, ZSTD(1)) AFTER `credit_account`,
    ADD COLUMN IF NOT EXISTS `topic` LowCardinality(String) COMMENT 'topic of the record that the row landed from' CODEC(ZSTD(1)) AFTER `amount`,
    ADD COLUMN IF NOT EXISTS `partition` Int32 COMMENT 'partition of that record' CODEC(T64, ZSTD(1)) AFTER `topic`,
    ADD COLUMN IF NOT EXISTS `offset` Int64 COMMENT 'offset of that record' CODEC(DoubleDelta, ZSTD(1)) AFTER `partition`,
    ADD COLUMN IF NOT EXISTS `landed_at` DateTime64(3, 'UTC') COMMENT 'when the sink took the batch, milliseconds since 1970, UTC' CODEC(DoubleDelta, ZSTD(1)) AFTER `offset`;
