"""The autoscaler's process: follows the topic, answers HTTP and gRPC, ends when told to."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable

import uvicorn

from streams.errors import UserError
from streams.scaling.keda.scaler import keda_server
from streams.scaling.scales import Scales, follow
from streams.scaling.web import scaling_app
from streams.settings import Settings

GRACE_S = 5
"""For answers that are under way when it ends."""


async def serve(settings: Settings, listening: socket.socket, keda: str | None, tell: Callable[[int | None], None]) -> None:
    """Until it is interrupted.

    Args:
        settings: how to reach Kafka.
        listening: where HTTP is answered.
        keda: host:port of the external scaler; None: none is served.
        tell: given the external scaler's port once it is known.

    Raises:
        Unavailable: Kafka does not answer, or denies access.
        UserError: the external scaler can't listen.
    """
    scales = Scales()
    config = uvicorn.Config(
        scaling_app(scales), access_log=False, log_config=None, server_header=False, timeout_graceful_shutdown=GRACE_S
    )
    server = uvicorn.Server(config)
    async with contextlib.AsyncExitStack() as stack:
        if keda is None:
            tell(None)
        else:
            tell(await _serve_keda(scales, keda, stack))
        following = asyncio.create_task(follow(settings, scales))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            await asyncio.wait({following, serving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            server.should_exit = True
            following.cancel()
            await asyncio.gather(following, serving, return_exceptions=True)
        for task in (following, serving):
            if not task.cancelled():
                task.result()  # raises what ended it


async def _serve_keda(scales: Scales, address: str, stack: contextlib.AsyncExitStack) -> int:
    try:
        server, port = keda_server(scales, address)
    except RuntimeError as error:
        raise UserError(f"can't listen at {address} for KEDA") from error
    await server.start()
    stack.push_async_callback(server.stop, GRACE_S)
    return port
