-- Tokens of the latest periods by where their count comes from, of one tenant, or of all.
-- Cost: of parts of the table that landed within an hour before the periods shown or later, the pool's tenants, by whom it is sorted.
WITH
    (SELECT max(period) FROM capacity WHERE pool = {pool:String}) AS latest,
    (SELECT min(at) FROM capacity WHERE pool = {pool:String} AND period > latest - {periods:UInt32}) AS since,
    (SELECT max(at) FROM capacity WHERE pool = {pool:String}) AS until,
    1000 * greatest(2, intDiv(dateDiff('second', since, until) + 119, 120)) AS span_ms
SELECT
    fromUnixTimestamp64Milli(intDiv(toUnixTimestamp64Milli(time), span_ms) * span_ms, 'UTC') AS period_start,
    if(basis = '', '(not said)', basis) AS shown,
    sum(input_tokens + output_tokens) AS tokens
FROM
(
    SELECT time, basis, input_tokens, output_tokens
    FROM usage_events_landed
    WHERE
        pool = {pool:String} AND time >= since AND landed_at >= since - INTERVAL 1 HOUR
        AND tenant IN (SELECT tenant FROM profiles WHERE pool = {pool:String})
        AND ({tenant:String} = '' OR tenant = {tenant:String})
    LIMIT 1 BY tenant, source, id
)
GROUP BY period_start, shown
ORDER BY period_start, shown
