CREATE OR REPLACE VIEW `bourse`.`costs_by_hour`
(
    `pool` LowCardinality(String) COMMENT 'id of the pool',
    `hour` DateTime('UTC') COMMENT 'when the hour begins, UTC',
    `tenant` String COMMENT 'id of the tenant',
    `paid_for` LowCardinality(String) COMMENT 'allocated (base and surplus), bought or sold (in the market)',
    `tokens` Int128 COMMENT 'tokens allocated, bought or sold; negative: bought, and not delivered',
    `cost` Int128 COMMENT 'nanocredits, fees included; negative: earned, or paid back'
)
AS SELECT
    c.pool AS `pool`,
    c.hour AS `hour`,
    c.tenant AS `tenant`,
    c.paid_for AS `paid_for`,
    c.tokens AS `tokens`,
    c.cost AS `cost`
FROM
(
    SELECT
        a.pool AS pool, a.hour AS hour, a.tenant AS tenant, 'allocated' AS paid_for, a.base + a.surplus AS tokens, a.charge AS cost
    FROM `bourse`.allocations_by_hour AS a
    UNION ALL
    SELECT m.pool, toStartOfHour(p.period_start) AS hour, m.side.1, m.side.2, m.side.3, m.side.4
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
COMMENT 'what a tenant paid or earned for the periods that began in an hour: costs, from the rollup of allocations';
