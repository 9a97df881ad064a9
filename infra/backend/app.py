"""The backend's routes."""

from __future__ import annotations

import asyncio
import functools
import logging
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from infra.backend.answering import STOPPED, Answering, Clients, Hanging
from infra.backend.counted import Counted, Who
from infra.backend.embeddings import DIMENSIONS, Embeddings
from infra.backend.prompts import Prompt
from infra.backend.refused import RefusedRequest, refused_body
from infra.backend.replicas import Generation, Outcome, Replicas
from infra.backend.requests import (
    LONGEST_NAME,
    MODEL,
    Asked,
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    Fault,
    Generating,
    ResponseRequest,
    Serving,
    answers,
    check_context,
    read,
)
from infra.backend.responses import Responses
from infra.backend.shapes import Chat, Completions, Shape
from infra.simulate.machine import Machine

SERVER = "bourse-simulated-backend"
HEADERS = [("server", SERVER), ("x-simulated", "true")]
"""Of every answer: uvicorn's configuration has them, so that those to broken HTTP have them, too."""
LARGEST_BODY = 64 << 20
RETRY_AFTER_S = 1
STATUSES = {Fault.ERROR: "server_error", Fault.UNAVAILABLE: "service_unavailable_error", Fault.BUSY: "rate_limit_error"}

log = logging.getLogger(__name__)


class Backend:
    """One server: its replicas, its counts, its faults."""

    def __init__(
        self, machine: Machine, counted: Counted, *, replicas: int = 1, speed: float = 1.0, fail_rate: float = 0.0
    ) -> None:
        """`fail_rate` of the requests are answered 500: evenly, every tenth for 0.1."""
        self._make = functools.partial(Replicas, machine, replicas, speed)
        self._fail_rate = fail_rate
        self._asked = 0
        self._counted = counted
        self._clients = Clients()
        self._created = int(time.time())
        self._stopping = False
        self.replicas: Replicas | None = None

    def app(self) -> Starlette:
        """To be served with `HEADERS`."""
        return Starlette(
            lifespan=self._lifespan,
            routes=[
                Route("/v1/chat/completions", self._chat, methods=["POST"]),
                Route("/v1/completions", self._completions, methods=["POST"]),
                Route("/v1/responses", self._responses, methods=["POST"]),
                Route("/v1/embeddings", self._embeddings, methods=["POST"]),
                Route("/v1/models", self._models),
                Route("/health", self._health),
                Route("/counted", self._told),
                Route("/replicas", self._serve, methods=["PUT"]),
                Route("/metrics", self._metrics),
            ],
            exception_handlers={RefusedRequest: _refused, HTTPException: _http, ClientDisconnect: _nobody},
        )

    def stop(self) -> None:
        """End every request, with an error to who still listens, and take no more."""
        self._stopping = True
        self._clients.leave()
        if self.replicas is not None:
            self.replicas.stop()

    @asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:  # noqa: ARG002  Starlette's interface
        self.replicas = self._make()
        running = asyncio.create_task(self.replicas.run())
        running.add_done_callback(_crashed)
        yield
        running.cancel()
        self._counted.close()

    @property
    def _running(self) -> Replicas:
        if self.replicas is None:
            raise RuntimeError("routes are served inside of the lifespan")
        return self.replicas

    async def _chat(self, request: Request) -> Response:
        asked = read(ChatRequest, await _body(request))
        return self._generate(request, asked, Chat)

    async def _completions(self, request: Request) -> Response:
        asked = read(CompletionRequest, await _body(request))
        return self._generate(request, asked, Completions)

    async def _responses(self, request: Request) -> Response:
        asked = read(ResponseRequest, await _body(request))
        return self._generate(request, asked, lambda model, answers: Responses(model, *answers))

    def _generate(self, request: Request, asked: Generating, shape: Callable[[str, list[Any]], Shape]) -> Response:
        given = asked.prompts()
        wanted = answers(asked, given, self._running.context)
        choices = [answer for answer in wanted for _ in range(asked.choices)]
        who = _who(request, asked)
        refused = self._fault(who, asked)
        if refused is not None:
            return refused
        told = shape(asked.model, choices)
        return Answering(
            self._start(who, given, [answer.tokens for answer in wanted], asked.choices),
            told,
            told if asked.stream else None,
            asked.simulate,
            self._clients,
            include_usage=asked.include_usage,
            output=sum(answer.tokens for answer in choices),
            headers=_echoed(who),
        )

    async def _embeddings(self, request: Request) -> Response:
        asked = read(EmbeddingRequest, await _body(request))
        given = asked.prompts()
        check_context(asked, given, self._running.context)
        who = _who(request, asked)
        refused = self._fault(who, asked)
        if refused is not None:
            return refused
        shape = Embeddings(asked.model, given, asked.encoding_format or "float", asked.dimensions or DIMENSIONS)
        # A step that reads a prompt to its end gives a token: here it is the vector, and no output.
        return Answering(
            self._start(who, given, [1] * len(given), 1, has_output=False),
            shape,
            None,
            asked.simulate,
            self._clients,
            include_usage=True,
            output=len(given),
            headers=_echoed(who),
        )

    def _start(
        self, who: Who, given: list[Prompt], outputs: list[int], choices: int, *, has_output: bool = True
    ) -> Callable[[], Generation]:
        def ended(generation: Generation) -> None:
            self._counted.add(who, generation.outcome, generation.input, generation.output if has_output else 0)

        return lambda: self._running.start([one.tokens for one in given], outputs, choices, ended)

    def _fault(self, who: Who, asked: Asked) -> Response | None:
        """The answer that a fault gives in place of one. The request counts, and used nothing."""
        if self._stopping:
            raise STOPPED
        self._asked += 1
        fault = asked.simulate.fail
        if fault is None and int(self._asked * self._fail_rate) > int((self._asked - 1) * self._fail_rate):
            fault = Fault.ERROR
        if fault not in {Fault.HANG, Fault.GARBAGE, *STATUSES}:
            return None
        self._counted.add(who, Outcome.FAILED, 0, 0)
        if fault is Fault.HANG:
            return Hanging(self._clients)
        if fault is Fault.GARBAGE:
            return Response("<html>this was to be JSON</html>", media_type="application/json")
        raise RefusedRequest(
            "a fault that was asked for, or is the backend's fail rate",
            code="simulated",
            status=int(fault),
            kind=STATUSES[fault],
            headers={} if fault is Fault.ERROR else {"retry-after": str(RETRY_AFTER_S)},
        )

    async def _models(self, request: Request) -> Response:  # noqa: ARG002  Starlette's interface
        model = {
            "id": MODEL,
            "object": "model",
            "created": self._created,
            "owned_by": SERVER,
            "max_model_len": self._running.context,
        }
        return JSONResponse({"object": "list", "data": [{**model, "max_model_len": self._running.context}]})

    async def _health(self, request: Request) -> Response:  # noqa: ARG002  Starlette's interface
        return Response()

    async def _told(self, request: Request) -> Response:  # noqa: ARG002  Starlette's interface
        return JSONResponse({"now": self._running.figures(), **self._counted.told()})

    async def _serve(self, request: Request) -> Response:
        """`{"serving": 2}`: so many replicas take requests from now on; what runs in the others ends there."""
        try:
            self._running.serve(Serving.model_validate_json(await _body(request)).serving)
        except ValidationError as error:
            raise refused_body(error) from None
        except ValueError as error:
            raise RefusedRequest(f"serving: {error}", param="serving") from None
        return JSONResponse(self._running.figures())

    async def _metrics(self, request: Request) -> Response:  # noqa: ARG002  Starlette's interface
        now = [f"bourse_backend_{name} {value}" for name, value in self._running.figures().items()]
        total = [f"bourse_backend_{name}_total {value}" for name, value in self._counted.told()["total"].items()]
        return PlainTextResponse("\n".join([*now, *total, ""]), media_type="text/plain; version=0.0.4")


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_BODY:
            raise RefusedRequest(f"the body is larger than {LARGEST_BODY} bytes", status=413, headers={"connection": "close"})
    return bytes(body)


def _who(request: Request, asked: Asked) -> Who:
    named = request.headers.get("x-request-id")
    return Who(asked.user, None if named is None else named[:LONGEST_NAME])


def _echoed(who: Who) -> list[tuple[bytes, bytes]]:
    return [] if who.request is None else [(b"x-request-id", who.request.encode("latin-1"))]


async def _refused(request: Request, error: Exception) -> Response:  # noqa: ARG001  Starlette's interface
    assert isinstance(error, RefusedRequest)  # noqa: S101  the table of handlers says so; for the type checker
    return JSONResponse(error.body, error.status, error.headers)


async def _http(request: Request, error: Exception) -> Response:
    """What Starlette refuses: there is no such path, or method."""
    assert isinstance(error, HTTPException)  # noqa: S101  the table of handlers says so; for the type checker
    refused = RefusedRequest(f"{request.method} {request.url.path}: {error.detail}", status=error.status_code)
    return JSONResponse(refused.body, error.status_code, error.headers)


async def _nobody(request: Request, error: Exception) -> Response:  # noqa: ARG001  Starlette's interface
    """The client went away within its body: nobody hears this."""
    return Response(status_code=400)


def _crashed(running: asyncio.Task[None]) -> None:
    """A backend whose replicas have crashed ends: it must not look like a slow one."""
    if not running.cancelled() and running.exception() is not None:
        log.critical("the replicas crashed", exc_info=running.exception())
        signal.raise_signal(signal.SIGTERM)
