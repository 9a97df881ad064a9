"""`bourse backend`: an OpenAI-compatible server without a model, for trying things out."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from infra.backend.app import Backend
from infra.backend.counted import Counted
from infra.backend.server import BackendServer
from infra.simulate.machine import BATCHED_TOKENS, BLOCK_TOKENS, KV_BLOCKS, SEQUENCES, Machine
from infra.simulate.saturated import saturated
from streams.errors import BadInput, Unavailable

REFERENCE = (1024, 128)
"""Input and output tokens of the requests in which --tokens-per-s is stated: those of the sweep in machine.py."""
QUEUED_CONNECTIONS = 2048


def backend(
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0: a free one, which is printed.")] = 8000,
    replicas: Annotated[int, typer.Option(min=1, max=64, help="Modelled replicas, each with a queue of its own.")] = 1,
    kv_blocks: Annotated[int, typer.Option(min=16, max=1 << 24, help=f"Of a replica, of {BLOCK_TOKENS} tokens.")] = KV_BLOCKS,
    concurrency: Annotated[int, typer.Option(min=1, max=BATCHED_TOKENS - 1, help="Requests at once in a replica.")] = SEQUENCES,
    speed: Annotated[float | None, typer.Option(min=0.001, max=1000, help="How many times as fast as the modelled GPU.")] = None,
    tokens_per_s: Annotated[
        int | None, typer.Option(min=1, help="The same said otherwise: tokens, in and out, of a full replica (1,024 in, 128 out).")
    ] = None,
    fail_rate: Annotated[float, typer.Option(min=0, max=1, help="Of the requests, evenly: answered 500.")] = 0.0,
    counts: Annotated[Path | None, typer.Option(help="File that keeps what `/counted` tells, also after kill -9.")] = None,
) -> None:
    """Serve OpenAI's API with no model behind it: the timing and the memory of one, simulated in real time."""
    if speed is not None and tokens_per_s is not None:
        raise BadInput("--speed and --tokens-per-s say the same: give one of them")
    machine = Machine(kv_blocks=kv_blocks, sequences=concurrency)
    full = _full(machine)
    if tokens_per_s is not None:
        speed = tokens_per_s / full
    speed = speed or 1.0
    listening = _listen(host, port)
    serving = Backend(machine, Counted(counts), replicas=replicas, speed=speed, fail_rate=fail_rate)
    address = f"[{host}]" if ":" in host else host
    console = Console()
    console.print(
        f"simulated backend (no model) on http://{address}:{listening.getsockname()[1]}/v1, model `simulated`\n"
        f"{replicas} × {kv_blocks:,} KV blocks, {concurrency} at once, {speed * full:,.0f} tokens/s when full; Ctrl-C ends it",
        highlight=False,
        soft_wrap=True,
    )
    BackendServer(serving).run(sockets=[listening])


def _full(machine: Machine) -> float:
    """Tokens per second of a replica with requests like `REFERENCE`, or as large as fit."""
    context = machine.kv_blocks * BLOCK_TOKENS
    return saturated(machine, [(min(REFERENCE[0], context // 2), min(REFERENCE[1], context // 4))]).tokens


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=QUEUED_CONNECTIONS)
    except socket.gaierror as error:
        raise BadInput(f"--host {host}: {error.strerror}") from None
    except OSError as error:
        raise Unavailable(f"{host}:{port}: {error.strerror}: give another --port, or 0 for a free one") from None
