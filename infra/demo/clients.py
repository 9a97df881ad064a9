"""The demo's tenants: they ask the gateway what the play says, by HTTP as any client of OpenAI's API, and count answers.

One thread with an event loop of its own, in which everything happens. Nothing is tried again: what is refused stays refused, so
that the load is the play's and not the clients'.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import aiohttp

from infra.backend.prompts import BYTES_PER_TOKEN, MESSAGE_TOKENS
from infra.backend.requests import MODEL
from infra.demo.shared_pool import reserved_output
from infra.workloads import Request
from streams.gateway.answers import Code

LOOK_EVERY_S = 0.1
"""How soon an end is noticed while answers are waited for."""
LAST_ANSWERS_S = 60.0
"""How long answers are waited for when everything has been asked."""
ERROR_EVENT, END_BYTES = b"event: error\ndata: ", 4_096
"""How a stream ends that broke off, and how much of its end is looked at."""
PROMPT = "This is the demo's prompt. "


@dataclass(slots=True)
class Answered:
    """How one tenant's requests were answered.

    Attributes:
        served: whole.
        stopped: admitted, and stopped as their capacity was reclaimed.
        refused: by whose limit and in which dimension, `own_kv`.
        failed: otherwise, by the error's code.
    """

    served: int = 0
    stopped: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)

    @property
    def admitted(self) -> int:
        """Also those that were stopped later."""
        return self.served + self.stopped

    @property
    def asked(self) -> int:
        """All that have been answered."""
        return self.admitted + self.refused.total() + self.failed.total()


class Reserved(NamedTuple):
    """Tokens that a request reserved."""

    input: int
    output: int


class Clients:
    """Everybody's.

    Attributes:
        answered: by tenant.
        stopped: requests that were stopped, by their ids, and what they had reserved.
        in_flight: requests that wait for an answer.
        at_ms: time of the play, of the latest request.
        began_ms: when it began, milliseconds since 1970; None: not yet.
    """

    def __init__(
        self, url: str, keys: Mapping[str, str], requests: Callable[[], Iterable[Request]], *, whole: Iterable[str] = ()
    ) -> None:
        """Those of tenants in `whole` want their answers at once, all others as streams.

        Args:
            url: of the gateway, without `/v1`.
            keys: tenant -> API key.
            requests: what is asked, in order of time.
            whole: tenants.
        """
        self.answered = {tenant: Answered() for tenant in keys}
        self.stopped: dict[str, Reserved] = {}
        self.in_flight = 0
        self.at_ms = 0
        self.began_ms: int | None = None
        self._url = f"{url}/v1/chat/completions"
        self._headers = {
            tenant: {"authorization": f"Bearer {key}", "content-type": "application/json"} for tenant, key in keys.items()
        }
        self._requests = requests
        self._whole = frozenset(whole)
        self._stopping = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="clients", daemon=True)

    def start(self) -> None:
        """Begins; the play's time 0 is now."""
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether more will be asked, or is to be answered."""
        return self._thread.is_alive()

    def finish(self) -> None:
        """Stops; whoever waits for an answer goes away.

        Raises:
            Exception: what ended it, if anything did.
        """
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            asyncio.run(self._play())
        except Exception as failure:  # noqa: BLE001  raised again by finish(), in the thread that can tell of it
            self._failure = failure

    async def _play(self) -> None:
        connector = aiohttp.TCPConnector(limit=0)  # as many connections as requests: clients of many machines
        timeout = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session:
            asking: set[asyncio.Task[None]] = set()
            try:
                await self._ask_all(session, asking)
                await self._wait(asking)
            finally:
                for task in asking:
                    task.cancel()
                failed = [end for end in await asyncio.gather(*asking, return_exceptions=True) if isinstance(end, Exception)]
        if failed:
            raise failed[0]

    async def _ask_all(self, session: aiohttp.ClientSession, asking: set[asyncio.Task[None]]) -> None:
        """Each request when its time has come, whatever became of those before it."""
        began, self.began_ms = time.monotonic(), time.time_ns() // 1_000_000
        for request in self._requests():
            await asyncio.sleep(began + request.at_ms / 1000 - time.monotonic())
            if self._stopping.is_set():
                return
            self.at_ms = request.at_ms
            task = asyncio.create_task(self._ask(session, request))
            asking.add(task)
            task.add_done_callback(lambda done: asking.discard(done) if not done.cancelled() and done.exception() is None else None)

    async def _wait(self, asking: set[asyncio.Task[None]]) -> None:
        deadline = time.monotonic() + LAST_ANSWERS_S
        while not self._stopping.is_set() and any(not task.done() for task in asking) and time.monotonic() < deadline:
            await asyncio.wait(set(asking), timeout=LOOK_EVERY_S)

    async def _ask(self, session: aiohttp.ClientSession, request: Request) -> None:
        self.in_flight += 1
        try:
            streams = request.tenant not in self._whole
            body, headers = body_of(request, streams=streams), self._headers[request.tenant]
            async with session.post(self._url, data=body, headers=headers) as answer:
                end = b""
                async for data in answer.content.iter_any():
                    end = (end + data)[-END_BYTES:]
                self._count(request, answer.headers.get("x-request-id", ""), error_of(answer.status, end))
        except aiohttp.ClientError as broken:
            self.answered[request.tenant].failed[type(broken).__name__] += 1
        finally:
            self.in_flight -= 1

    def _count(self, request: Request, name: str, error: Mapping[str, Any] | None) -> None:
        answered = self.answered[request.tenant]
        if error is None:
            answered.served += 1
        elif error["code"] == Code.PREEMPTED:
            answered.stopped += 1
            self.stopped[name] = Reserved(request.input_tokens, reserved_output(request))
        elif "whose" in error:
            answered.refused[f"{error['whose']}_{error['dimension']}"] += 1
        else:
            answered.failed[str(error["code"])] += 1


def body_of(request: Request, *, streams: bool) -> bytes:
    """A request as a client of OpenAI's sends it. `simulate` is the backend's own: how much it would like to answer."""
    size = max(1, request.input_tokens - MESSAGE_TOKENS) * BYTES_PER_TOKEN
    content = (PROMPT * (size // len(PROMPT) + 1))[:size]
    said = {
        "model": MODEL,
        "messages": [{"role": "user", "content": content}],
        "max_tokens": reserved_output(request),
        "stream": streams,
        "simulate": {"output_tokens": request.output_tokens},
    }
    return json.dumps(said).encode()


def error_of(status: int, end: bytes) -> Mapping[str, Any] | None:
    """The error that an answer is, or that its stream ended with; None: it was answered.

    Args:
        status: of HTTP.
        end: the last bytes of its body.
    """
    if status == 200:
        _, event, end = end.partition(ERROR_EVENT)
        if not event:
            return None
        end = end.partition(b"\n")[0]
    try:
        error = json.loads(end)["error"]
        return {**error, "code": error["code"]}
    except (ValueError, KeyError, TypeError):
        return {"code": f"status_{status}"}
