"""What serves the demo's token pool: `bourse backend`, and one `bourse gateway` in front of it, supervised with everything else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from infra.demo.shared_pool import BURST_MS, REPLICA_CONCURRENCY, REPLICA_KV_BLOCKS, REPLICAS
from infra.processes import free_port
from infra.run_state import Beside, Seen, run_beside
from infra.supervised import State
from streams.api_keys import issue
from streams.errors import BadInput, Unavailable
from streams.settings import Settings

READY_S = 60.0
LOOK_EVERY_S = 0.1


class Made(NamedTuple):
    """What the backend counted of a request: tokens that it read and wrote."""

    input: int
    output: int


class Serving:
    """Both.

    Attributes:
        source: the gateway's name, which is in all of its events.
        url: of the gateway, without `/v1`.
        backend_url: of the backend.
    """

    def __init__(self, settings: Settings, pool: str, source: str) -> None:
        self.source = source
        self._settings = settings
        self._pool = pool
        backend, gateway = _two_ports(settings.host)
        self.backend_url, self.url = (f"http://{settings.host}:{port}" for port in (backend, gateway))
        listening = {"backend": backend, "gateway": gateway}
        self._listening = {name: ("--host", settings.host, "--port", str(port)) for name, port in listening.items()}

    def start(self) -> None:
        """Asks for both; they need some seconds.

        Raises:
            UserError: nothing is supervised here.
        """
        replica = ("--kv-blocks", str(REPLICA_KV_BLOCKS), "--concurrency", str(REPLICA_CONCURRENCY))
        backend = ("backend", *self._listening["backend"], "--replicas", str(REPLICAS), *replica)
        gateway = ("gateway", *self._listening["gateway"], "--upstream", self.backend_url, "--pool", self._pool)
        # What is refused is refused at once here: times are those of the model, not of queues before it.
        rules = ("--name", self.source, "--burst-ms", str(BURST_MS), "--queue", "0")
        run_beside(
            self._settings,
            {
                self._names[0]: Beside(backend, f"{self.backend_url}/health"),
                self._names[1]: Beside((*gateway, *rules), f"{self.url}/healthz"),
            },
        )

    def wait(self) -> None:
        """Until both are ready, the gateway with its share of the pool.

        Raises:
            Unavailable: it takes too long.
        """
        deadline = time.monotonic() + READY_S
        while not self._ready():
            if time.monotonic() > deadline:
                late = f"{' and '.join(self._names)} are not ready after {READY_S:.0f} s"
                raise Unavailable(f"{late}: logs are in {self._settings.log_dir}")
            time.sleep(LOOK_EVERY_S)

    def keys(self, tenants: Iterable[str]) -> dict[str, str]:
        """Tenant -> a new API key.

        Raises:
            Unavailable: Kafka does not answer.
        """
        return asyncio.run(self._issue(tenants))

    def scale(self, replicas: int) -> None:
        """So many replicas of the backend take requests from now on; those that run end where they are.

        Raises:
            Unavailable: the backend does not answer.
        """
        self._ask("PUT", "/replicas", {"serving": replicas})

    def made(self) -> dict[str, Made]:
        """What the backend counted when it was at rest, by the request's id.

        Raises:
            Unavailable: the backend does not answer, or something runs for ever.
        """
        deadline = time.monotonic() + READY_S
        while (told := self._ask("GET", "/counted"))["now"]["in_flight"]:
            if time.monotonic() > deadline:
                raise Unavailable(f"{told['now']['in_flight']} requests run in the backend still")
            time.sleep(LOOK_EVERY_S)
        outcomes = ("", "cancelled_", "failed_")  # each request has one
        return {
            name: Made(sum(tally[f"{how}input"] for how in outcomes), sum(tally[f"{how}output"] for how in outcomes))
            for name, tally in told["requests"].items()
        }

    @property
    def _names(self) -> tuple[str, str]:
        return f"{self._pool}-backend", f"{self._pool}-gateway"

    def _ready(self) -> bool:
        seen = Seen.read(self._settings)
        running = {each["name"] for each in seen.processes if each["state"] == State.RUNNING} if seen else set()
        return running.issuperset(self._names)

    async def _issue(self, tenants: Iterable[str]) -> dict[str, str]:
        return {tenant: (await issue(self._settings, tenant, [self._pool], "demo")).secret for tenant in tenants}

    def _ask(self, method: str, path: str, said: object = None) -> dict[str, Any]:
        try:
            answer = httpx.request(method, self.backend_url + path, json=said, timeout=10)
            answer.raise_for_status()
        except httpx.HTTPError as error:
            raise Unavailable(f"the demo's backend at {self.backend_url}: {error}") from error
        told: dict[str, Any] = answer.json()
        return told


def keep_api_keys(secrets: Mapping[str, str], folder: Path) -> None:
    """Writes keys of the gateway, so that a person can ask it afterwards: FOLDER/TENANT.key, for the user's eyes only.

    Raises:
        BadInput: the folder can't be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for tenant, secret in secrets.items():
            path = folder / f"{tenant}.key"
            path.touch(mode=0o600)
            path.write_text(secret + "\n", encoding="ascii")
    except OSError as error:
        raise BadInput(f"{folder}: {error.strerror}") from error


def _two_ports(host: str) -> tuple[int, int]:
    first = second = free_port(host)
    while second == first:
        second = free_port(host)
    return first, second
