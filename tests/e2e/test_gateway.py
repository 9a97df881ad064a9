"""Two gateways on a real system: a limit that they share, kills, and what stands in ClickHouse in the end."""

from __future__ import annotations

import asyncio
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest
from gateway_world import ScriptedUpstream, served
from system import System, until

from infra.processes import free_port
from schemas.entitlements import ConcurrencyQuota
from schemas.published import PoolCommand, ProfileCommand, Tier
from streams.api_keys import issue
from streams.client import CommandPublisher

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(280)]

POOL, LIMIT = "llm", 20
ROOT = Path(__file__).parents[2]


class Gateway:
    """A process of `bourse gateway`."""

    def __init__(self, system: System, upstream: str, name: str) -> None:
        self.name, self.port = name, free_port()
        self._system, self._upstream = system, upstream
        self.log = system.home / f"{name}.log"
        self.start()

    def start(self) -> None:
        options = [
            "--upstream",
            self._upstream,
            "--pool",
            POOL,
            "--name",
            self.name,
            "--port",
            str(self.port),
            "--lease-ms",
            "2000",
        ]
        environment = {**os.environ, **self._system.settings.as_environment(), "PYTHONPATH": str(ROOT)}
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "infra.cli", "gateway", *options, "--queue", "0", "--default-output", "32"]
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def until_ready(self) -> None:
        def ready() -> bool:
            return httpx.get(f"{self.url}/healthz").status_code == 200

        until(ready, 60, lambda: f"{self.name} ready: {self.log.read_text()[-1500:]}")

    def kill(self) -> None:
        publisher = self.publisher
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        publisher.wait(30)

    @property
    def publisher(self) -> psutil.Process:
        """What publishes what it wrote down."""
        (child,) = (each for each in psutil.Process(self.process.pid).children() if "streams.gateway.publishing" in each.cmdline())
        return child

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(60)


@pytest.fixture(scope="module")
def system(broker: str, clickhouse: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with System(tmp_path_factory.mktemp("home"), kafka=broker, clickhouse=clickhouse, partitions=2) as running:
        with CommandPublisher(running.settings) as operator:
            operator.publish(
                PoolCommand(
                    id="p",
                    pool=POOL,
                    capacity=2_000_000,
                    period_s=2,
                    replicas=1,
                    replica_tokens_per_s=1_000_000,
                    replica_kv_blocks=100_000,
                    replica_concurrency=1_000,
                )
            )
            slots = ConcurrencyQuota(borrowing_limit=LIMIT)
            operator.publish(
                ProfileCommand(id="ann", pool=POOL, tenant="ann", base=0, elasticity="1", tier=Tier.ELASTIC, concurrency=slots)
            )
        yield running


def ask(client: httpx.Client, url: str, key: str, seconds: float) -> int:
    body = {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": 9,
        "metadata": {"seconds": seconds, "pieces": 4},
    }
    try:
        return client.post(f"{url}/v1/chat/completions", json=body, headers={"authorization": f"Bearer {key}"}).status_code
    except httpx.HTTPError:  # killed
        return 0


class Load:
    """Forty clients that ask both gateways until it ends."""

    def __init__(self, gateways: list[Gateway], key: str) -> None:
        self.gateways, self.key = gateways, key
        self.statuses: Counter[int] = Counter()
        self.ended = threading.Event()
        self._pool = ThreadPoolExecutor(40)
        self._running = [self._pool.submit(self._ask_on, number) for number in range(40)]

    def _ask_on(self, number: int) -> None:
        rng = random.Random(number)
        with httpx.Client(timeout=30, verify=False) as client:
            while not self.ended.is_set():
                self.statuses[ask(client, self.gateways[number % 2].url, self.key, rng.uniform(0.02, 0.15))] += 1
                time.sleep(0.02)

    def until_more(self, after: str) -> None:
        before = self.statuses[200]
        until(lambda: self.statuses[200] > before + 100, 90, lambda: f"served after {after}: {self.statuses}")

    def end(self) -> None:
        self.ended.set()
        for each in self._running:
            each.result()
        self._pool.shutdown()


def check_landed(system: System, upstream: ScriptedUpstream, load: Load) -> None:
    landed = system.dicts("SELECT request_id, output_tokens, basis FROM usage_events WHERE tenant = 'ann'")
    by_id = {row["request_id"]: row for row in landed}
    assert len(by_id) == len(landed), "each once"
    assert upstream.told.keys() <= by_id.keys(), "whatever upstream answered"
    otherwise = {name: by_id[name] for name, made in upstream.told.items() if by_id[name]["output_tokens"] != made}
    assert {row["basis"] for row in otherwise.values()} <= {"reserved"}, "only of what nobody could report"
    lost = [row for row in landed if row["basis"] == "reserved"]
    assert all(row["output_tokens"] == 9 for row in lost)
    assert 0 < len(lost) <= 2 * LIMIT, "what ran when a gateway was killed, and no more"
    assert load.statuses[200] <= sum(row["basis"] == "reported" for row in landed)
    assert system.value("SELECT sum(admitted) FROM admission_events WHERE tenant = 'ann'") <= len(landed)


def test_two_gateways_share_a_limit_while_one_is_killed_and_nothing_is_lost_or_doubled(system: System) -> None:
    upstream = ScriptedUpstream()
    server, behind, thread = served(upstream.app())
    gateways = [Gateway(system, behind, name) for name in ("left", "right")]
    load = None
    try:
        for gateway in gateways:
            gateway.until_ready()
        load = Load(gateways, asyncio.run(issue(system.settings, "ann", [POOL])).secret)
        load.until_more("the start")
        for gateway, pause_s in zip(gateways, (0.3, 0.9), strict=True):
            gateway.kill()
            time.sleep(pause_s)
            gateway.start()
            gateway.until_ready()
            load.until_more(f"{gateway.name} was killed")
            gateway.publisher.kill()
            system.kill("engine-1")
            load.until_more("the engine was killed")
        load.end()
        assert upstream.most <= LIMIT, "both together"
        assert upstream.most > LIMIT // 2, "and what one of them leaves the other may use"
        assert [gateway.stop() for gateway in gateways] == [0, 0], gateways[0].log.read_text()[-3000:]
    finally:
        if load is not None:
            load.ended.set()
        for gateway in gateways:
            gateway.process.kill()
        server.should_exit = True
        thread.join(20)
    system.settle()
    check_landed(system, upstream, load)
    for gateway in gateways:
        text = gateway.log.read_text()
        assert not re.search(r"Traceback|bk-[0-9a-f]{8}-", text), text[-3000:]
