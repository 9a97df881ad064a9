"""A gateway's HTTP: what is passed on, `/v1/models`, `/healthz` and `/metrics`; everything else is an error in OpenAI's shape."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Lifespan

from streams.api_keys import KeyRefused
from streams.gateway.answers import Code, Failure, key_refused
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
            return JSONResponse({"object": "list", "data": listed})
        if not key.opens(gate.rules.pool):
            raise Refuse(key_refused(KeyRefused.OTHER_POOL))
        try:
            async with gate.upstream.ask("GET", "/v1/models", request.scope["headers"], None) as answer:
                failure = refused_upstream(answer.status, answer.headers.get("retry-after"))
                if failure is None:
                    back = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers_back(answer)}
                    return Response(await answer.read(), answer.status, back)
        except FAILURES as error:
            log.warning("upstream, its models: %s", told(error))
            failure = broken(error, answering=False)
        return _as_response(failure)

    async def health(_request: Request) -> Response:
        """For load balancers: 503 while there is nothing to decide by."""
        why = ready()
        in_flight = sum(desk.in_flight for desk in gate.desks.values())
        waiting = sum(desk.waiting for desk in gate.desks.values())
        said = {"status": why or "ok", "in_flight": in_flight, "waiting": waiting, "running": gate.metered.running}
        return JSONResponse(said, 200 if why is None else 503)

    async def metrics(_request: Request) -> Response:
        return Response(gate.metrics.page(), media_type=CONTENT_TYPE_LATEST)

    async def refused(request: Request, error: Exception) -> Response:
        return _as_response(error.failure if isinstance(error, Refuse) else _unknown(request, error))

    async def failed(_request: Request, _error: Exception) -> Response:
        """A mistake of ours: the server logs it."""
        return _as_response(Failure(500, Code.INTERNAL, "the gateway failed; its log says why"))

    app = Starlette(
        routes=[
            *(Route(kind, Passing(gate, kind), methods=["POST"]) for kind in Kind),
            Route("/v1/models", models),
            Route("/healthz", health),
            Route("/metrics", metrics),
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


def _as_response(failure: Failure) -> Response:
    headers = {name.decode(): value.decode() for name, value in failure.headers}
    return Response(failure.body, failure.status, headers)
