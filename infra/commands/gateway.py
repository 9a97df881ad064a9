"""`bourse gateway`: real requests, admitted by what their tenants are entitled to, passed on, measured and settled."""

from __future__ import annotations

import logging
import re
import resource
import socket
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from schemas.published import Tier
from streams.errors import BadInput, UserError
from streams.settings import Settings

if TYPE_CHECKING:
    from streams.gateway.running import Choices

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
"""A directory's name, and with a request's number the id of an event."""

KEEP_S = 15
"""An idle connection is kept for longer than clients keep theirs (OpenAI's: 5 s), so that none is closed on a request just sent."""

Url = Annotated[str, typer.Option(help="The OpenAI-compatible server behind it: vLLM, SGLang, llama.cpp, bourse backend.")]
Pool = Annotated[str | None, typer.Option(help="Pool of every model that --model does not name.")]
Models = Annotated[list[str] | None, typer.Option(metavar="MODEL=POOL", help="A model and its pool; several times for several.")]
Name = Annotated[str, typer.Option(help="Of this gateway; no two that run may share one.")]
Host = Annotated[str | None, typer.Option(help="Address to listen at; default: BOURSE_HOST.")]
Port = Annotated[int, typer.Option(min=0, max=65_535, help="Port to listen at; 0: a free one.")]
MetricsPort = Annotated[int | None, typer.Option(min=0, max=65_535, help="Port of /metrics for Prometheus; default: none.")]
MetricsHost = Annotated[str, typer.Option(help="Address of /metrics. It tells of all tenants' requests: not for tenants.")]
UpstreamKey = Annotated[str | None, typer.Option(envvar="BOURSE_UPSTREAM_KEY", help="API key that upstream wants.")]
Tokenizer = Annotated[Path | None, typer.Option(help="A tokenizer.json to count input by; default: a token for each 4 bytes.")]
DefaultOutput = Annotated[int, typer.Option(min=1, help="Most output tokens where a request names none.")]
Queue = Annotated[int, typer.Option(min=0, help="Most requests of a tenant that wait for its own limit; 0: none waits.")]
LongestWait = Annotated[int, typer.Option(min=1, help="Longest that one waits, milliseconds.")]
Burst = Annotated[int, typer.Option(min=1, help="How much of a rate may be spent at once, ms; a request must fit into it.")]
Lease = Annotated[int, typer.Option(min=2_000, max=120_000, help="How long its share holds while Kafka or the engine is away, ms.")]
Floors = Annotated[
    list[str] | None,
    typer.Option(metavar="TIER=PART", help="Part of its limits that a tier goes on with when the share has lapsed; else nothing."),
]
Drain = Annotated[
    float,
    typer.Option(min=0, max=3_600, help="Asked to stop, it refuses what is new, and what runs may go on for so long, seconds."),
]
Silence = Annotated[float, typer.Option(min=0.1, help="Longest that upstream may be silent, seconds.")]


def gateway(
    upstream: Url,
    *,
    pool: Pool = None,
    model: Models = None,
    name: Name = "gateway",
    host: Host = None,
    port: Port = 8080,
    metrics_port: MetricsPort = None,
    metrics_host: MetricsHost = "127.0.0.1",
    upstream_key: UpstreamKey = None,
    tokenizer: Tokenizer = None,
    default_output: DefaultOutput = 1_024,
    queue: Queue = 32,
    longest_wait_ms: LongestWait = 10_000,
    burst_ms: Burst = 10_000,
    silence_s: Silence = 300.0,
    lease_ms: Lease = 10_000,
    floor: Floors = None,
    drain_s: Drain = 30.0,
) -> None:
    """Put this in front of any OpenAI-compatible server: tenants with API keys get what their pool's limits give them.

    Requests are admitted by cost, passed on unchanged, measured once, and settled at what the server reports.
    """
    import uvicorn  # noqa: PLC0415  with all below: half a second that other commands need not wait

    from streams.gateway.draining import Draining  # noqa: PLC0415  as above
    from streams.gateway.listening import Listening  # noqa: PLC0415  as above
    from streams.gateway.running import build  # noqa: PLC0415  as above
    from streams.gateway.upstream import Patience, Upstream  # noqa: PLC0415  as above

    settings = Settings.load()
    if not upstream.startswith(("http://", "https://")):
        raise BadInput(f"--upstream: {upstream!r} is no URL: http://… or https://…")
    logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    choices = chosen(
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
    most_files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with suppress(ValueError, OSError):  # systems that allow less than they say (macOS): it stays as it is
        resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))  # two for each request; shells give 1,024
    listening = listen(host or settings.host, port)
    try:
        behind = Upstream(upstream, upstream_key, Patience(silence_s=silence_s))
        app, parts = build(settings, choices, behind, None if metrics_port is None else (metrics_host, metrics_port))
    except OSError as error:
        raise UserError(f"{choices.directory}: {error.strerror or error}") from error
    where = f"http://{listening.getsockname()[0]}:{listening.getsockname()[1]}"
    Console(stderr=True).print(f"serving {where}/v1 in front of {upstream}", markup=False, soft_wrap=True)
    config = uvicorn.Config(
        app,
        http=Listening,
        ws="none",
        loop="uvloop",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_keep_alive=KEEP_S,
        proxy_headers=False,
    )
    server = Draining(config, parts, drain_s)
    server.run(sockets=[listening])  # SIGINT, by which a part says that it can't go on, or a person, ends in KeyboardInterrupt
    if not server.started:
        raise UserError("the gateway could not start: the lines above say why")


def chosen(
    settings: Settings,
    name: str,
    *,
    pool: str | None,
    model: list[str] | None,
    tokenizer: Path | None,
    default_output: int,
    queue: int,
    longest_wait_ms: int,
    burst_ms: int,
    lease_ms: int,
    floor: list[str] | None,
) -> Choices:
    """What every kind of gateway takes on its command line.

    Raises:
        BadInput: an option can't be meant.
    """
    from processors.waiting import Rules as WaitingRules  # noqa: PLC0415  as above
    from streams.gateway.arriving import Rules  # noqa: PLC0415  half a second, as above
    from streams.gateway.counting import by_tokenizer, estimated  # noqa: PLC0415  half a second, as above
    from streams.gateway.leased import FailSafe  # noqa: PLC0415  half a second, as above
    from streams.gateway.running import Choices  # noqa: PLC0415  half a second, as above

    if not NAME.fullmatch(name):
        raise BadInput(f"--name: {name!r} is not 1 to 64 letters, digits, dots, dashes or underscores")
    models = dict(_pair(each) for each in model or ())
    if pool is None and not models:
        raise BadInput("--pool or --model is needed: whose capacity is it that requests use?")
    return Choices(
        name=name,
        rules=Rules(pool=pool, models=models, default_output=default_output),
        waiting=WaitingRules(length=queue, longest_ms=longest_wait_ms),
        count=estimated if tokenizer is None else by_tokenizer(tokenizer),
        burst_ms=burst_ms,
        directory=settings.home / "gateways" / name,
        fail_safe=FailSafe(dict(_floor(each) for each in floor or ())),
        lease_ms=lease_ms,
    )


def _pair(text: str) -> tuple[str, str]:
    model, equals, pool = text.rpartition("=")
    if not (model and equals and pool):
        raise BadInput(f"--model: {text!r} is not MODEL=POOL")
    return model, pool


def _floor(text: str) -> tuple[Tier, int]:
    tier, _, part = text.partition("=")
    try:
        millionths = int(Decimal(part) * 1_000_000)
        if tier in set(Tier) and 0 < millionths <= 1_000_000:
            return Tier(tier), millionths
    except ArithmeticError:
        pass
    raise BadInput(f"--floor: {text!r} is not TIER=PART, such as guaranteed=0.5; tiers are {', '.join(Tier)}")


def listen(host: str, port: int) -> socket.socket:
    """A listening socket.

    Raises:
        UserError: nobody can listen there.
    """
    try:
        return socket.create_server((host, port), backlog=2048, reuse_port=False)
    except OSError as error:
        raise UserError(f"can't listen at {host}:{port}: {error.strerror or error}") from error
