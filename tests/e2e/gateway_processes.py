"""Gateways and what stands behind them as processes of their own, for a test that kills them."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psutil
from system import System, until

from infra.processes import free_port

ROOT = Path(__file__).parents[2]
MODEL = "simulated"
LEASE_MS = 2_000
"""The shortest: so long a killed gateway's share is nobody's."""


class Process:
    """One of `bourse …`, from when it is made; HTTP at `url`."""

    def __init__(self, system: System, name: str, *options: str, ready: str = "/healthz") -> None:
        self.name, self.log, self.port = name, system.home / f"{name}.log", free_port()
        self._environment = {**os.environ, **system.settings.as_environment(), "PYTHONPATH": str(ROOT)}
        self._options, self._ready = options, ready
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def command(self) -> Sequence[str]:
        return (*self._options, "--port", str(self.port))

    def start(self) -> None:
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "infra.cli", *self.command()]
            self.process = subprocess.Popen(command, env=self._environment, stdout=log, stderr=log)

    def until_ready(self) -> None:
        def ready() -> bool:
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            return httpx.get(self.url + self._ready).status_code == 200

        until(ready, 60, lambda: f"{self.name} ready: {self.log.read_text()[-1500:]}")

    def kill(self) -> None:
        children = psutil.Process(self.process.pid).children()
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        psutil.wait_procs(children, 30)  # they end with it, by themselves

    @property
    def publisher(self) -> psutil.Process:
        """What publishes what it wrote down."""
        (child,) = (each for each in psutil.Process(self.process.pid).children() if "streams.gateway.publishing" in each.cmdline())
        return child

    def restart(self) -> None:
        self.start()
        self.until_ready()

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(60)


class Gateway(Process):
    """`bourse gateway`, with short leases and no queue where nothing else is said."""

    def __init__(
        self, system: System, upstream: Backend, name: str, pool: str, *, drain_s: int, queue: int = 0, lease_ms: int = LEASE_MS
    ) -> None:
        leased = ("--pool", pool, "--name", name, "--lease-ms", str(lease_ms))
        treated = ("--queue", str(queue), "--longest-wait-ms", "25000", "--default-output", "32", "--drain-s", str(drain_s))
        super().__init__(system, name, "gateway", "--upstream", upstream.url, *leased, *treated)


class ExtAuthz(Process):
    """`bourse ext-authz`; Envoy's port is `grpc`, `url` is where requests are settled."""

    def __init__(self, system: System, name: str, pool: str) -> None:
        self.grpc = free_port()
        leased = ("--pool", pool, "--name", name, "--lease-ms", str(LEASE_MS), "--queue", "0", "--port", str(self.grpc))
        super().__init__(system, name, "ext-authz", *leased)

    def command(self) -> Sequence[str]:
        return (*self._options, "--http-port", str(self.port))

    def until_ending(self) -> None:
        def ending() -> bool:
            said = httpx.get(f"{self.url}/healthz")
            return said.status_code == 503 and said.json()["status"] == "the gateway ends"

        until(ending, 20, f"{self.name} says that it ends", every_s=0.02)


class Backend(Process):
    """`bourse backend`, which keeps its counts in a file.

    Attributes:
        most: requests inside at once, of those that its lives told of.
    """

    def __init__(self, system: System, name: str = "backend") -> None:
        self.counts = system.home / f"{name}.counts"
        self.most = 0
        super().__init__(system, name, "backend", "--concurrency", "64", "--counts", str(self.counts), ready="/health")

    def look(self) -> dict[str, int]:
        now: dict[str, int] = httpx.get(f"{self.url}/counted").json()["now"]
        self.most = max(self.most, now["most_in_flight"])
        return now

    def kill(self) -> None:
        """While it is busy, if anybody asks it."""
        deadline = time.monotonic() + 5
        while self.look()["in_flight"] < 8 and time.monotonic() < deadline:
            time.sleep(0.01)
        super().kill()

    def counted(self) -> dict[str, dict[str, Any]]:
        """Request -> the line in which it was counted; whichever was inside when the backend was killed has none."""
        lines = [json.loads(line) for line in self.counts.read_text().splitlines()]
        by_request = {line["request"]: line for line in lines}
        assert len(by_request) == len(lines), "each is counted once"
        return by_request


@dataclass
class Answered:
    """What a client got.

    Attributes:
        status: of HTTP; 0: the connection broke.
        request: its id, as the gateway named it.
        pieces: of output that came in events.
        events: what else came in them: `done`, or codes of errors.
        headers: of the answer.
        code: of the error that it is; empty: it is none, or its body was not kept.
    """

    status: int
    request: str = ""
    pieces: int = 0
    events: list[str] = field(default_factory=list)
    headers: httpx.Headers = field(default_factory=httpx.Headers)
    code: str = ""


def ask(
    client: httpx.Client,
    url: str,
    key: str,
    prompt: str,
    output: int,
    *,
    most: int,
    stream: bool = False,
    began: Callable[[int], None] = lambda _status: None,
) -> Answered:
    """One request, as a client that takes what it gets; `most` is reserved, `output` made, `began` told the status at once."""
    said = {"messages": [{"role": "user", "content": prompt}], "max_tokens": most, "simulate": {"output_tokens": output}}
    headers = {"authorization": f"Bearer {key}"}
    answered = Answered(0)
    try:
        body = {"model": MODEL, "stream": stream, **said}
        with client.stream("POST", f"{url}/v1/chat/completions", json=body, headers=headers) as answer:
            answered.status, answered.headers = answer.status_code, answer.headers
            answered.request = answer.headers.get("x-request-id", "")
            began(answer.status_code)
            if answer.status_code >= 400:
                answered.code = json.loads(answer.read())["error"]["code"]
            for line in answer.iter_lines():
                _hear(answered, line)
    except httpx.HTTPError:  # killed
        answered.events.append("broken")
    return answered


def _hear(answered: Answered, line: str) -> None:
    if line == "data: [DONE]":
        answered.events.append("done")
    elif line.startswith("data:"):
        said = json.loads(line[5:])
        answered.pieces += sum(bool(choice["delta"].get("content")) for choice in said.get("choices", ()))
        if "error" in said:
            answered.events.append(said["error"]["code"])


class Load:
    """Forty clients that ask both gateways until it ends, every second one for streams.

    Attributes:
        answers: all that they got.
        MOST: output that each request reserves; it makes some tokens less, 13 ms each.
    """

    MOST = 24

    def __init__(self, gateways: Sequence[Gateway], key: str, prompt: str) -> None:
        self.gateways, self._key, self._prompt = gateways, key, prompt
        self.answers: list[Answered] = []
        self.ended = threading.Event()
        self._pool = ThreadPoolExecutor(40)
        self._running = [self._pool.submit(self._ask_on, number) for number in range(40)]

    def _ask_on(self, number: int) -> None:
        rng, url = random.Random(number), self.gateways[number % 2].url
        with httpx.Client(timeout=30, verify=False) as client:
            while not self.ended.is_set():
                output = rng.randint(2, self.MOST - 2)
                answered = ask(client, url, self._key, self._prompt, output, most=self.MOST, stream=number % 4 > 1)
                self.answers.append(answered)
                time.sleep(0.02 if answered.status == 200 else 0.05 if answered.status == 429 else 0.25)

    @property
    def served(self) -> int:
        return sum(each.status == 200 for each in tuple(self.answers))

    def until_more(self, after: str) -> None:
        before = self.served
        told = lambda: f"served after {after}: {Counter(each.status for each in tuple(self.answers))}"  # noqa: E731  for one line
        until(lambda: self.served > before + 80, 90, told)

    def end(self) -> None:
        self.ended.set()
        for each in self._running:
            each.result()
        self._pool.shutdown()


class PromiseLoad:
    """Four clients of a guaranteed tenant, `gus`, now at one gateway, now at the other; 24 of a spot tenant, `sam`, at both.

    Attributes:
        answers: tenant -> status and error's code -> how many.
    """

    def __init__(self, gateways: Sequence[Gateway], keys: Mapping[str, str], prompt: str) -> None:
        self.answers: dict[str, Counter[tuple[int, str]]] = {"gus": Counter(), "sam": Counter()}
        self._gateways, self._keys, self._prompt = gateways, keys, prompt
        self._ended = threading.Event()

    def until_served(self) -> None:
        for gateway in self._gateways:
            for tenant in self.answers:
                until(partial(self._is_served, gateway, tenant), 60, f"{tenant} is served by {gateway.name}")

    def run(self) -> dict[str, Counter[tuple[int, str]]]:
        """The answers, when it went from one gateway to the other twice, and spot was refused."""
        with ThreadPoolExecutor(28) as pool:
            asking = [pool.submit(self._guaranteed) for _ in range(4)]
            asking += [pool.submit(self._spot, self._gateways[number % 2]) for number in range(24)]
            try:
                time.sleep(6)
                until(self._enough, 60, lambda: f"spot is refused: {self.answers}")
            finally:
                self._ended.set()
            for each in asking:
                each.result()
        return self.answers

    def _enough(self) -> bool:
        refused = sum(count for (status, _), count in tuple(self.answers["sam"].items()) if status == 503)
        return refused > 20 and self.answers["gus"].total() > 20

    def _is_served(self, gateway: Gateway, tenant: str) -> bool:
        with httpx.Client(timeout=30, verify=False) as client:
            return ask(client, gateway.url, self._keys[tenant], self._prompt, 1, most=2).status == 200

    def _guaranteed(self) -> None:
        with httpx.Client(timeout=30, verify=False) as client:
            while not self._ended.is_set():
                self._ask(client, "gus", self._gateways[int(time.monotonic() / 3) % 2], 48_000)

    def _spot(self, gateway: Gateway) -> None:
        """Each time a twentieth of the pool's blocks."""
        with httpx.Client(timeout=30, verify=False) as client:
            while not self._ended.is_set():
                self._ask(client, "sam", gateway, 80_000 - 100)
                time.sleep(0.1)

    def _ask(self, client: httpx.Client, tenant: str, gateway: Gateway, most: int) -> None:
        answer = ask(client, gateway.url, self._keys[tenant], self._prompt, 16, most=most)
        self.answers[tenant][answer.status, answer.code] += 1
