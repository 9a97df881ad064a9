"""A gateway's HTTP: what is passed on, `/v1/models` and `/healthz`; everything else is an error in OpenAI's shape.

It is the tenants' port: nothing here tells one of the others. Prometheus is answered elsewhere (streams/gateway/metrics.py).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Lifespan

from streams.api_keys import KeyRefused
from streams.gateway.answers import Code, Failure, Headers, key_refused
from streams.gateway.arriving import Refuse, key_of
from streams.gateway.asked import Kind
from streams.gateway.exchange import Gate, Passing
from streams.gateway.upstream import FAILURES, broken, headers_back, refused_upstream, told

log = logging.getLogger(__name__)


def gateway_app(gate: Gate, ready: Callable[[], str | None], lifespan: Lifespan[Starlette]) -> Starlette:
    """The ASGI application.

    Args:
        gate: what requests pass through.
        ready: why the gateway can't serve; None: it can.
        lifespan: starts and stops what it needs.
    """
    began = int(time.time())

    async def models(request: Request) -> Response:
        """Those that are named and that the key opens; where any model is taken, what upstream serves."""
        key = key_of(gate.rules, gate.keys, request.scope)
        if gate.rules.pool is None:
            listed = [
                {"id": model, "object": "model", "created": began, "owned_by": pool}
                for model, pool in sorted(gate.rules.models.items())
                if key.opens(pool)
            ]
            return JSONResponse({"object": "list", "data": listed}, headers=_plain(gate.standing(request.scope)))
        if not key.opens(gate.rules.pool):
            raise Refuse(key_refused(KeyRefused.OTHER_POOL))
        try:
            async with gate.upstream.ask("GET", "/v1/models", request.scope["headers"], None) as answer:
                failure = refused_upstream(answer.status, answer.headers.get("retry-after"))
                if failure is None:
                    back = _plain([*headers_back(answer), *gate.standing(request.scope)])
                    return Response(await answer.read(), answer.status, back)
        except FAILURES as error:
            log.warning("upstream, its models: %s", told(error))
            failure = broken(error, answering=False)
        return _as_response(failure, gate.standing(request.scope))

    async def health(_request: Request) -> Response:
        """For load balancers: 503 while there is nothing to decide by."""
        return JSONResponse({"status": "ok"}) if ready() is None else JSONResponse({"status": "not ready"}, 503)

    async def refused(request: Request, error: Exception) -> Response:
        if isinstance(error, Refuse):
            gate.metrics.failed("", error.failure.code)
            return _as_response(error.failure, gate.standing(request.scope))
        allowed = [(b"allow", methods.encode()) for methods in _allowed(error)]
        failure = _unknown(request, error)
        gate.metrics.failed("", failure.code)
        return _as_response(failure, [*allowed, *gate.standing(request.scope)])

    async def failed(_request: Request, _error: Exception) -> Response:
        """A mistake of ours: the server logs it."""
        gate.metrics.failed("", Code.INTERNAL)
        return _as_response(Failure(500, Code.INTERNAL, "the gateway failed; its log says why"))

    app = Starlette(
        routes=[
            *(Route(kind, Passing(gate, kind), methods=["POST"]) for kind in Kind),
            Route("/v1/models", models),
            Route("/healthz", health),
        ],
        exception_handlers={404: refused, 405: refused, Refuse: refused, Exception: failed},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False  # to wherever the request's Host says
    return app


def _unknown(request: Request, error: Exception) -> Failure:
    status = error.status_code if isinstance(error, HTTPException) else 404
    code = Code.METHOD if status == 405 else Code.UNKNOWN_PATH
    return Failure(status, code, f"{request.method} {request.scope['path']} is not served here")


def _allowed(error: Exception) -> list[str]:
    """Methods that a path has, where another was asked for."""
    headers = (error.headers or {}) if isinstance(error, HTTPException) else {}
    return [methods for name, methods in headers.items() if name.lower() == "allow"]


def _as_response(failure: Failure, standing: Headers | None = None) -> Response:
    return Response(failure.body, failure.status, _plain([*failure.headers, *(standing or ())]))


def _plain(headers: Headers) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
