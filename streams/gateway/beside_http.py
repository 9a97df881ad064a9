"""For gateways of others, by HTTP: whose a key is, admission, settlement.

It trusts who asks, so it belongs where only they reach it.

    GET  /whose    Authorization: Bearer bk-…                 {"key": id, "tenant": …}
    POST /admit    {"key": id, "path": …, "priority": …, "body": {…}}   {"request": id, "headers": {…}}, or what the client is told
    POST /settle   x-bourse-request-id, x-bourse-status: ok | …; upstream's answer, or the end of it      {"usage": {…}}
    GET  /healthz, /metrics

An error's body and headers are those that the client shall see.
"""

from __future__ import annotations

from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST
from pydantic_core import from_json, to_json
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from schemas.access import ApiKey
from streams.api_keys import KeyRefused
from streams.gateway.answers import Code, Failure, Headers, key_refused
from streams.gateway.arriving import Refuse, body_of, key_of
from streams.gateway.beside import Beside

STATUS_CHARS = 32


def beside_app(beside: Beside) -> Starlette:
    """The ASGI application."""
    parts = beside.parts

    async def whose(request: Request) -> Response:
        key = key_of(parts.rules, parts.keys, request.scope)
        return JSONResponse({"key": key.id, "tenant": key.tenant})

    async def admit(request: Request) -> Response:
        told = _told(await body_of(parts.rules, request.scope, request.receive))
        priority = told.get("priority")
        wanted = await beside.admit(
            _key(beside, told.get("key")),
            str(told.get("path")),
            to_json(told.get("body")),
            priority.encode() if isinstance(priority, str) else None,
        )
        headers = beside.standing(wanted.tenant, wanted.pool)
        return JSONResponse({"request": wanted.name, "headers": _plain(headers)})

    async def settle(request: Request) -> Response:
        name = request.headers.get("x-bourse-request-id", "")
        status = request.headers.get("x-bourse-status", "ok")
        if not (0 < len(status) <= STATUS_CHARS and status.isascii() and status.isprintable()):
            raise Refuse(Failure(400, Code.INVALID_VALUE, f"x-bourse-status: not 1 to {STATUS_CHARS} characters"))
        usage = beside.settle(name, await body_of(parts.rules, request.scope, request.receive), status)
        if usage is None:
            raise Refuse(Failure(404, Code.UNKNOWN_REQUEST, "no such request is open: it is settled, or never was admitted"))
        return JSONResponse({"usage": usage._asdict()})

    async def health(_request: Request) -> Response:
        why = parts.not_ready
        return JSONResponse({"status": why or "ok", "open": beside.open}, 200 if why is None else 503)

    async def metrics(_request: Request) -> Response:
        return Response(parts.metrics.page(), media_type=CONTENT_TYPE_LATEST)

    async def refused(_request: Request, error: Exception) -> Response:
        if not isinstance(error, Refuse):
            raise error
        return Response(error.failure.body, error.failure.status, _plain(error.failure.headers))

    return Starlette(
        routes=[
            Route("/whose", whose),
            Route("/admit", admit, methods=["POST"]),
            Route("/settle", settle, methods=["POST"]),
            Route("/healthz", health),
            Route("/metrics", metrics),
        ],
        exception_handlers={Refuse: refused},
    )


def _told(body: bytes) -> dict[str, Any]:
    try:
        told = from_json(body)
    except ValueError as error:
        raise Refuse(Failure(400, Code.INVALID_JSON, f"the body is not JSON: {error}")) from None
    if not isinstance(told, dict):
        raise Refuse(Failure(400, Code.INVALID_JSON, "the body is not an object"))
    return told


def _key(beside: Beside, name: object) -> ApiKey:
    """By its id: who asks has seen the key itself, and asked `/whose`."""
    key = beside.parts.keys.known.get(name) if isinstance(name, str) else None
    if key is None:
        raise Refuse(key_refused(KeyRefused.UNKNOWN))
    if key.revoked_at is not None:
        raise Refuse(key_refused(KeyRefused.REVOKED))
    return key


def _plain(headers: Headers) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in headers}
