CREATE OR REPLACE VIEW `bourse`.`positions`
(
    `pool` LowCardinality(String) COMMENT 'id of the pool',
    `period` Int64 COMMENT 'delivery period: whose tokens are traded',
    `tenant` String COMMENT 'id of the tenant; empty: the operator, which earns the fees',
    `bought` Int128 COMMENT 'tokens',
    `sold` Int128 COMMENT 'tokens',
    `transferred` Int128 COMMENT 'tokens given to it by other tenants, less those that it gave away',
    `net` Int128 COMMENT 'bought - sold + transferred, tokens',
    `paid` Int128 COMMENT 'nanocredits for what it bought, its fees included, before refunds',
    `earned` Int128 COMMENT 'nanocredits for what it sold, its fees taken off; the operator: fees',
    `refunded` Int128 COMMENT 'nanocredits paid back as not all was delivered',
    `shortfall` Int128 COMMENT 'tokens bought and not delivered',
    `open_buy` Int128 COMMENT 'tokens that its open orders ask for',
    `open_sell` Int128 COMMENT 'tokens that its open orders offer',
    `held_tokens` Int128 COMMENT 'tokens set aside for its open orders and offered exchanges',
    `held_money` Int128 COMMENT 'nanocredits set aside for the same, without the highest fee on each order'
)
AS SELECT
    p.pool AS `pool`,
    p.period AS `period`,
    p.tenant AS `tenant`,
    sum(p.bought) AS `bought`,
    sum(p.sold) AS `sold`,
    sum(p.transferred) AS `transferred`,
    sum(p.bought - p.sold + p.transferred) AS `net`,
    sum(p.paid) AS `paid`,
    sum(p.earned) + if(sum(p.deliveries) > 0, sum(p.earned_at_delivery), sum(p.to_earn)) AS `earned`,
    sum(p.refunded) AS `refunded`,
    sum(p.shortfall) AS `shortfall`,
    sum(p.open_buy) AS `open_buy`,
    sum(p.open_sell) AS `open_sell`,
    sum(p.open_sell + p.offered_tokens) AS `held_tokens`,
    sum(p.bid_money + p.offered_money) AS `held_money`
FROM
(
    SELECT
        s.pool AS pool, s.period AS period, side.1 AS tenant,
        toInt128(side.2) AS bought, toInt128(side.3) AS sold, toInt128(0) AS transferred,
        toInt128(side.4) AS paid,
        toInt128(if(s.kind = 'delivered', side.5, 0)) AS earned, toInt128(if(s.kind = 'delivered', 0, side.5)) AS to_earn,
        toInt128(0) AS earned_at_delivery, toUInt64(0) AS deliveries, toInt128(0) AS refunded, toInt128(0) AS shortfall,
        toInt128(0) AS open_buy, toInt128(0) AS open_sell, toInt128(0) AS bid_money,
        toInt128(0) AS offered_tokens, toInt128(0) AS offered_money
    FROM `bourse`.settlements AS s
    ARRAY JOIN arrayFilter(
        who -> who.2 != 0 OR who.3 != 0 OR who.5 != 0,
        [(s.buyer, s.tokens, 0, s.paid, 0), (s.seller, 0, s.tokens, 0, s.earned), ('', 0, 0, 0, s.fees)]
    ) AS side
    UNION ALL
    SELECT
        t.pool, t.period, side.1,
        0, 0, if(t.event IN ('done', 'accepted'), toInt128(side.3) - side.2, 0),
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        multiIf(t.event = 'offered', side.4, t.event IN ('accepted', 'cancelled'), -side.4, 0),
        multiIf(t.event = 'offered', side.5, t.event IN ('accepted', 'cancelled'), -side.5, 0)
    FROM `bourse`.transfers AS t
    ARRAY JOIN [(t.tenant, t.tokens, t.for_tokens, t.tokens, t.money), (t.to, t.for_tokens, t.tokens, 0, 0)] AS side
    WHERE t.event != 'rejected'
    UNION ALL
    SELECT d.pool, d.period, d.tenant, 0, 0, 0, 0, 0, 0, d.earned, 1, d.refunded, d.shortfall, 0, 0, 0, 0, 0
    FROM `bourse`.deliveries AS d
    UNION ALL
    SELECT
        o.pool, o.period, o.tenant, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        if(o.side = 'buy', o.open, 0), if(o.side = 'sell', o.open, 0), if(o.side = 'buy', toInt128(o.price) * o.open, 0), 0, 0
    FROM `bourse`.open_orders AS o
) AS p
GROUP BY p.pool, p.period, p.tenant
COMMENT 'what each tenant has traded and offers of each instrument';
