"""A gateway in this process, in front of an upstream that does what each request's `metadata` says, on free ports of their own."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from processors.admission import KNOTS
from processors.entitlement import Capacity, Quota, TenantLimits
from processors.waiting import Rules as WaitingRules
from schemas.published import Tier
from streams.api_keys import ApiKeys, Issued, new_key
from streams.gateway.app import gateway_app
from streams.gateway.arriving import Rules
from streams.gateway.counting import estimated
from streams.gateway.desk import Desk
from streams.gateway.exchange import Gate
from streams.gateway.listening import Listening
from streams.gateway.metered import Metered
from streams.gateway.metrics import Metrics
from streams.gateway.upstream import Patience, Upstream
from streams.limits import PoolLimits
from streams.settings import Settings

POOL = "llm"
CAPACITY = Capacity(1_000_000, 100_000, 1_000)
ENOUGH_S = 20.0
CHAT = "/v1/chat/completions"
HELLO = [{"role": "user", "content": "hello there"}]


def ask(**fields: Any) -> dict[str, Any]:
    return {"model": "llama", "messages": HELLO, **fields}


def limits(
    tier: Tier = Tier.ELASTIC, tokens: int | None = None, blocks: int | None = None, slots: int | None = None
) -> TenantLimits:
    """Limits of a tenant's own; None: none in that dimension."""
    quotas = [Quota(0, None, 0) if most is None else Quota(most, 0, 0) for most in (tokens, blocks, slots)]
    if tier in (Tier.DEDICATED, Tier.GUARANTEED):
        quotas = [Quota(quota.nominal, quota.borrowing, quota.nominal) for quota in quotas]
    return TenantLimits(tier, (quotas[0], quotas[1], quotas[2]))


class ScriptedUpstream:
    """Answers as OpenAI does, or fails as each request's `metadata` says.

    Attributes:
        asked: bodies that came, as they came.
        headers: of the latest.
        running: requests that run now.
        most: of them at once.
        cancelled: whose clients went away.
        released: what is `held` may end.
        told: x-request-id -> pieces of output, of requests that were answered whole.
        said: the latest stream of the responses API.
    """

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self.headers: dict[str, str] = {}
        self.running = self.most = self.cancelled = 0
        self.released = threading.Event()
        self.told: dict[str, int] = {}
        self.said = ""

    def app(self) -> ASGIApp:
        posts = ("/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses")
        models = Route(
            "/v1/models", lambda _request: JSONResponse({"object": "list", "data": [{"id": "llama", "object": "model"}]})
        )
        return Starlette(routes=[*(Route(path, self._answer, methods=["POST"]) for path in posts), models])

    async def _answer(self, request: Request) -> Response:
        body = await request.body()
        self.asked.append(body)
        self.headers = dict(request.headers)
        asked = json.loads(body)
        script: dict[str, Any] = asked.get("metadata") or {}
        pieces = int(script.get("pieces", 3))
        usage = script.get("usage", {"prompt_tokens": 11, "completion_tokens": pieces, "total_tokens": 11 + pieces})
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            if "status" in script:
                return JSONResponse({"error": {"message": "no"}}, int(script["status"]), {"retry-after": "7"})
            if asked.get("stream") and request.url.path.endswith("responses"):
                said = list(_response_events(pieces, usage))
                self.said = b"".join(said).decode()
                return StreamingResponse(iter(said), media_type="text/event-stream")
            if asked.get("stream"):
                told = usage if (asked.get("stream_options") or {}).get("include_usage") else None
                self.running += 1  # until the stream has ended
                return StreamingResponse(self._events(script, pieces, told), media_type="text/event-stream")
            await self._take(request, float(script.get("seconds", 0)), held=bool(script.get("held")))
            self.told[_name(request)] = pieces
            return JSONResponse(_whole(request.url.path, pieces, usage))
        except ClientDisconnect:
            self.cancelled += 1
            return Response(status_code=499)
        finally:
            self.running -= 1

    async def _take(self, request: Request, seconds: float, *, held: bool) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until or (held and not self.released.is_set()):
            if await request.is_disconnected():
                raise ClientDisconnect
            await asyncio.sleep(0.01)

    async def _events(self, script: Mapping[str, Any], pieces: int, usage: object) -> AsyncIterator[bytes]:
        try:
            yield _event({"id": "c", "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]})
            for number in range(pieces):
                await asyncio.sleep(float(script.get("pause", 0)))
                if number == script.get("dies_after"):
                    raise RuntimeError("dies as it was asked to")
                yield _event({"id": "c", "choices": [{"index": 0, "delta": {"content": f"word{number} "}}]})
            yield _event({"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
            if usage is not None:
                yield _event({"id": "c", "choices": [], "usage": usage})
            yield b"data: [DONE]\n\n"
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1


def _name(request: Request) -> str:
    return request.headers.get("x-request-id", "")


def _whole(path: str, pieces: int, usage: object) -> dict[str, Any]:
    text = " ".join(f"word{number}" for number in range(pieces))
    told = {} if usage is None else {"usage": usage}
    if path.endswith("embeddings"):
        return {"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}], "model": "llama", **told}
    if path.endswith("responses"):
        return {"id": "r", "object": "response", "output": [], **told}
    said = {"message": {"role": "assistant", "content": text}} if "chat" in path else {"text": text}
    choice = {"index": 0, "finish_reason": "stop", **said}
    return {"id": "c", "object": "chat.completion", "created": 1, "model": "llama", "choices": [choice], **told}


def _response_events(pieces: int, usage: Mapping[str, Any]) -> Iterator[bytes]:
    response: dict[str, Any] = {"id": "r", "object": "response", "output": [], "status": "in_progress", "usage": None}
    told = {"input_tokens": usage.get("input_tokens", 11), "output_tokens": usage.get("output_tokens", pieces)}
    events: list[dict[str, Any]] = [{"type": "response.created", "response": response}]
    events += [{"type": "response.output_text.delta", "delta": f"word{number} "} for number in range(pieces)]
    events.append({"type": "response.completed", "response": {**response, "status": "completed", "usage": told}})
    for number, event in enumerate(events):
        yield f"event: {event['type']}\n".encode() + _event({**event, "sequence_number": number})


def _event(said: Mapping[str, Any]) -> bytes:
    return b"data: " + json.dumps(said).encode() + b"\n\n"


class World:
    """What a test sees: the gateway's address, its parts, its upstream, and a key."""

    def __init__(self, gate: Gate, upstream: ScriptedUpstream, url: str, loop: asyncio.AbstractEventLoop) -> None:
        self.gate, self.upstream, self.url = gate, upstream, url
        self._loop = loop

    @property
    def desk(self) -> Desk:
        return self.gate.desks[POOL]

    def key(self, tenant: str = "ann", *pools: str) -> Issued:
        issued = new_key(tenant, pools)
        self.gate.keys.known[issued.key.id] = issued.key
        return issued

    def limit(self, tenants: Mapping[str, TenantLimits], capacity: Capacity = CAPACITY) -> None:
        """These limits are in force when this returns."""
        done = threading.Event()

        def limit() -> None:
            self.desk.limit(PoolLimits(capacity, 16, KNOTS, tenants))
            done.set()

        self._loop.call_soon_threadsafe(limit)
        assert done.wait(ENOUGH_S)

    def client(self, tenant: str = "ann", **options: Any) -> httpx.Client:
        headers = {"authorization": f"Bearer {self.key(tenant).secret}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=ENOUGH_S, verify=False, **options)

    def until(self, reached: Any, what: str) -> None:
        deadline = time.monotonic() + ENOUGH_S
        while not reached():
            assert time.monotonic() < deadline, f"never: {what}"
            time.sleep(0.005)

    def settled(self) -> None:
        """Nothing is in flight any more, anywhere."""
        self.until(lambda: self.desk.in_flight == self.desk.waiting == self.gate.metered.running == 0, "nothing in flight")
        self.until(lambda: self.upstream.running == 0, "upstream at rest")
        self.until(lambda: self.gate.bodies.held == 0, "no body is held")


def served(app: ASGIApp, http: Any = "httptools") -> tuple[uvicorn.Server, str, threading.Thread]:
    """An application on a free port, in a thread of its own."""
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        app,
        http=http,
        ws="none",
        loop="uvloop",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    return server, f"http://127.0.0.1:{listening.getsockname()[1]}", thread


@contextmanager
def world(
    directory: Path, *, rules: Rules | None = None, waiting: WaitingRules | None = None, silence_s: float = 5.0
) -> Iterator[World]:
    """A gateway and its upstream; Kafka is away, so what is measured stays in the files."""
    upstream = ScriptedUpstream()
    behind, behind_url, behind_thread = served(upstream.app())
    settings = Settings(home=directory, kafka="127.0.0.1:1")
    opening_ms = time.time_ns() // 1_000_000 - time.monotonic_ns() // 1_000_000

    def now_ms() -> int:
        return opening_ms + time.monotonic_ns() // 1_000_000

    gate = Gate(
        rules=rules or Rules(pool=POOL, default_output=50),
        keys=ApiKeys(settings),
        desks={POOL: Desk(POOL, waiting or WaitingRules(length=0), 10_000, now_ms)},
        metered=Metered(settings, "gate", directory / "wal"),
        upstream=Upstream(behind_url, "sk-upstream", Patience(connect_s=10, silence_s=silence_s)),
        count=estimated,
        now_ms=now_ms,
        metrics=Metrics(),
    )
    gate.metrics.watch(gate.desks)
    loops: list[asyncio.AbstractEventLoop] = []

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[dict[str, object]]:
        loops.append(asyncio.get_running_loop())
        await gate.upstream.start()
        yield {"failed": gate.metrics.failed}
        await gate.upstream.close()

    front, url, front_thread = served(gateway_app(gate, lambda: None, lifespan), Listening)
    deadline = time.monotonic() + ENOUGH_S
    while not (loops and front.started and behind.started):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    try:
        yield World(gate, upstream, url, loops[0])
    finally:
        for server, thread in ((front, front_thread), (behind, behind_thread)):
            server.should_exit = True
            thread.join(ENOUGH_S)
        gate.metered.close(patience_s=0)
