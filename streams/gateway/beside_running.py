"""The process that decides for gateways of others: Envoy asks it by gRPC, everybody else by HTTP."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack

import uvicorn

from streams.gateway.beside import Beside
from streams.gateway.beside_http import beside_app
from streams.gateway.draining import Draining
from streams.gateway.ext_authz import authorization_server
from streams.gateway.running import Choices, going, parts_of
from streams.settings import Settings

GRPC_LAST_S = 1
"""For answers of gRPC that are under way: whoever still waits there for its tenant's limit has been told."""
EXPIRE_S = 1.0


async def serve(
    settings: Settings,
    choices: Choices,
    address: str,
    listening: socket.socket,
    *,
    longest_s: float,
    drain_s: float,
    tell: Callable[[int], None],
) -> None:
    """Until it is asked to end, or interrupted. While it ends it admits nothing, and settles what it is told.

    Args:
        settings: how to reach Kafka.
        choices: of the operator.
        address: host:port for Envoy.
        listening: where HTTP is answered.
        longest_s: after which a request that nobody has settled is settled at its reservation.
        drain_s: how long it waits for settlements when it is asked to end; then the rest is settled at its reservation.
        tell: given Envoy's port once it is known.

    Raises:
        Unavailable: Kafka does not answer, or denies access.
        UserError: it can't listen, or another gateway of this name runs.
        OSError: its files can't be written.
    """
    beside = Beside(parts_of(settings, choices), longest_s)
    config = uvicorn.Config(
        beside_app(beside),
        access_log=False,
        log_config=None,
        server_header=False,
        lifespan="off",
    )
    async with AsyncExitStack() as ending:
        await ending.enter_async_context(going(settings, choices, beside.parts))
        expiring = asyncio.create_task(_expire(beside))
        ending.callback(expiring.cancel)
        ending.callback(beside.close)
        server, port = await authorization_server(beside, address)
        ending.push_async_callback(server.stop, GRPC_LAST_S)
        tell(port)
        await Draining(config, beside.parts, drain_s).serve(sockets=[listening])


async def _expire(beside: Beside) -> None:
    while True:
        await asyncio.sleep(EXPIRE_S)
        beside.expire()
