"""The runtime behind a gateway: asked by aiohttp's client, whose HTTP is parsed in C (httpx takes some three times as long).

A request is asked again, once, only if nobody can have begun to work on it: it went out on a connection that had rested, which
ended within STALE_S without a byte of an answer. That is what happens when the server closes an idle connection at the very moment
in which a request is sent on it (RFC 9112, 9.3.1). A POST is not idempotent, so nothing else is asked again: on a fresh connection
the server has seen it; one that ends later may have died of it; what was answered in part was worked on. Should a server close a
connection so soon although it has begun, the work is done twice; the tenant pays once, for the answer that it got.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError
from multidict import CIMultiDict
from yarl import URL

from streams.gateway.answers import Code, Failure, Headers

log = logging.getLogger(__name__)

CONNECT_S = 5.0
KEEPALIVE_S = 4.0
"""Less than the 5 s after which uvicorn (vLLM, SGLang) and llama.cpp close a connection that rests."""
STALE_S = 0.1
"""A server's close that was under way when a request was sent arrives within the time that packets take."""

_HOPS = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer transfer-encoding upgrade host"
    b" content-length".split()
)
"""Headers of one connection, which end with it (RFC 9110, 7.6.1), and those that the client writes itself."""
_OURS = frozenset({b"authorization", b"accept-encoding", b"x-bourse-priority", b"expect", b"api-key", b"x-api-key", b"cookie"})
"""Not passed on: a tenant's key opens nothing upstream, and an answer must be readable to be measured."""
_BACK = _HOPS | frozenset(b"server date retry-after x-request-id set-cookie alt-svc www-authenticate location".split())
"""Not passed back: what the gateway tells itself, and what would send a client past it, or give it what upstream knows it by."""
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
_CLOSED = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)
FAILURES = (aiohttp.ClientError, HttpProcessingError, TimeoutError)
"""What asking upstream raises. The second comes bare where what was to be an answer's body is no HTTP."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long upstream is waited for, seconds: for a connection, and for the next bytes of an answer."""

    connect_s: float = CONNECT_S
    silence_s: float = 300.0


class Upstream:
    """One OpenAI-compatible server.

    Args:
        url: its base, without `/v1`.
        key: what it wants to be shown; None: nothing.
        patience: how long it is waited for.
    """

    def __init__(self, url: str, key: str | None = None, patience: Patience | None = None) -> None:
        self._url = url.rstrip("/").removesuffix("/v1")
        self._key = key
        self._patience = patience or Patience()
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Within the event loop that will ask."""
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=self._patience.connect_s, sock_read=self._patience.silence_s, connect=None
        )
        # No limit of connections: admission is what limits requests. Answers are passed on as they come, whatever their size.
        self._session = aiohttp.ClientSession(
            timeout=timeout,
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEPALIVE_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=("User-Agent", "Accept", "Content-Type"),
            trace_configs=[_tracing()],
        )

    async def close(self) -> None:
        """Ends all connections."""
        if self._session is not None:
            await self._session.close()

    @asynccontextmanager
    async def ask(
        self, method: str, path: str, headers: Iterable[tuple[bytes, bytes]], body: bytes | None, name: str | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Begins a request, which upstream's logs may call by its name (`x-request-id`).

        Leaving the context before its answer has ended cancels it upstream, as its connection is closed.

        Raises:
            any of FAILURES: as `broken` tells a client of.
        """
        headers = tuple(headers)
        kept_back = _HOPS | _OURS | _named_by_connection(headers)
        passed: CIMultiDict[str] = CIMultiDict(
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in headers if name not in kept_back
        )
        passed["Accept-Encoding"] = "identity"
        if name is not None:
            passed["X-Request-Id"] = name
        if self._key is not None:
            passed["Authorization"] = f"Bearer {self._key}"
        url = URL(self._url + path, encoded=True)
        async with await self._answer(method, url, passed, body) as answer:
            with _ends_with_its_connection(answer):
                yield answer

    async def _answer(self, method: str, url: URL, headers: CIMultiDict[str], body: bytes | None) -> aiohttp.ClientResponse:
        """Its beginning; asked again once if the connection was closed already when the request was sent."""
        if self._session is None:
            raise RuntimeError("start() comes first")
        went_out = SimpleNamespace(reused_at=None)
        try:
            return await self._session.request(
                method, url, headers=headers, data=body, allow_redirects=False, trace_request_ctx=went_out
            )
        except _CLOSED as closed:
            if not _was_stale(closed, went_out.reused_at):
                raise
        log.info("upstream had closed a connection that rested: the request is sent again")
        return await self._session.request(method, url, headers=headers, data=body, allow_redirects=False)


def _tracing() -> aiohttp.TraceConfig:
    """Tells each request when it was given a connection that had been used before."""

    async def reused(_session: aiohttp.ClientSession, context: SimpleNamespace, _told: Any) -> None:
        if context.trace_request_ctx is not None:
            context.trace_request_ctx.reused_at = time.monotonic()

    tracing = aiohttp.TraceConfig()
    tracing.on_connection_reuseconn.append(reused)
    return tracing


def _was_stale(closed: Exception, reused_at: float | None) -> bool:
    """Whether a connection that ended had been closed before the request came.

    Args:
        closed: how it ended; aiohttp puts what of an answer had come into the message.
        reused_at: when the request was given it; None: it was fresh.
    """
    answered = isinstance(closed, aiohttp.ServerDisconnectedError) and not isinstance(closed.message, str)
    not_there = isinstance(closed, aiohttp.ClientConnectorError)
    return reused_at is not None and not answered and not not_there and time.monotonic() - reused_at < STALE_S


@contextmanager
def _ends_with_its_connection(answer: aiohttp.ClientResponse) -> Iterator[None]:
    """The client forgets whom to tell when an answer's body turns out to be no HTTP: whoever reads it would wait for ever."""

    def lost(_closed: object) -> None:
        if not answer.content.is_eof() and answer.content.exception() is None:
            answer.content.set_exception(aiohttp.ClientPayloadError())

    protocol = None if answer.connection is None else answer.connection.protocol
    closed = None if protocol is None else protocol.closed
    if closed is None:  # it has ended already
        yield
        return
    closed.add_done_callback(lost)
    try:
        yield
    finally:
        closed.remove_done_callback(lost)  # the connection outlives this answer


def _named_by_connection(headers: Iterable[tuple[bytes, bytes]]) -> frozenset[bytes]:
    """Headers that a sender says are of this connection only."""
    named = [value for name, value in headers if name == b"connection"]
    return frozenset(part.strip().lower() for value in named for part in value.split(b",")) if named else frozenset()


def headers_back(answer: aiohttp.ClientResponse) -> Headers:
    """Headers of an answer that go on to the client; limits are told by the gateway alone. What is no header is left out."""
    lower = [(name.lower(), value) for name, value in answer.raw_headers]
    kept_back = _BACK | _named_by_connection(lower)
    return [
        (name, value)
        for name, value in lower
        if name not in kept_back and not name.startswith(b"x-ratelimit-") and _NAME.fullmatch(name) and _VALUE.fullmatch(value)
    ]


def told(error: Exception) -> str:
    """For the log. aiohttp's own words can hold what upstream said, or what the client's URL asked: neither is for logs."""
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"{type(error).__name__}: {error.os_error.strerror or type(error.os_error).__name__}"
    return type(error).__name__


def not_reached(error: Exception) -> bool:
    """Whether upstream never saw the request."""
    return isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError | aiohttp.InvalidURL)


def broken(error: Exception, *, answering: bool) -> Failure:
    """What a client is told when upstream fails. Addresses and ports are not for clients; the log has them.

    Args:
        error: aiohttp's.
        answering: it had begun to answer.
    """
    if isinstance(error, TimeoutError):
        return Failure(504, Code.UPSTREAM_LATE, "the model's server does not answer in time")
    if isinstance(error, aiohttp.InvalidURL):
        return Failure(400, Code.INVALID_VALUE, "the query of the URL can't be passed on")
    if answering:
        return Failure(502, Code.UPSTREAM_BROKEN, "the model's server broke off its answer")
    return Failure(502, Code.UPSTREAM_DOWN, "the model's server does not take requests now", retry_after_ms=1000)


def refused_upstream(status: int, retry_after: str | None) -> Failure | None:
    """An answer that is not passed on: the server is overloaded or fails. None: it goes to the client as it is.

    A 401 is about the gateway's key and not the client's, and may show a part of it. A redirection would lead past the gateway.
    """
    if status == 429 or status == 503:  # noqa: PLR1714  read as two cases of one meaning
        given = retry_after or ""
        seconds = int(given) if given.isascii() and given.isdigit() and len(given) < 9 else 1
        return Failure(
            503, Code.NO_CAPACITY, f"the model's server is overloaded ({status})", retry_after_ms=min(max(seconds, 1), 3600) * 1000
        )
    if status == 401:
        return Failure(502, Code.UPSTREAM_DOWN, "the model's server does not take the gateway's key")
    if status < 200 or 300 <= status < 400 or status >= 500:
        return Failure(502, Code.UPSTREAM_BROKEN, f"the model's server failed ({status})")
    return None
