"""Envoy's external authorisation: `envoy.service.auth.v3.Authorization/Check`, by gRPC's own generated modules (PyPI `xds-protos`).

Envoy sends a request's headers and body (`with_request_body`, `pack_as_bytes`), and passes it on if the answer is OK. An OK adds
`x-bourse-request-id` to the request and to the answer, and `x-ratelimit-*` to the answer, and takes the tenant's key away. What the
request used `POST /settle` tells (streams/gateway/beside_http.py).

That a request has ended Envoy's access log tells (`envoy.service.accesslog.v3.AccessLogService`, on the same port): one that nobody
settles then, as its client went away, gives back what it holds within seconds, not when its time is over.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc.aio
from envoy.config.core.v3.base_pb2 import HeaderValue, HeaderValueOption
from envoy.service.accesslog.v3 import als_pb2_grpc as accesslog_grpc
from envoy.service.accesslog.v3.als_pb2 import StreamAccessLogsResponse
from envoy.service.auth.v3 import external_auth_pb2 as authz
from envoy.service.auth.v3 import external_auth_pb2_grpc as authz_grpc
from envoy.type.v3.http_status_pb2 import HttpStatus
from google.rpc.status_pb2 import Status

from streams.errors import UserError
from streams.gateway.answers import Code, Failure, Headers
from streams.gateway.arriving import Refuse, key_of
from streams.gateway.beside import Beside
from streams.gateway.exchange import PRIORITY

REQUEST_ID = b"x-bourse-request-id"
_TAKEN = ("authorization", "x-bourse-priority")
_FREE = ("GET", "/v1/models")
"""Costs nothing: a key is enough."""
SETTLED_BY_S = 2.0
"""What an ended request used comes beside the news that it ended: both leave Envoy at the same time."""
_OVERHEAD_BYTES = 1 << 20
"""Of a message beside the body: headers and addresses."""
_GRPC = {401: grpc.StatusCode.UNAUTHENTICATED, 429: grpc.StatusCode.RESOURCE_EXHAUSTED, 503: grpc.StatusCode.UNAVAILABLE}


class Authorization(authz_grpc.AuthorizationServicer):  # type: ignore[misc]  # generated without types
    """The service.

    Args:
        beside: who decides.
    """

    def __init__(self, beside: Beside) -> None:
        self._beside = beside

    async def Check(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002  as the protocol names and calls it
        """Whether Envoy may pass a request on."""
        http = request.attributes.request.http
        headers = _headers(http)
        parts = self._beside.parts
        try:
            key = key_of(parts.rules, parts.keys, {"headers": headers})
            if (http.method, http.path.partition("?")[0]) == _FREE:
                return _passed([], [])
            body = _body(http, headers, parts.rules.most_body_bytes)
            wanted = await self._beside.admit(key, http.path, body, dict(headers).get(PRIORITY))
        except Refuse as refused:
            return _denied(refused.failure)
        named = [(REQUEST_ID, wanted.name.encode())]
        back = named + self._beside.standing(wanted.tenant, wanted.pool)
        return _passed(named, back)


class Endings(accesslog_grpc.AccessLogServiceServicer):  # type: ignore[misc]  # generated without types
    """Envoy's access log, of which only that a request has ended counts; its id stands in dynamic metadata, `bourse`, `request`.

    Args:
        beside: who is told.
    """

    def __init__(self, beside: Beside) -> None:
        self._beside = beside

    async def StreamAccessLogs(self, request_iterator: AsyncIterator[Any], context: Any) -> Any:  # noqa: N802, ARG002  as above
        """Until Envoy ends it."""
        loop = asyncio.get_running_loop()
        async for message in request_iterator:
            for entry in message.http_logs.log_entry:
                ours = entry.common_properties.metadata.filter_metadata
                if "bourse" in ours:
                    loop.call_later(SETTLED_BY_S, self._beside.lose, ours["bourse"]["request"])
        return StreamAccessLogsResponse()


async def authorization_server(beside: Beside, address: str) -> tuple[grpc.aio.Server, int]:
    """Both services, listening; and their port.

    Raises:
        UserError: it can't listen there.
    """
    most = beside.parts.rules.most_body_bytes + _OVERHEAD_BYTES
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", most), ("grpc.so_reuseport", 0)])
    authz_grpc.add_AuthorizationServicer_to_server(Authorization(beside), server)
    accesslog_grpc.add_AccessLogServiceServicer_to_server(Endings(beside), server)
    try:
        port = server.add_insecure_port(address)
    except RuntimeError as error:
        raise UserError(f"can't listen at {address}: {error}") from error
    await server.start()
    return server, port


def _headers(http: Any) -> Headers:
    """As ASGI has them; Envoy sends either form, by its `encode_raw_headers`."""
    raw = [(each.key.encode().lower(), each.raw_value or each.value.encode()) for each in http.header_map.headers]
    return raw or [(name.encode().lower(), value.encode()) for name, value in http.headers.items()]


def _body(http: Any, headers: Headers, most: int) -> bytes:
    """The whole body: of a part of it (`allow_partial_message`), or of none, nobody knows what it costs.

    Raises:
        Refuse: it is not all there, or too long.
    """
    body: bytes = http.raw_body or http.body.encode()
    found = dict(headers)
    told = found.get(b"content-length", b"")
    cut = found.get(b"x-envoy-auth-partial-body") == b"true" or (told.isdigit() and int(told) > len(body))
    if cut or len(body) > most:
        raise Refuse(Failure(413, Code.TOO_LARGE, f"the body is longer than the {len(body)} bytes that are looked at"))
    return body


def _passed(on: Headers, back: Headers) -> Any:
    ok = authz.OkHttpResponse(headers=_options(on), headers_to_remove=_TAKEN, response_headers_to_add=_options(back))
    return authz.CheckResponse(status=Status(code=grpc.StatusCode.OK.value[0]), ok_response=ok)


def _denied(failure: Failure) -> Any:
    code = _GRPC.get(failure.status, grpc.StatusCode.PERMISSION_DENIED).value[0]
    denied = authz.DeniedHttpResponse(
        status=HttpStatus(code=failure.status), headers=_options(failure.headers), body=failure.body.decode()
    )
    return authz.CheckResponse(status=Status(code=code, message=failure.code), denied_response=denied)


def _options(headers: Headers) -> list[Any]:
    """Each replaces what is there under its name."""
    return [
        HeaderValueOption(
            header=HeaderValue(key=name.decode(), value=value.decode()),
            append_action=HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD,
        )
        for name, value in headers
    ]
