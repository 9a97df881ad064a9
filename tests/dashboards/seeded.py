"""Rows of pools, as the sink's tables take them: what the pages show of periods, forecasts and backtests."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from databases import START, insert

from streams.clickhouse import connect
from streams.settings import Settings

TENANTS = [f"t{i:02d}" for i in range(12)]
CAPACITY = 10_000
PERIODS = 40
FORETOLD = [100, 110, 0, 130, 120, 150]
"""What tenant `a` of pool `z` used, period by period; in the third one nobody's use was reported."""
BOOSTED, RELEASED = 20, 35
"""Periods in which t02 lent to t00 because of its SLA of 200 ms, and got a part back."""
VARIANTS = ("as recorded", "uniform_price", "max_min")


def seed(settings: Settings) -> None:
    """Forty periods of pool `p`, three of pool `q`: tenant i of pool p is allocated 10·(i + 1) tokens and uses one more.

    Pool `p` has forecasts, of the open period too, and two backtests. Pool `z` has forecasts that can be told by heart.
    """
    client = connect(settings)
    for pool, periods in (("p", PERIODS), ("q", 3)):
        insert(client, settings, "periods", [period_row(pool, n) for n in range(periods)])
        insert(client, settings, "allocations", [allocation_row(pool, n, i) for n in range(periods) for i in range(len(TENANTS))])
    insert(client, settings, "profiles", [{"pool": "p", "tenant": tenant} for tenant in TENANTS])
    insert(
        client, settings, "forecasts", [forecast_row("p", n, TENANTS[i], 10 * i + 9) for n in range(PERIODS + 1) for i in range(12)]
    )
    insert(client, settings, "periods", [period_row("z", n) | {"used": used} for n, used in enumerate(FORETOLD)])
    used = [(n, tenant, share * used) for n, used in enumerate(FORETOLD) for tenant, share in (("a", 1), ("b", 2))]
    insert(client, settings, "allocations", [row_of("z", n) | {"tenant": tenant, "used": tokens} for n, tenant, tokens in used])
    insert(client, settings, "forecasts", [forecast_row("z", n, "a", 120) for n in range(7)])
    insert(client, settings, "sla_periods", [sla_row(n, tenant) for n in range(PERIODS) for tenant in TENANTS[:3]])
    insert(client, settings, "sla", moved(BOOSTED, "t00", 10, "sla_exceeded") + moved(RELEASED, "t00", -4, "sla_holds"))
    insert(
        client,
        settings,
        "sla",
        [row_of("p", n) | {"tenant": "t01", "kind": "verdict", "reason": "sla_not_token_bound"} for n in (30,)],
    )
    for id_, recorded in (("earlier", 1), ("latest", 2)):
        insert(client, settings, "backtests", [backtest_row(id_, place, recorded) for place in range(len(VARIANTS))])
        rows = [backtest_period_row(id_, place, n, recorded) for place in range(len(VARIANTS)) for n in range(30)]
        insert(client, settings, "backtest_periods", rows)


def row_of(pool: str, n: int) -> dict[str, Any]:
    """What identifies a period."""
    return {"pool": pool, "period": n, "period_start": START + timedelta(seconds=5 * n)}


def period_row(pool: str, n: int) -> dict[str, Any]:
    """Of a closed period."""
    allocated = sum(10 * (i + 1) for i in range(len(TENANTS)))
    return {
        **row_of(pool, n),
        "period_s": 5,
        "policy": "seed",
        "capacity": CAPACITY,
        "price": 7,
        "allocated": allocated,
        "used": allocated + len(TENANTS),
        "tenants": len(TENANTS),
    }


def allocation_row(pool: str, n: int, i: int) -> dict[str, Any]:
    """Of one tenant in it."""
    return {
        **row_of(pool, n),
        "tenant": TENANTS[i],
        "base": 10,
        "surplus": 10 * i,
        "allocated": 10 * (i + 1),
        "used": 10 * (i + 1) + 1,
        "charge": 500_000_000,
        "budget_left": None if i % 2 else 2_000_000_000,
    }


def forecast_row(pool: str, n: int, tenant: str, mean: int) -> dict[str, Any]:
    """Of one tenant: quantiles stand above the mean."""
    return {
        **row_of(pool, n),
        "tenant": tenant,
        "forecaster": "mixture",
        "mean": mean,
        "p50": mean,
        "p90": mean + 9,
        "p99": mean + 99,
    }


def sla_row(n: int, tenant: str) -> dict[str, Any]:
    """t00 exceeds its SLA by a quarter until it is boosted; t01 had no request; t02 has no SLA and lends."""
    boost = 10 if BOOSTED <= n < RELEASED else 6 if n >= RELEASED else 0
    known = {
        "t00": {"sla_ms": 200, "latency_ms": 250 if n <= BOOSTED else 150, "requests": 40, "boost": boost},
        "t01": {"sla_ms": 100, "resting": 7},
        "t02": {"paid": boost},
    }
    return {**row_of("p", n), "tenant": tenant, "quantile": "0.99", **known[tenant]}


def moved(n: int, tenant: str, tokens: int, reason: str) -> list[dict[str, Any]]:
    """A move of tokens of bases between a tenant and t02: two rows."""
    to = {"tenant": tenant, "kind": "boost", "before": 50, "after": 50 + tokens, "counterparty": "t02"}
    of = {"tenant": "t02", "kind": "loan", "before": 90, "after": 90 - tokens, "counterparty": tenant, "record_row": 1}
    return [{**row_of("p", n), "reason": reason, "journal_offset": n, **side} for side in (to, of)]


def recorded_at(day: int) -> datetime:
    """When a backtest was recorded."""
    return START + timedelta(days=day)


def backtest_row(id_: str, place: int, recorded: int) -> dict[str, Any]:
    """One variant of a backtest of pool `p`; the latest one's first variant says nothing of its SLA."""
    sla = {"sla_low": "0.9", "sla_high": "0.95"} if place else {}
    return {
        "pool": "p",
        "id": id_,
        "variant": VARIANTS[place],
        "place": place,
        "landed_at": recorded_at(recorded),
        "periods": 30,
        "revenue": 2_000_000_000 * recorded,
        "demand": 1_000,
        "served": 900 + place,
        "unmet": 100 - place,
        "utilisation": "0.75",
        "jain": "0.987",
        "welfare": 800 + place,
        "optimum": 1_000,
        "budget": 10,
        "budget_charged": 5,
        **sla,
    }


def backtest_period_row(id_: str, place: int, n: int, recorded: int) -> dict[str, Any]:
    """One of its periods."""
    amounts = {"price": 7 + place, "revenue": 10**9, "demand": 100, "served": 90 + place, "welfare": 80 + place, "optimum": 100}
    return {**row_of("p", n), "id": id_, "variant": VARIANTS[place], "place": place, "landed_at": recorded_at(recorded), **amounts}
