"""An answer on its way: started, followed token by token or waited for, and ended with its client."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from infra.backend.events import Events
from infra.backend.refused import RefusedRequest
from infra.backend.replicas import Generation, Outcome
from infra.backend.requests import Fault, Simulate
from infra.backend.shapes import DONE, Shape, WholeShape, encoded, event

STREAM = "text/event-stream; charset=utf-8"
JSON = "application/json"
BREAKING = {Fault.STALL, Fault.DIE}
STOPPED = RefusedRequest("the backend is being stopped", code="stopping", status=503, kind="service_unavailable_error")


@dataclass(slots=True)
class Clients:
    """Those who wait for something that never comes; `leave` lets go of them."""

    waiting: set[asyncio.Future[None]] = field(default_factory=set)

    async def wait(self, gone: asyncio.Future[None]) -> None:
        """Until this one is gone."""
        self.waiting.add(gone)
        await asyncio.wait({gone})
        self.waiting.discard(gone)

    def leave(self) -> None:
        """The server is being stopped."""
        for gone in self.waiting:
            gone.cancel()


async def client_gone(receive: Receive) -> None:
    """Returns when the client closes its connection; the request's body has been read."""
    while (await receive())["type"] != "http.disconnect":
        pass


class Answering(Response):
    """A generation as the answer to its request. `start` queues it, when the response is sent."""

    def __init__(
        self,
        start: Callable[[], Generation],
        shape: WholeShape,
        stream: Shape | None,
        simulate: Simulate,
        clients: Clients,
        *,
        include_usage: bool,
        output: int,
        headers: list[tuple[bytes, bytes]],
    ) -> None:
        """Of `output` tokens in all, if nothing comes between; as a stream where that has a shape."""
        self._start = start
        self._shape = shape
        self._simulate = simulate
        self._clients = clients
        self._stream = stream
        self._include_usage = include_usage
        self._output = output
        self._extra = headers
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  the interface of ASGI
        """Answer; whatever ends this ends the generation."""
        generation = self._start()
        gone = asyncio.ensure_future(client_gone(receive))
        gone.add_done_callback(lambda _: generation.stop(Outcome.CANCELLED))
        try:
            if self._stream is None:
                await self._send_whole(send, generation, gone)
            else:
                await self._send_stream(send, generation, self._stream, gone)
        finally:
            gone.cancel()
            generation.stop(Outcome.CANCELLED)

    async def _send_whole(self, send: Send, generation: Generation, gone: asyncio.Future[None]) -> None:
        if self._simulate.fail in BREAKING:
            generation.watch()
        while not generation.done:
            self._break(generation)
            await generation.changed()
        body = encoded(self._shape.whole(self._usage(generation)))
        match generation.outcome:
            case Outcome.ANSWERED:
                await self._begin(send, 200, JSON, len(body))
                await _write(send, body, more=False)
            case Outcome.FAILED:
                await self._begin(send, 200, JSON, len(body))
                await _write(send, body[: len(body) // 2])
                await self._broken(gone)
            case Outcome.CANCELLED if not gone.done():
                body = encoded(STOPPED.body)
                await self._begin(send, STOPPED.status, JSON, len(body))
                await _write(send, body, more=False)

    async def _send_stream(self, send: Send, generation: Generation, shape: Shape, gone: asyncio.Future[None]) -> None:
        await self._begin(send, 200, STREAM)
        events = Events(generation, shape)
        while not events.all_told and not gone.done():
            self._break(generation)
            content = events.since()
            if content:
                await _write(send, content)
            elif not events.all_told:
                await generation.changed()
        match generation.outcome:
            case Outcome.ANSWERED:
                await _write(send, shape.closing(self._usage(generation) if self._include_usage else None), more=False)
            case Outcome.FAILED:
                await self._broken(gone)
            case Outcome.CANCELLED if not gone.done():
                await _write(send, event(STOPPED.body) + DONE, more=False)

    async def _begin(self, send: Send, status: int, kind: str, length: int | None = None) -> None:
        headers = [(b"content-type", kind.encode()), *self._extra]
        if length is not None:
            headers.append((b"content-length", str(length).encode()))
        await send({"type": "http.response.start", "status": status, "headers": headers})

    def _break(self, generation: Generation) -> None:
        """A fault that is asked for comes after half of the answer."""
        if self._simulate.fail in BREAKING and generation.output >= self._output // 2:
            generation.stop(Outcome.FAILED)

    async def _broken(self, gone: asyncio.Future[None]) -> None:
        """A server that dies returns without an end of its answer, upon which uvicorn closes the connection (and logs it)."""
        if self._simulate.fail is Fault.STALL:
            await self._clients.wait(gone)

    def _usage(self, generation: Generation) -> dict[str, Any] | None:
        """What is told; by request something else than the truth."""
        if self._simulate.usage is None:
            return None
        lie = 10 if self._simulate.fail is Fault.LIE else 1
        return {**self._shape.usage(generation.input, lie * generation.output), **self._simulate.usage}


class Hanging(Response):
    """No answer at all, until the client goes."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wait."""
        gone = asyncio.ensure_future(client_gone(receive))
        try:
            await self._clients.wait(gone)
        finally:
            if gone.cancelled():  # by `leave`
                await Response(encoded(STOPPED.body), STOPPED.status, media_type=JSON)(scope, receive, send)
            gone.cancel()


async def _write(send: Send, body: bytes, *, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": more})
