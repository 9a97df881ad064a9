"""A gateway that is measured, whole or without parts of it: `gateway_served.py VARIANT UPSTREAM_PORT KEYS DIRECTORY KAFKA`.

It tells its port and the keys that open it on a line. All variants are the same proxy (streams/gateway); they differ in what
decides and in what is written down.
"""

from __future__ import annotations

import json
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import StrEnum
from pathlib import Path
from typing import cast

import uvicorn
from starlette.applications import Starlette

from processors.admission import KNOTS, Allowance
from processors.entitlement import Capacity, Quota, TenantLimits
from processors.waiting import Rules as WaitingRules
from schemas.published import Tier
from streams.api_keys import ApiKeys, new_key
from streams.collector import relax_collector, spare_present_objects
from streams.gateway.answers import Failure
from streams.gateway.app import gateway_app
from streams.gateway.arriving import Rules
from streams.gateway.counting import estimated
from streams.gateway.desk import Desk, Need
from streams.gateway.exchange import Gate
from streams.gateway.listening import Listening
from streams.gateway.metered import Metered
from streams.gateway.metrics import Metrics
from streams.gateway.upstream import Upstream
from streams.gateway.write_ahead import Begun, Ended, WriteAhead
from streams.limits import PoolLimits
from streams.settings import Settings

POOL = "llm"
_PLENTY = 10**12


class Variant(StrEnum):
    """What of a gateway is served."""

    BARE = "bare"
    """The proxy alone: everybody is let in, nothing is written down."""
    ADMITS = "admits"
    """Admission and settlement, nothing is written down."""
    WRITES = "writes"
    """With the write-ahead file, which nobody publishes."""
    WHOLE = "whole"
    """As it is served: what was written is published."""


class Open:
    """A desk that lets everybody in and remembers nothing."""

    pool = POOL
    in_flight = waiting = 0
    ready = True

    async def ask(self, need: Need) -> Failure | None:
        """It runs."""

    def settle(self, request: str, input_tokens: int, output_tokens: int) -> None:
        """It costs nothing."""

    def allowance(self, tenant: str) -> Allowance | None:
        """Nobody is limited."""


class Unwritten:
    """Where nothing is written down."""

    running = 0

    def begin(self, begun: Begun) -> None:
        """It is not remembered."""

    def end(self, ended: Ended) -> None:
        """Nor what it came to."""


def gateway(variant: Variant, upstream: int, keys: int, directory: Path, kafka: str) -> tuple[Starlette, list[str]]:
    """The application, and keys that open it, each of a tenant of its own with limits in all dimensions that are never reached."""
    settings = Settings(home=directory, kafka=kafka)
    opening_ms = time.time_ns() // 1_000_000 - time.monotonic_ns() // 1_000_000

    def now_ms() -> int:
        return opening_ms + time.monotonic_ns() // 1_000_000

    known = ApiKeys(settings)
    issued = [new_key(f"tenant-{number:03}") for number in range(keys)]
    known.known.update({each.key.id: each.key for each in issued})
    desk: Desk | Open = Open()
    if variant is not Variant.BARE:
        desk = Desk(POOL, WaitingRules(length=32), 10_000, now_ms)
        quota = Quota(_PLENTY // keys, None, 0)
        tenants = {each.key.tenant: TenantLimits(Tier.ELASTIC, (quota, quota, quota)) for each in issued}
        desk.limit(PoolLimits(Capacity(_PLENTY, _PLENTY, _PLENTY), 16, KNOTS, tenants))
    metered: Metered | WriteAhead | Unwritten = Unwritten()
    if variant is Variant.WRITES:
        metered = WriteAhead(directory / "wal", now_ms())
    elif variant is Variant.WHOLE:
        metered = Metered(settings, "bench", directory / "wal")
    gate = Gate(
        rules=Rules(pool=POOL),
        keys=known,
        desks={POOL: cast("Desk", desk)},
        metered=cast("Metered", metered),
        upstream=Upstream(f"http://127.0.0.1:{upstream}"),
        count=estimated,
        now_ms=now_ms,
        metrics=Metrics(),
    )
    gate.metrics.watch(gate.desks)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        await gate.upstream.start()
        if isinstance(metered, Metered):
            metered.start()
        relax_collector()
        spare_present_objects()  # as `bourse gateway` does, and for each variant
        yield
        await gate.upstream.close()
        if isinstance(metered, Metered | WriteAhead):
            metered.close()

    return gateway_app(gate, lambda: None, lifespan), [each.secret for each in issued]


def main() -> None:
    """Serves until it is ended."""
    variant, upstream, keys, directory, kafka = sys.argv[1:]
    app, secrets = gateway(Variant(variant), int(upstream), int(keys), Path(directory), kafka)
    listening = socket.create_server(("127.0.0.1", 0), backlog=2048)
    sys.stdout.write(json.dumps({"port": listening.getsockname()[1], "keys": secrets}) + "\n")
    sys.stdout.flush()
    config = uvicorn.Config(
        app, http=Listening, ws="none", loop="uvloop", access_log=False, log_config=None, server_header=False, proxy_headers=False
    )
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
