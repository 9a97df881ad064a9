"""`bourse ext-authz`: admission and settlement for gateways of others: Envoy, LiteLLM."""

from __future__ import annotations

import asyncio
import logging
from typing import Annotated

import typer
from rich.console import Console

from infra.commands import gateway
from streams.errors import UserError
from streams.settings import Settings

Port = Annotated[int, typer.Option(min=0, max=65_535, help="Port for Envoy's ext_authz (gRPC); 0: a free one.")]
HttpPort = Annotated[int, typer.Option(min=0, max=65_535, help="Port for /whose, /admit and /settle; 0: a free one.")]
SettleWithin = Annotated[
    float, typer.Option(min=1, help="A request that nobody has settled by then is settled at its reservation, seconds.")
]


def ext_authz(
    *,
    pool: gateway.Pool = None,
    model: gateway.Models = None,
    name: gateway.Name = "ext-authz",
    host: gateway.Host = None,
    port: Port = 9191,
    http_port: HttpPort = 9192,
    tokenizer: gateway.Tokenizer = None,
    default_output: gateway.DefaultOutput = 1_024,
    queue: gateway.Queue = 32,
    longest_wait_ms: gateway.LongestWait = 10_000,
    burst_ms: gateway.Burst = 10_000,
    settle_within_s: SettleWithin = 600.0,
    drain_s: gateway.Drain = 30.0,
    lease_ms: gateway.Lease = 10_000,
    floor: gateway.Floors = None,
) -> None:
    """Decide for gateways of others, as `bourse gateway` decides for itself: Envoy by gRPC, LiteLLM and others by HTTP.

    They pass requests on; what those used they tell at /settle. Both ports trust who asks: only such gateways may reach them.
    """
    from streams.gateway.beside_running import serve  # noqa: PLC0415  half a second that other commands need not wait

    settings = Settings.load()
    logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    choices = gateway.chosen(
        settings,
        name,
        pool=pool,
        model=model,
        tokenizer=tokenizer,
        default_output=default_output,
        queue=queue,
        longest_wait_ms=longest_wait_ms,
        burst_ms=burst_ms,
        lease_ms=lease_ms,
        floor=floor,
    )
    at = host or settings.host
    listening = gateway.listen(at, http_port)

    def tell(envoys: int) -> None:
        said = f"serving ext_authz at {at}:{envoys}, http://{at}:{listening.getsockname()[1]}/admit and /settle"
        Console(stderr=True).print(said, markup=False, soft_wrap=True)

    serving = serve(settings, choices, f"{at}:{port}", listening, longest_s=settle_within_s, drain_s=drain_s, tell=tell)
    try:
        asyncio.run(serving)
    except OSError as error:
        raise UserError(f"{choices.directory}: {error.strerror or error}") from error
