"""Who asks in the overload experiment: everybody's requests at their times, whatever became of those before.

A request's time is when it should have been sent, so that what is late in being sent is not hidden. What is refused is not tried
again: what arrives is the load. Answers to the guaranteed tenant come as streams, the others' whole, as nobody looks at when their
first token comes.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import aiohttp
import numpy as np

from infra.simulate.workloads import Request

GUARANTEED, ELASTIC, SPOT = 0, 1, 2
TENANTS = ("guaranteed", "elastic", "spot")
BYTES_PER_TOKEN = 4
"""By which both gateway and backend count input."""
DRAIN_S = 30.0
"""For so long answers to the guaranteed tenant are waited for when no more requests come, if they come at all."""


@dataclass(frozen=True)
class Answered:
    """What became of a request, in seconds from its time; `first`: to its first token. Not answered: for how long it had waited."""

    at: float
    latency: float
    first: float
    answered: bool


@dataclass
class Seen:
    """What a phase came to.

    Attributes:
        guaranteed: its requests that were not refused, in no order.
        asked: requests of each tenant.
        refused: of each tenant, by status, and dimension or else code.
        tokens: of all answers that came within the phase, input and output.
        failed: the beginnings of answers that are neither, or what broke.
    """

    guaranteed: list[Answered] = field(default_factory=list)
    asked: Counter[int] = field(default_factory=Counter)
    refused: dict[int, Counter[str]] = field(default_factory=lambda: {tenant: Counter() for tenant in range(len(TENANTS))})
    tokens: int = 0
    failed: list[str] = field(default_factory=list)

    def percentile(self, percent: float, *, first: bool = False) -> float:
        """Of the guaranteed tenant's, seconds. One that was not answered counts with how long it had waited: at least that."""
        return float(np.percentile([each.first if first else each.latency for each in self.guaranteed], percent))


class Phase:
    """One phase.

    Args:
        url: of who is asked.
        keys: of each tenant.
        requests: in order of time.
        seconds: for how long requests come.
        warm_s: what came before is not measured.
        drains: whether answers are waited for that are still to come.
    """

    def __init__(
        self, url: str, keys: list[str], requests: list[Request], *, seconds: float, warm_s: float, drains: bool = True
    ) -> None:
        self._url, self._keys, self._requests = f"{url}/v1/chat/completions", keys, requests
        self._seconds, self._warm_s, self._drains = seconds, warm_s, drains
        self._seen = Seen()

    async def run(self, progress: Callable[[float], None]) -> Seen:
        """All of it; `progress` is told how many seconds have passed."""
        loop = asyncio.get_running_loop()
        patience = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=patience) as client:
            self._zero, told = loop.time(), 0
            running: dict[int, set[asyncio.Task[None]]] = {tenant: set() for tenant in range(len(TENANTS))}
            for request in self._requests:
                await asyncio.sleep(max(0.0, self._zero + request.at_us / 1e6 - loop.time()))
                task = asyncio.create_task(self._ask(client, request))
                running[request.tenant].add(task)
                task.add_done_callback(running[request.tenant].discard)
                if request.at_us // 1_000_000 > told:
                    told = request.at_us // 1_000_000
                    progress(float(told))
            await asyncio.sleep(max(0.0, self._zero + self._seconds - loop.time()))
            if self._drains and running[GUARANTEED]:
                await asyncio.wait(running[GUARANTEED], timeout=DRAIN_S)
            left = [task for tasks in running.values() for task in tasks]
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)
        return self._seen

    async def _ask(self, client: aiohttp.ClientSession, request: Request) -> None:
        loop, tenant, measured = asyncio.get_running_loop(), request.tenant, request.at_us >= self._warm_s * 1e6
        began = self._zero + request.at_us / 1e6
        first: float | None = None
        answered = refused = False
        self._seen.asked[tenant] += measured
        try:
            with contextlib.suppress(aiohttp.ClientConnectionError):
                headers = {"authorization": f"Bearer {self._keys[tenant]}"}
                async with client.post(self._url, data=_body(request), headers=headers) as answer:
                    if answer.status != 200:
                        refused = True
                        self._refused(tenant, answer.status, await answer.read(), measured=measured)
                        return
                    async for piece in answer.content:
                        if first is None and b'"content"' in piece and b'"role":"assistant","content":""' not in piece:
                            first = loop.time() - began
                    answered = True
        finally:
            now = loop.time()
            if answered and self._warm_s <= now - self._zero <= self._seconds:
                self._seen.tokens += request.input + request.output
            if measured and tenant == GUARANTEED and not refused:
                waited = now - began
                self._seen.guaranteed.append(Answered(request.at_us / 1e6, waited, waited if first is None else first, answered))

    def _refused(self, tenant: int, status: int, body: bytes, *, measured: bool) -> None:
        try:
            error = json.loads(body)["error"]
            reason = error.get("dimension") or error["code"]
        except (ValueError, KeyError, TypeError, AttributeError):
            reason = ""
        if status not in (429, 503) or not reason:
            self._seen.failed.append(f"{status} {body[:200]!r}")
        elif measured:
            self._seen.refused[tenant][f"{status} {reason}"] += 1


def _body(request: Request) -> bytes:
    """As large as its input, and told how long an answer it gets."""
    asked = {
        "model": "simulated",
        "messages": [{"role": "user", "content": "x" * (BYTES_PER_TOKEN * request.input)}],
        "max_tokens": request.max_output,
        "stream": request.tenant == GUARANTEED,
        "simulate": {"input_tokens": request.input, "output_tokens": request.output},
    }
    return json.dumps(asked).encode()
