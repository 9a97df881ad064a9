"""The runtime behind a gateway: asked by aiohttp's client, whose HTTP is parsed in C (httpx takes some three times as long)."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from streams.gateway.answers import Code, Failure, Headers

CONNECT_S = 5.0
KEEP_S = 4.0
"""How long an idle connection is kept: uvicorn, and so vLLM, closes its side after 5 s, and a request might just have been sent."""

_HOPS = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization te trailer transfer-encoding upgrade host content-length".split()
)
"""Headers of one connection, which end with it (RFC 9110, 7.6.1), and those that the client writes itself."""
_OURS = frozenset({b"authorization", b"accept-encoding", b"x-bourse-priority", b"expect", b"api-key", b"x-api-key", b"cookie"})
"""Not passed on: a tenant's key opens nothing upstream, and an answer must be readable to be measured."""
_BACK = _HOPS | {b"content-encoding", b"server", b"date", b"retry-after", b"x-request-id"}


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
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=("User-Agent", "Accept", "Content-Type"),
        )

    async def close(self) -> None:
        """Ends all connections."""
        if self._session is not None:
            await self._session.close()

    def ask(
        self, method: str, path: str, headers: Iterable[tuple[bytes, bytes]], body: bytes | None, name: str | None = None
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """Begins a request, which upstream's logs may call by its name (`x-request-id`).

        Leaving the context before its answer has ended cancels it upstream, as its connection is closed.

        Raises:
            aiohttp.ClientError, TimeoutError: as `broken` tells a client of.
        """
        if self._session is None:
            raise RuntimeError("start() comes first")
        passed: CIMultiDict[str] = CIMultiDict(
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in headers if name not in _HOPS and name not in _OURS
        )
        passed["Accept-Encoding"] = "identity"
        if name is not None:
            passed["X-Request-Id"] = name
        if self._key is not None:
            passed["Authorization"] = f"Bearer {self._key}"
        return self._session.request(method, URL(self._url + path, encoded=True), headers=passed, data=body, allow_redirects=False)


def headers_back(answer: aiohttp.ClientResponse) -> Headers:
    """Headers of an answer that go on to the client; limits are told by the gateway alone."""
    return [
        (name.lower(), value)
        for name, value in answer.raw_headers
        if name.lower() not in _BACK and not name.lower().startswith(b"x-ratelimit-")
    ]


def broken(error: Exception, *, answering: bool) -> Failure:
    """What a client is told when upstream fails. Addresses and ports are not for clients; the log has them.

    Args:
        error: aiohttp's.
        answering: it had begun to answer.
    """
    if isinstance(error, TimeoutError):
        return Failure(504, Code.UPSTREAM_LATE, "the model's server does not answer in time")
    if answering:
        return Failure(502, Code.UPSTREAM_BROKEN, "the model's server broke off its answer")
    return Failure(502, Code.UPSTREAM_DOWN, "the model's server does not take requests now", retry_after_ms=1000)


def refused_upstream(status: int, retry_after: str | None) -> Failure | None:
    """An answer that is not passed on: the server is overloaded or fails. None: it goes to the client as it is."""
    if status == 429 or status == 503:  # noqa: PLR1714  read as two cases of one meaning
        seconds = int(retry_after) if retry_after is not None and retry_after.isascii() and retry_after.isdigit() else 1
        return Failure(
            503, Code.NO_CAPACITY, f"the model's server is overloaded ({status})", retry_after_ms=min(seconds, 3600) * 1000
        )
    if status >= 500:
        return Failure(502, Code.UPSTREAM_BROKEN, f"the model's server failed ({status})")
    return None
