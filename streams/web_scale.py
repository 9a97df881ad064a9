"""How many replicas of a pool are asked for, as the engine's web view shows it."""

from __future__ import annotations

import faust
from faust.types.tables import CollectionT
from faust.types.web import Request, Response
from faust.web import View

from processors.scaling.data import scale_of
from streams.partitioning import home_partition
from streams.roles.engine import Engine
from streams.scaling.telling import shown


def serve_scale(app: faust.App, table: CollectionT, engine: Engine) -> None:
    """Add the page `/scale/{pool}` to the app's web view; it is passed on to the worker that owns the pool."""

    @app.page("/scale/{pool}")
    @app.table_route(table, match_info="pool")
    async def scale_page(view: View, request: Request, pool: str) -> Response:  # noqa: ARG001  Faust's signature
        state = engine.states().get(home_partition(pool.encode(), app.conf.topic_partitions))
        if state is None:
            return view.error(503, f"pool: {pool!r} is another worker's, or none's at this moment")
        if pool not in state.pools:
            return view.error(404, f"pool: {pool!r} is not defined")
        scale = scale_of(state.pools[pool], -1)
        return view.error(404, f"pool: {pool!r} is not scaled") if scale is None else view.json(shown(scale))
