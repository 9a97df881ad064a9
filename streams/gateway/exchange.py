"""The life of one request: whose it is, what it asks for, whether it may run, what became of it, and what it is settled at.

1. Nothing is reserved before the key, the body and the model are found good.
2. It is admitted (perhaps after waiting) before upstream is asked, and written down before that, too.
3. However it ends (answered, failed, gone, stopped) it is settled once, in `_settle`, with what was seen of it.

Prompts and keys are in no log and no event.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any

import aiohttp
from pydantic_core import to_json
from starlette.types import Message, Receive, Scope, Send

from streams.api_keys import KeyRefused
from streams.gateway.admitting import Parts, Wanted, need_of, write_down, write_end
from streams.gateway.answers import Code, Failure, Headers, allowance_headers, answer, key_refused
from streams.gateway.arriving import Gone, Refuse, asked_of, body_of, header_of, key_of
from streams.gateway.asked import Kind
from streams.gateway.bodies import Bodies, Held
from streams.gateway.counting import off_loop
from streams.gateway.desk import Desk
from streams.gateway.slow import Slow
from streams.gateway.upstream import FAILURES, Upstream, broken, headers_back, not_reached, refused_upstream, told
from streams.gateway.usage import Events, Measured, Usage
from streams.gateway.write_ahead import Ended

log = logging.getLogger(__name__)

PRIORITY = b"x-bourse-priority"
_ELSEWHERE: Headers = [(b"connection", b"close")]
"""While the gateway ends: the client's next connection may find another."""


class Why(StrEnum):
    """How a request ended that upstream did not end."""

    GONE = "cancelled"
    """Its client went away, or read too slowly."""
    STOPPED = "stopped"
    """Its capacity was reclaimed."""
    CLOSING = "closing"
    """The gateway ends, and it ran longer than a gateway that ends waits."""


@dataclass(slots=True, kw_only=True)
class Gate(Parts):
    """All that requests pass through; one in a gateway.

    Attributes:
        upstream: who answers them.
        slow: whose client does not take what is sent to it.
        bodies: that are held in memory.
    """

    upstream: Upstream
    slow: Slow = field(default_factory=Slow)
    bodies: Bodies = field(default_factory=Bodies)

    @classmethod
    def in_front_of(cls, upstream: Upstream, parts: Parts) -> Gate:
        """These parts, with who answers."""
        return cls(upstream=upstream, **{each.name: getattr(parts, each.name) for each in fields(parts)})


class Passing:
    """An endpoint that is passed on: an ASGI application."""

    def __init__(self, gate: Gate, kind: Kind) -> None:
        self.gate = gate
        self.kind = kind

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        with Held(self.gate.bodies) as held:
            try:
                self.gate.take()
                request = await _Request.of(self, held, scope, receive, send)
            except Refuse as refused:
                self.gate.metrics.failed("", refused.failure.code)
                elsewhere = _ELSEWHERE if self.gate.closing else []
                await answer(send, refused.failure, [*elsewhere, *self.gate.standing(scope)])
                return
            except Gone:
                return
            await request.run()


@dataclass(slots=True, kw_only=True, repr=False)
class _Request(Wanted):
    """A request whose key, body and model are good. It has no `repr`: its headers hold the key."""

    gate: Gate
    kind: Kind
    scope: Scope
    receive: Receive
    send: Send
    desk: Desk
    key: str
    why: Why | None = None
    task: asyncio.Task[Any] | None = None
    answering: bool = False
    in_events: bool = False
    answered: bool = False
    begun: bool = False
    asked_upstream: bool = False
    refused: int | None = None
    first_ms: int | None = None

    @classmethod
    async def of(cls, passing: Passing, held: Held, scope: Scope, receive: Receive, send: Send) -> _Request:
        gate, kind = passing.gate, passing.kind
        came_ms = gate.now_ms()
        key = key_of(gate.rules, gate.keys, scope)
        body = await body_of(gate.rules, scope, receive, lambda size: held.grown_to(key.tenant, size))
        pool, asked = await asked_of(gate.rules, kind, body, gate.count)
        if not key.opens(pool):
            raise Refuse(key_refused(KeyRefused.OTHER_POOL))
        return cls(
            gate=gate,
            kind=kind,
            scope=scope,
            receive=receive,
            send=send,
            desk=gate.desks[pool],
            name=gate.name(),
            tenant=key.tenant,
            pool=pool,
            asked=asked,
            came_ms=came_ms,
            key=key.id,
        )

    async def run(self) -> None:
        """From admission to settlement."""
        watching = asyncio.create_task(self._watch())
        task = self.task = asyncio.current_task()
        admitted, failure, broke = False, None, True
        measured = Measured()
        try:
            failure = await self.desk.ask(need_of(self.gate, self, header_of(self.scope, PRIORITY), lambda: self.end(Why.STOPPED)))
            admitted = failure is None
            if admitted:
                failure = await self._pass_on(measured)
            if failure is not None:
                await self._fail(failure)
            broke = False
        except asyncio.CancelledError:
            self.why = self.why or Why.CLOSING  # `end` says why; else it is uvicorn, whose patience with us has ended
            if task is not None:
                task.uncancel()
        finally:
            self.task = None  # nobody ends it any more
            watching.cancel()
            if admitted:
                self._settle(measured, failure, broke=broke)
        if self.why in (Why.STOPPED, Why.CLOSING) and not self.answered:
            with suppress(TimeoutError):  # a client that does not take this, either, is not told
                async with asyncio.timeout(self.gate.rules.client_s):
                    await self._tell_stopped(measured)

    def end(self, why: Why) -> None:
        """Its client is gone, or its capacity is reclaimed: it ends at its next await. Too late for one that is answered."""
        if self.why is None and self.task is not None and not self.answered:
            self.why = why
            self.task.cancel()

    async def _watch(self) -> None:
        """Until the client goes away."""
        while (await self.receive())["type"] != "http.disconnect":
            continue
        self.end(Why.GONE)

    async def _pass_on(self, measured: Measured) -> Failure | None:
        """Upstream's answer, to the client; or what the client is told instead."""
        asked = self.asked
        if self.gate.keys.revoked(self.key):  # while its body came, or while it waited
            return key_refused(KeyRefused.REVOKED)
        refused = write_down(self.gate, self)
        if refused is not None:
            return refused
        self.begun = self.asked_upstream = True
        query = self.scope["query_string"]
        path = self.kind + (f"?{query.decode('latin-1')}" if query else "")
        try:
            async with self.gate.upstream.ask("POST", path, self.scope["headers"], asked.body, self.name) as answer:
                failure = refused_upstream(answer.status, answer.headers.get("retry-after"))
                if failure is not None:
                    self.asked_upstream = False  # it did nothing for it
                    return failure
                if answer.status >= 400:
                    self.asked_upstream, self.refused = False, answer.status
                if answer.content_type == "text/event-stream":
                    await self._stream(answer, measured)
                else:
                    await self._whole(answer, measured)
        except FAILURES as error:
            log.warning("upstream, request %s: %s", self.name, told(error))
            if not_reached(error):
                self.asked_upstream = False
            return broken(error, answering=self.answering)
        return None

    async def _stream(self, answer: aiohttp.ClientResponse, measured: Measured) -> None:
        events = Events(self.asked, measured)
        await self._begin(answer.status, headers_back(answer))
        async for data in answer.content.iter_any():
            going_on = events.take(data)
            if measured.pieces and self.first_ms is None:
                self.first_ms = self.gate.now_ms()
            if going_on:
                await self._send(going_on, more=True)
        await self._send(events.rest(), more=False)

    async def _whole(self, answer: aiohttp.ClientResponse, measured: Measured) -> None:
        body = await answer.read()
        await off_loop(self.gate.count, len(body), lambda count: measured.see_body(body, count))
        await self._begin(answer.status, headers_back(answer), len(body))
        await self._send(body, more=False)

    async def _begin(self, status: int, headers: Headers, length: int | None = None) -> None:
        size = [] if length is None else [(b"content-length", b"%d" % length)]
        self.answering, self.in_events = True, length is None
        await self._put({"type": "http.response.start", "status": status, "headers": headers + size + self._standing()})

    async def _send(self, data: bytes, *, more: bool) -> None:
        await self._put({"type": "http.response.body", "body": data, "more_body": more})
        self.answered = not more

    async def _put(self, message: Message) -> None:
        """A client that does not take what was sent holds up its own request only, and not for ever."""
        self.gate.slow.begins(self.name, self.gate.rules.client_s, self._too_slow)
        try:
            await self.send(message)
        finally:
            self.gate.slow.ends(self.name)

    def _too_slow(self) -> None:
        self.end(Why.GONE)

    def _standing(self) -> Headers:
        return [*allowance_headers(self.desk.allowance(self.tenant)), (b"x-request-id", self.name.encode())]

    async def _fail(self, failure: Failure) -> None:
        """An error; in a stream that has begun, as an event, and its end. An answer that is cut otherwise closes the connection."""
        self.gate.metrics.failed(self.desk.pool, failure.code)
        if self.in_events:
            await self._send(b"event: error\ndata: %b\n\n" % failure.body, more=True)
            await self._send(b"data: [DONE]\n\n", more=False)
        elif not self.answering:
            self.answering = True
            await answer(self._put, failure, self._standing())
            self.answered = True

    async def _tell_stopped(self, measured: Measured) -> None:
        """A preemptible request was stopped, or the gateway ends: the client is told, and pays for what it got."""
        got = f"stopped after {measured.pieces} pieces of output"
        if self.why is Why.CLOSING:
            failure = Failure(503, Code.CLOSING, f"{got}, as the gateway ends; it pays for what it got", retry_after_ms=1000)
        else:
            told = f"{got}, as others reclaimed their capacity; it pays for what it got"
            failure = Failure(503, Code.PREEMPTED, told, retry_after_ms=1000)
        if self.in_events and self.kind in (Kind.CHAT, Kind.COMPLETIONS):
            part: dict[str, Any] = {"delta": {}} if self.kind is Kind.CHAT else {"text": ""}
            last = {
                "object": "chat.completion.chunk" if self.kind is Kind.CHAT else "text_completion",
                "model": self.asked.model,
            }
            choices = [{"index": 0, **part, "finish_reason": "preempted"}]
            await self._send(b"data: %b\n\n" % to_json({"id": self.name, **last, "choices": choices}), more=True)
        await self._fail(failure)

    def _settle(self, measured: Measured, failure: Failure | None, *, broke: bool) -> None:
        now = self.gate.now_ms()
        usage, basis = measured.settled(self.asked) if self.asked_upstream else (Usage(0, 0, 0), "counted")
        self.desk.settle(self.name, usage.input_tokens, usage.output_tokens)
        if not self.begun:
            return
        latency, first = now - self.came_ms, self.first_ms
        output = usage.output_tokens
        ended = Ended(
            self.name,
            self.tenant,
            self.desk.pool,
            self.asked.model,
            ended_ms=now,
            input_tokens=usage.input_tokens,
            output_tokens=output,
            cached_input_tokens=usage.cached_input_tokens,
            basis=basis,
            latency_ms=latency,
            ttft_ms=None if first is None else first - self.came_ms,
            tpot_ms=None if first is None or output < 2 else (now - first) // (output - 1),
            status=self._status(failure, broke=broke),
        )
        write_end(self.gate, ended)

    def _status(self, failure: Failure | None, *, broke: bool) -> str:
        """What became of it: ended by somebody, failed, refused by upstream (`http_400`, as its client saw it), or `ok`."""
        if self.why is not None or failure is not None:
            return str(self.why or (failure and failure.code))
        if broke:
            return "failed"
        return "ok" if self.refused is None else f"http_{self.refused}"
