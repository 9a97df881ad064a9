"""The engine's web view: pools and tenants as they are now, answered by the worker that owns the pool."""

from __future__ import annotations

from typing import Any

import faust
from faust.types.tables import CollectionT
from faust.types.web import Request, Response
from faust.web import View

from processors.state import PoolState
from processors.tenants import NO_CAP
from streams.partitioning import home_partition
from streams.roles.engine import Engine
from streams.web_market import tenant_market


def serve_state(app: faust.App, table: CollectionT, engine: Engine) -> None:
    """Add the pages `/pools`, `/pools/{pool}`, `/pools/{pool}/period` and `/pools/{pool}/tenants/{tenant}` to the app's web view.

    The first tells of the pools of this worker only; the others are passed on to the worker that owns the pool.
    """

    def missing(view: View, pool: str) -> Response:
        if home_partition(pool.encode(), app.conf.topic_partitions) not in engine.states():
            return view.error(503, f"pool: {pool!r} is another worker's, or none's at this moment")
        return view.error(404, f"pool: {pool!r} is not defined")

    @app.page("/pools")
    async def pools(view: View, request: Request) -> Response:  # noqa: ARG001  Faust's signature
        return view.json({pool.name: _period(pool) for pool in _pools(engine).values()})

    @app.page("/pools/{pool}")
    @app.table_route(table, match_info="pool")
    async def pool_page(view: View, request: Request, pool: str) -> Response:  # noqa: ARG001  Faust's signature
        found = _pools(engine).get(pool)
        if found is None:
            return missing(view, pool)
        return view.json(_pool(found))

    @app.page("/pools/{pool}/period")
    @app.table_route(table, match_info="pool")
    async def period_page(view: View, request: Request, pool: str) -> Response:  # noqa: ARG001  Faust's signature
        found = _pools(engine).get(pool)
        return missing(view, pool) if found is None else view.json({"pool": pool, **_period(found)})

    @app.page("/pools/{pool}/tenants/{tenant}")
    @app.table_route(table, match_info="pool")
    async def tenant_page(view: View, request: Request, pool: str, tenant: str) -> Response:  # noqa: ARG001  Faust's signature
        found = _pools(engine).get(pool)
        if found is None:
            return missing(view, pool)
        slot = found.tenants.slots.get(tenant)
        if slot is None:
            return view.error(404, f"tenant: {tenant!r} is not known in pool {pool!r}")
        return view.json({"pool": pool, **_period(found), **_tenant(found, slot), **tenant_market(found, slot)})


def _pools(engine: Engine) -> dict[str, PoolState]:
    return {name: pool for state in engine.states().values() for name, pool in state.pools.items()}


def _period(pool: PoolState) -> dict[str, Any]:
    """The last closed period (null before the first ends) and the one that is open."""
    closed = pool.closed_period >= 0
    return {
        "period": pool.closed_period if closed else None,
        "period_start": pool.start_ms(pool.closed_period) if closed else None,
        "closed_at": pool.closed_tick * pool.tick_ms if closed else None,
        "open_period": None if pool.open is None else pool.open.period,
        "open_period_start": None if pool.open is None else pool.start_ms(pool.open.period),
    }


def _pool(pool: PoolState) -> dict[str, Any]:
    terms = pool.declared if pool.open is None else pool.open.terms
    used = int(pool.tenants["used"].sum())
    return {
        "pool": pool.name,
        **_period(pool),
        "period_s": pool.period_s,
        "policy": terms.policy,
        "capacity": terms.capacity,
        "price": None if pool.open is None else pool.open.price,
        "allocated": 0 if pool.open is None else pool.open.allocated,
        "unallocated": 0 if pool.open is None else pool.open.unallocated,
        "used": used,
        "utilisation": used / terms.capacity if terms.capacity else None,
        "tenants": [_tenant(pool, slot) for slot in pool.tenants.order().tolist()],
    }


def _tenant(pool: PoolState, slot: int) -> dict[str, Any]:
    """What the open period gives the tenant and what it has used of it; money in nanocredits."""
    values = {
        name: int(pool.tenants[name][slot])
        for name in (
            "demand",
            "bid",
            "surplus",
            "bought",
            "sold",
            "charge",
            "shortfall",
            "used",
            "requests",
            "version",
            "elasticity",
            "weight",
            "spent",
        )
    }
    base = int(pool.tenants["base_given"][slot])
    return {
        "tenant": pool.tenants.names[slot],
        "base": base,
        "allocated": base + values["surplus"] + values["bought"] - values["sold"],
        **values,
        **{name: _or_none(pool, name, slot) for name in ("budget_left", "rank", "sla_ms", "budget")},
    }


def _or_none(pool: PoolState, column: str, slot: int) -> int | None:
    value = int(pool.tenants[column][slot])
    return None if value == NO_CAP else value
