"""What a tenant's outcome of a period comes to, as SQL that views and rollups share: was it short, why, could it have sold."""

from __future__ import annotations

WHY_COMMENT = (
    "capacity_fell: its base was not there; sold: it had enough and sold it; outbid: others were before it; "
    "bid_less: it did not ask for all, by its elasticity, budget or price limit"
)

WHY = "multiIf(a.shortfall > 0, 'capacity_fell', a.base + a.surplus >= a.demand, 'sold', a.surplus < a.bid, 'outbid', 'bid_less')"
"""Of an allocation `a` that was short."""

SHORT = "greatest(a.demand - a.allocated, 0)"
WAS_SHORT = "a.demand > a.allocated OR a.shortfall > 0"

OUTCOMES = f"""SELECT
        a.pool AS pool, a.period AS period, a.period_start AS period_start, a.tenant AS tenant,
        a.base AS base, a.demand AS demand, a.bid AS bid, a.surplus AS surplus, a.bought AS bought, a.sold AS sold,
        a.allocated AS allocated, a.used AS used, a.price AS price, a.charge AS charge, a.shortfall AS shortfall,
        if({WAS_SHORT}, {WHY}, '') AS why,
        {SHORT} AS short,
        greatest(a.allocated - a.used, 0) AS idle,
        sum(toInt128(short)) OVER (PARTITION BY a.pool, a.period, a.period_start) - short AS others_short,
        least(toInt128(idle), others_short) AS sellable
    FROM {{found}}"""  # noqa: S608  SQL of ours
"""Every allocation of what is found, read as `a`, beside the needs of others of its pool's period.

The window is a pool's period: what is asked of a stretch of time, or of a pool, narrows it before it is computed.
"""
