"""What a request asks: its query, the settings and parameters around it, who asks, and its body as a stream."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import AsyncIterator
from dataclasses import dataclass

from starlette.requests import Request

from infra.clickhouse_codec import UNREADABLE, request_decompressor
from infra.clickhouse_engine import Context
from infra.clickhouse_errors import ClickHouseError

# What speaks to the server and not to the engine.
_TRANSPORT = frozenset(
    {
        *("query", "database", "default_format", "query_id", "user", "password", "quota_key", "role", "stacktrace"),
        *("session_id", "session_timeout", "session_check", "close_session"),
        *("compress", "decompress", "enable_http_compression", "http_zlib_compression_level"),
        *("wait_end_of_query", "buffer_size", "client_protocol_version", "add_http_cors_header", "http_response_headers"),
        *("send_progress_in_http_headers", "http_headers_progress_interval_ms"),
        "cancel_http_readonly_queries_on_client_close",
    }
)


@dataclass(frozen=True)
class Ask:
    """A request without its body.

    Attributes:
        query: text of the `query` parameter.
        context: database, settings, parameters, session.
        default_format: of a result that names none.
        accept_encoding: encodings in which the answer may come; empty unless `enable_http_compression` is on.
        content_encoding: of the body.
        wait_end_of_query: the answer begins only when the query has ended.
    """

    query: bytes
    context: Context
    default_format: str
    accept_encoding: str
    content_encoding: str
    wait_end_of_query: bool


def read_ask(request: Request, query_id: str) -> Ask:
    """Read URL and headers.

    Raises:
        ClickHouseError: something is asked that the embedded server doesn't do.
    """
    url, headers = request.query_params, request.headers
    if _is_on(url.get("compress")) or _is_on(url.get("decompress")):
        message = "compress=1 and decompress=1 (ClickHouse's own framing): use HTTP's Content-Encoding and Accept-Encoding"
        raise ClickHouseError(48, "NOT_IMPLEMENTED", message)
    if headers.get("content-type", "").startswith("multipart/form-data"):
        raise ClickHouseError(48, "NOT_IMPLEMENTED", "external tables and forms are not taken by the embedded server")
    settings = {name: value for name, value in url.items() if name not in _TRANSPORT and not name.startswith("param_")}
    timeout = url.get("session_timeout", "60")
    if not timeout.isdigit() or int(timeout) > 3600:
        raise ClickHouseError(374, "INVALID_SESSION_TIMEOUT", f"Invalid session timeout: {timeout}")
    context = Context(
        database=url.get("database") or headers.get("x-clickhouse-database"),
        settings=settings,
        parameters={name.removeprefix("param_"): value for name, value in url.items() if name.startswith("param_")},
        query_id=query_id,
        session=url.get("session_id") or None,
        session_timeout_s=float(timeout),
        session_must_exist=_is_on(url.get("session_check")),
    )
    return Ask(
        query=url.get("query", "").encode("utf-8", "surrogateescape"),
        context=context,
        default_format=url.get("default_format") or headers.get("x-clickhouse-format") or "TabSeparated",
        accept_encoding=headers.get("accept-encoding", "") if _is_on(url.get("enable_http_compression")) else "",
        content_encoding=headers.get("content-encoding", ""),
        wait_end_of_query=_is_on(url.get("wait_end_of_query")),
    )


def authenticate(request: Request, user: str, password: str) -> None:
    """Check who asks, by the headers `X-ClickHouse-User` and `-Key`, by basic authentication, or in the URL.

    Raises:
        ClickHouseError: not this user, or not this password; never if no password is set.
    """
    if not password:
        return
    given_user = request.headers.get("x-clickhouse-user") or request.query_params.get("user") or "default"
    given_password = request.headers.get("x-clickhouse-key") or request.query_params.get("password") or ""
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            given_user, _, given_password = base64.b64decode(credentials, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError) as unreadable:
            raise ClickHouseError(516, "AUTHENTICATION_FAILED", "Invalid basic authentication header") from unreadable
    same = hmac.compare_digest(f"{given_user}:{given_password}".encode(), f"{user}:{password}".encode())
    if not same:
        message = f"{given_user}: Authentication failed: password is incorrect, or there is no user with such name."
        raise ClickHouseError(516, "AUTHENTICATION_FAILED", message)


class Body:
    """A request's body, decompressed as it comes."""

    def __init__(self, request: Request, ask: Ask) -> None:
        self._source = request.stream()
        self._decompressor = request_decompressor(ask.content_encoding)
        self._back = b""
        self.may_have_data = request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers

    def put_back(self, data: bytes) -> None:
        """What was read too far comes first again."""
        self._back = data

    async def chunks(self) -> AsyncIterator[bytes]:
        """The rest of the body.

        Raises:
            ClickHouseError: it is not compressed as its header says.
        """
        if self._back:
            yield self._back
            self._back = b""
        async for chunk in self._source:
            try:
                data = self._decompressor.decompress(chunk)
            except UNREADABLE as error:
                raise ClickHouseError(271, "CANNOT_DECOMPRESS", f"Cannot decompress the request's body: {error}") from error
            if data:
                yield data

    async def parts(self, size: int) -> AsyncIterator[bytes]:
        """The rest of the body in parts of at least `size` bytes, but for the last."""
        gathered: list[bytes] = []
        length = 0
        async for chunk in self.chunks():
            gathered.append(chunk)
            length += len(chunk)
            if length >= size:
                yield b"".join(gathered)
                gathered, length = [], 0
        if gathered:
            yield b"".join(gathered)


def _is_on(value: str | None) -> bool:
    return value is not None and value.lower() not in {"", "0", "false"}
