"""The engine's web view: pools and tenants as they are now, answered by the worker that owns the pool."""

from __future__ import annotations

from typing import Any

import faust
import numpy as np
from faust.types.tables import CollectionT
from faust.types.web import Request, Response
from faust.web import View

from processors.loops.bases import lent
from processors.loops.state import Slots
from processors.periods import outcomes
from processors.state import PoolState
from processors.told import OptionalLongs
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
        (row,) = tenant_rows(found, np.array([slot]))
        return view.json({"pool": pool, **_period(found), **row, **tenant_market(found, slot)})


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
        "tenants": tenant_rows(pool, pool.tenants.order()),
    }


def tenant_rows(pool: PoolState, slots: Slots) -> list[dict[str, Any]]:
    """What the open period gives tenants and what they have used of it; money in nanocredits.

    The columns of `allocations`, so far; `boost` and `paid` of `sla_periods`; of the profile in force what these do not tell.
    """
    tenants = pool.tenants
    profiles = {name: OptionalLongs(tenants[name][slots]) for name in ("version", "sla_ms", "budget", "spent")}
    columns = {**outcomes(pool, slots), **lent(pool, slots), **profiles}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
