"""`bourse autoscaler`: how many replicas are asked for, for whoever runs them."""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import Annotated

import typer
from rich.console import Console

from streams.errors import UserError
from streams.settings import Settings

Host = Annotated[str | None, typer.Option(help="Address to listen at; default: BOURSE_HOST.")]
Port = Annotated[int, typer.Option(min=0, max=65_535, help="Port of /scale/{pool} and /metrics; 0: a free one.")]
KedaPort = Annotated[int, typer.Option(min=-1, max=65_535, help="Port of KEDA's external scaler (gRPC); 0: a free one, -1: none.")]


def autoscaler(*, host: Host = None, port: Port = 8090, keda_port: KedaPort = 8091) -> None:
    """Tell whoever runs replicas how many are asked for: HTTP, Prometheus metrics, and KEDA's external scaler."""
    from streams.scaling.running import serve  # noqa: PLC0415  gRPC and a web server that other commands need not wait for

    settings = Settings.load()
    logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    address = host or settings.host
    try:
        listening = socket.create_server((address, port))
    except OSError as error:
        raise UserError(f"can't listen at {address}:{port}: {error.strerror or error}") from error

    def tell(keda: int | None) -> None:
        where = f"http://{address}:{listening.getsockname()[1]}/scale"
        external = "" if keda is None else f", KEDA at {address}:{keda}"
        Console(stderr=True).print(f"serving {where}{external}", markup=False, soft_wrap=True)

    asyncio.run(serve(settings, listening, None if keda_port < 0 else f"{address}:{keda_port}", tell))
