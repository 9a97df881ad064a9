CREATE OR REPLACE VIEW `bourse`.`costs`
(
    `pool` LowCardinality(String) COMMENT 'id of the pool',
    `period` Int64 COMMENT 'periods since 1970, whose tokens these are',
    `period_start` DateTime64(3, 'UTC') COMMENT 'when the period began, UTC',
    `tenant` String COMMENT 'id of the tenant',
    `paid_for` LowCardinality(String) COMMENT 'allocated (base and surplus), bought or sold (in the market)',
    `tokens` Int128 COMMENT 'tokens allocated, bought or sold; negative: bought, and not delivered',
    `cost` Int128 COMMENT 'nanocredits, fees included; negative: earned, or paid back'
)
AS SELECT
    c.pool AS `pool`,
    c.period AS `period`,
    c.period_start AS `period_start`,
    c.tenant AS `tenant`,
    c.paid_for AS `paid_for`,
    c.tokens AS `tokens`,
    c.cost AS `cost`
FROM
(
    SELECT
        a.pool AS pool, a.period AS period, a.period_start AS period_start, a.tenant AS tenant, 'allocated' AS paid_for,
        toInt128(a.base) + a.surplus AS tokens, toInt128(a.charge) AS cost
    FROM `bourse`.allocations AS a
    UNION ALL
    SELECT m.pool, m.period, p.period_start, m.side.1, m.side.2, m.side.3, m.side.4
    FROM
    (
        SELECT s.pool AS pool, s.period AS period, arrayJoin([
            (s.buyer, 'bought', toInt128(s.tokens), toInt128(s.paid)),
            (s.seller, 'sold', toInt128(s.tokens), if(s.kind = 'delivered', -toInt128(s.earned), 0))
        ]) AS side
        FROM `bourse`.settlements AS s
        UNION ALL
        SELECT d.pool, d.period, arrayJoin([
            (d.tenant, 'bought', -toInt128(d.shortfall), -toInt128(d.refunded)),
            (d.tenant, 'sold', toInt128(0), -toInt128(d.earned))
        ])
        FROM `bourse`.deliveries AS d
    ) AS m
    INNER JOIN `bourse`.periods AS p ON p.pool = m.pool AND p.period = m.period
    WHERE m.side.1 != ''
) AS c
WHERE c.tokens != 0 OR c.cost != 0
COMMENT 'something that a tenant paid or earned for a period: its allocation, or a trade, once its period has closed';
