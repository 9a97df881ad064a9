"""HTTP as the gateway listens to it: uvicorn's, with bounds on headers, and refusals in OpenAI's shape.

The parser (llhttp) takes headers of any length and waits for them for ever: whoever only connects could fill memory, or hold
every connection. What it refuses itself (two lengths, a length beside chunks, chunks of no size, spaces in names, lines that go on,
bare line feeds) is answered and its connection closed: nothing behind it is read as a request.

A wish for another protocol (h2c, which Java's client has by default) is not granted, and the request is read without it (RFC 9110,
7.8): the parser would take its body for the other protocol's.

What was answered and is not read stays in memory until its connection is cut: closing it waits for that client for ever.
"""

from __future__ import annotations

import asyncio
from typing import ClassVar

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from streams.gateway.answers import Code, Failure

CHUNK_COSTS = 8
"""Bytes of a chunked body for each byte that it brings, at most: a chunk of one byte takes six."""


class _NoLength(int):
    """Of an answer that ends with its connection: any length is right."""

    def __lt__(self, _other: int) -> bool:
        return False

    def __ne__(self, _other: object) -> bool:
        return False

    def __sub__(self, _other: int) -> _NoLength:
        return self

    __eq__ = int.__eq__
    __hash__ = int.__hash__


def _uncounted(_pool: str, _code: Code) -> None:
    """Of an application that does not count what is refused here."""


_MALFORMED = Failure(400, Code.MALFORMED, "these bytes are no HTTP request")


class Listening(HttpToolsProtocol):
    """One connection.

    Attributes:
        MOST_HEADER_BYTES: of a request's line and headers; what comes in one piece with their end is taken.
        HEADERS_S: from the connection's begin, or the end of an answer, to the end of the next request's headers. What is left of a
            body that was refused must have come by then, too, and an answer of less than 64 KiB have been taken.
        UNREAD_S: for what is more than that and waits for the client, and a second for each UNREAD_BYTES_PER_S of it.
    """

    MOST_HEADER_BYTES: ClassVar[int] = 64 << 10
    HEADERS_S: ClassVar[float] = 20.0
    UNREAD_S: ClassVar[float] = 60.0
    UNREAD_BYTES_PER_S: ClassVar[int] = 16 << 10

    _header_bytes = 0
    _body_bytes = _beside_body = 0
    _in_headers = True
    _asked = False
    _upgrades = False
    _patience: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn narrows it likewise
        """Somebody connects."""
        super().connection_made(transport)
        self._await_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """They have gone."""
        self._have_headers()
        self._have_read()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes of requests."""
        if self.transport.is_closing():
            return  # refused, or answered for the last time: nothing behind it is a request
        if self._in_headers:
            self._header_bytes += len(data)
        else:
            self._beside_body += len(data)
        self._read(data)
        if self._in_headers and self._header_bytes > self.MOST_HEADER_BYTES:
            self._refuse(Failure(431, Code.TOO_MANY_HEADERS, f"the headers are longer than {self.MOST_HEADER_BYTES} bytes"))
        elif self._beside_body - CHUNK_COSTS * self._body_bytes > self.MOST_HEADER_BYTES:
            self._refuse(_MALFORMED)  # trailers, or what a chunk says beside its size, without end

    def _read(self, data: bytes) -> None:
        """As uvicorn does it, which logs a line for whatever is no HTTP: a disk could be filled with that."""
        self._unset_keepalive_if_required()
        left: list[bytes | memoryview] = [data]
        while left:
            piece = left.pop()
            try:
                self.parser.feed_data(piece)
            except httptools.HttpParserError:
                self._refuse(_MALFORMED)
                return
            except httptools.HttpParserUpgrade as wish:
                if not self._upgrades:
                    return  # CONNECT: it is answered, and what follows would be the tunnel's
                left += [memoryview(piece)[wish.args[0] :], self._without_upgrade()]

    def _without_upgrade(self) -> bytes:
        """The head of a request that wishes for another protocol, as it would be without that; for a parser of its own."""
        line = b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())
        kept = [b"%b: %b" % header for header in self.headers if header[0] != b"upgrade"]
        self._upgrades = False
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's: an answer is owed to what came before
        return b"\r\n".join([line, *kept, b"", b""])

    def on_message_begin(self) -> None:
        """A request's first byte."""
        self._in_headers, self._header_bytes = True, 1  # the piece that it begins in may hold an earlier body, too
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """A request is asked; its body may follow."""
        self._upgrades = self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT"
        if self._upgrades:
            return
        self._in_headers = False
        self._body_bytes = self._beside_body = 0
        self._have_headers()
        super().on_headers_complete()
        self._asked = True
        self.headers = []  # what a chunked body ends with are no headers of the request
        if self.expect_100_continue:
            self.cycle.keep_alive = False  # who is refused without a 100 may send the body or not: nobody can tell what follows
        if self.scope["http_version"] == "1.0":
            self.cycle.chunked_encoding, self.cycle.expected_content_length = False, _NoLength()  # chunks are HTTP/1.1's

    def on_body(self, body: bytes) -> None:
        """A part of a body."""
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """A body has ended."""
        if not self._upgrades:
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """The next request's headers are waited for."""
        super().on_response_complete()
        if self.transport.is_closing() or self.cycle.response_complete:
            self._await_headers()

    def pause_writing(self) -> None:
        """The client takes less than it is sent."""
        super().pause_writing()
        self._have_read()
        left_s = self.transport.get_write_buffer_size() / self.UNREAD_BYTES_PER_S
        self._unread = self.loop.call_later(self.UNREAD_S + left_s, self.transport.abort)

    def resume_writing(self) -> None:
        """It has taken most of it."""
        self._have_read()
        super().resume_writing()

    def _await_headers(self) -> None:
        self._have_headers()
        self._patience = self.loop.call_later(self.HEADERS_S, self._too_slow)

    def _have_headers(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _have_read(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _too_slow(self) -> None:
        if self._unread is None and self.transport.get_write_buffer_size():
            self.transport.abort()
        elif self._header_bytes and self._in_headers:
            self._refuse(Failure(408, Code.MALFORMED, f"the headers did not come within {self.HEADERS_S:g} s"))
        else:
            self.transport.close()

    def _refuse(self, failure: Failure) -> None:
        """The last answer of this connection; none where another is under way. It is counted where the application says so."""
        self.app_state.get("failed", _uncounted)("", failure.code)
        under_way = self.pipeline or (self._asked and self.cycle.response_started and not self.cycle.response_complete)
        if not self.transport.is_closing() and not under_way:
            body = failure.body
            headers = [*self.server_state.default_headers, *failure.headers, (b"content-length", b"%d" % len(body))]
            lines = b"".join(b"%b: %b\r\n" % header for header in headers)
            self.transport.write(STATUS_LINE[failure.status] + lines + b"connection: close\r\n\r\n" + body)
        self.transport.close()
