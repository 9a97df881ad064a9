"""ClickHouse's HTTP interface over an embedded engine: any client that speaks it can connect.

A result of any size streams through a named pipe: the engine writes it in whatever format was asked (`INTO OUTFILE`), this
process passes it on, so memory stays bounded by the pipe and one buffer. 1.8 GB/s in Native on one core.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import uuid
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from infra.clickhouse_codec import response_compressor
from infra.clickhouse_engine import Context, Counts, Engine
from infra.clickhouse_errors import ClickHouseError
from infra.clickhouse_pipe import ResultPipe
from infra.clickhouse_request import Ask, Body, authenticate, read_ask
from infra.clickhouse_sql import Kind, Statement, for_our_query_ids, parse

log = logging.getLogger(__name__)

# An answer is held back until it is complete or has this many bytes, so that an error in its first part gets its own status.
HOLD_BYTES = 1 << 20
APPEND_BYTES = 1 << 20
LARGEST_STATEMENT_BYTES = 64 << 20
# Queries at the same time; more wait. Each has threads of the engine's own besides.
CONCURRENT_QUERIES = 64

_CONTENT_TYPES = {
    "tsv": "text/tab-separated-values; charset=UTF-8",
    "tabseparated": "text/tab-separated-values; charset=UTF-8",
    "csv": "text/csv; charset=UTF-8",
    "jsoneachrow": "application/x-ndjson; charset=UTF-8",
    "jsoncompacteachrow": "application/x-ndjson; charset=UTF-8",
    "json": "application/json; charset=UTF-8",
    "xml": "application/xml; charset=UTF-8",
    "pretty": "text/plain; charset=UTF-8",
    "vertical": "text/plain; charset=UTF-8",
    "values": "text/plain; charset=UTF-8",
}


class _BrokenOffError(Exception):
    """An answer whose first part is out failed; the connection is cut so that no client takes it for whole."""


class ClickHouseHttp:
    """Serves one engine.

    Args:
        engine: that carries out the statements.
        pipes: directory for named pipes.
        user: who may connect.
        password: of the user; empty: nobody is asked.
    """

    def __init__(self, engine: Engine, pipes: Path, *, user: str, password: str) -> None:
        self._engine = engine
        self._pipes = pipes
        self._user = user
        self._password = password
        self._pool = ThreadPoolExecutor(CONCURRENT_QUERIES, thread_name_prefix="query")

    def app(self) -> ASGIApp:
        """The ASGI application."""
        routed = Starlette(
            routes=[
                Route("/", self._answer, methods=["GET", "POST", "PUT"]),
                Route("/ping", self._alive, methods=["GET"]),
                Route("/replicas_status", self._alive, methods=["GET"]),
                Route("/{path:path}", self._nothing_there, methods=["GET", "POST", "PUT"]),
            ]
        )

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            # Returning without the answer's end makes the server cut the connection.
            with suppress(_BrokenOffError):
                await routed(scope, receive, send)

        return app

    async def _alive(self, _request: Request) -> Response:
        return PlainTextResponse("Ok.\n")

    async def _nothing_there(self, request: Request) -> Response:
        return PlainTextResponse(f"There is no handle {request.url.path}\n", status_code=404)

    async def _answer(self, request: Request) -> Response:
        query_id = request.query_params.get("query_id") or request.headers.get("x-clickhouse-query-id") or str(uuid.uuid4())
        headers = {
            "X-ClickHouse-Server-Display-Name": "tokenbourse",
            "X-ClickHouse-Query-Id": query_id,
            "X-ClickHouse-Timezone": self._engine.timezone,
        }
        try:
            authenticate(request, self._user, self._password)
            ask = read_ask(request, query_id)
            statement, body = await self._statement(ask, request)
            if statement is None:
                return PlainTextResponse("Ok.\n", headers=headers)
            _allow(request.method, statement)
            if statement.kind is Kind.INSERT:
                return await self._insert(ask, statement, body, headers)
            if statement.kind is Kind.STREAMED:
                return await self._stream(ask, statement, headers)
            return await self._direct(ask, statement, headers)
        except ClickHouseError as error:
            return self._error(error, headers)
        except ClientDisconnect:
            return Response(status_code=499)

    def _error(self, error: ClickHouseError, headers: dict[str, str]) -> Response:
        headers = {**headers, "X-ClickHouse-Exception-Code": str(error.code)}
        return PlainTextResponse(error.text(self._engine.version), status_code=error.status, headers=headers)

    async def _statement(self, ask: Ask, request: Request) -> tuple[Statement | None, Body]:
        """Read as much of the body as tells the statement; `body` holds the rest. None: nothing was asked."""
        body = Body(request, ask)
        text = bytearray(ask.query)
        if text and body.may_have_data:
            text += b"\n"
        try_at = 0
        async for chunk in body.chunks():
            text += chunk
            if len(text) > LARGEST_STATEMENT_BYTES:
                raise ClickHouseError(62, "QUERY_IS_TOO_LARGE", f"the statement is longer than {LARGEST_STATEMENT_BYTES} bytes")
            # Trying again only when the text has doubled keeps the whole linear in its length.
            if len(text) >= try_at and (statement := parse(bytes(text), complete=False)) is not None:
                body.put_back(bytes(text[statement.data_at :]))
                return statement, body
            try_at = max(try_at, 2 * len(text))
        if not text.strip():
            return None, body
        statement = parse(bytes(text), complete=True)
        if statement is not None:
            body.put_back(bytes(text[statement.data_at :]) if statement.kind is Kind.INSERT else b"")
        return statement, body

    async def _insert(self, ask: Ask, statement: Statement, body: Body, headers: dict[str, str]) -> Response:
        loop, engine = asyncio.get_running_loop(), self._engine
        with ExitStack() as stack:
            handle = await loop.run_in_executor(self._pool, lambda: stack.enter_context(engine.handle(ask.context, stateful=False)))
            insert = await loop.run_in_executor(
                self._pool, engine.begin_insert, handle, statement.head, statement.format or "Values"
            )
            stack.callback(insert.cancel)  # nothing happens if it has finished
            try:
                async for part in body.parts(APPEND_BYTES):
                    await loop.run_in_executor(self._pool, insert.append, part)
                done = await loop.run_in_executor(self._pool, insert.finish)
            except RuntimeError as error:
                raise ClickHouseError.of(error) from error
        counts = Counts(
            read_rows=done.rows_written,
            read_bytes=done.bytes_written,
            written_rows=done.rows_written,
            written_bytes=done.bytes_written,
            result_rows=done.rows_written,
            result_bytes=done.bytes_written,
            elapsed_ns=int(done.elapsed * 1e9),
        )
        return Response(b"", headers={**headers, "X-ClickHouse-Summary": _summary(counts)})

    async def _direct(self, ask: Ask, statement: Statement, headers: dict[str, str]) -> Response:
        output_format = statement.format or ask.default_format
        sql = for_our_query_ids(statement.head) if statement.verb == "KILL" else statement.head

        def run() -> tuple[bytes, Counts]:
            with self._engine.handle(ask.context, stateful=statement.stateful) as handle:
                return self._engine.run(handle, sql, output_format)

        body, counts = await asyncio.get_running_loop().run_in_executor(self._pool, run)
        headers = {**headers, "X-ClickHouse-Summary": _summary(counts)}
        if statement.has_result:
            headers |= {"X-ClickHouse-Format": output_format, "Content-Type": _content_type(output_format)}
        return self._encoded(ask, body, headers)

    async def _stream(self, ask: Ask, statement: Statement, headers: dict[str, str]) -> Response:
        output_format = statement.format or ask.default_format
        tag = secrets.token_hex(8)
        headers = {
            **headers,
            "X-ClickHouse-Format": output_format,
            "X-ClickHouse-Exception-Tag": tag,
            "Content-Type": _content_type(output_format),
        }
        pipe = await ResultPipe.open(self._pipes)

        def run() -> Counts:
            sql = f"{statement.head}\nINTO OUTFILE '{pipe.path}' TRUNCATE FORMAT {output_format} {statement.tail}"
            with self._engine.handle(ask.context, stateful=False) as handle:
                return self._engine.run(handle, sql, "Null")[1]

        pipe.feed(asyncio.get_running_loop().run_in_executor(self._pool, run))
        held = await pipe.read_up_to(None if ask.wait_end_of_query else HOLD_BYTES)
        if not pipe.at_end:
            return self._streaming(ask, headers, pipe, held, tag)
        counts = await pipe.finished()
        if not held and output_format.lower() == "native":
            held = await self._columns_only(ask.context, statement)
        return self._encoded(ask, held, {**headers, "X-ClickHouse-Summary": _summary(counts, result_bytes=len(held))})

    def _streaming(self, ask: Ask, headers: dict[str, str], pipe: ResultPipe, held: bytes, tag: str) -> Response:
        encoding, compressor = response_compressor(ask.accept_encoding)

        async def parts() -> AsyncIterator[bytes]:
            try:
                yield compressor.compress(held)
                while part := await pipe.read():
                    yield compressor.compress(part)
                try:
                    await pipe.finished()
                except ClickHouseError as error:
                    yield compressor.compress(_exception_block(error.text(self._engine.version), tag)) + compressor.flush()
                    raise _BrokenOffError from error
                yield compressor.flush()
            finally:
                if not pipe.at_end:  # the client has gone; the engine would compute on for nobody
                    self._pool.submit(self._engine.kill, ask.context.query_id)
                pipe.close()

        headers = {**headers, "X-ClickHouse-Summary": _summary(Counts())}
        return StreamingResponse(parts(), headers=headers | ({"Content-Encoding": encoding} if encoding else {}))

    def _encoded(self, ask: Ask, body: bytes, headers: dict[str, str]) -> Response:
        encoding, compressor = response_compressor(ask.accept_encoding)
        if not encoding:
            return Response(body, headers=headers)
        return Response(compressor.compress(body) + compressor.flush(), headers={**headers, "Content-Encoding": encoding})

    async def _columns_only(self, context: Context, statement: Statement) -> bytes:
        """The Native block of no rows with which a server answers an empty result: chDB writes nothing at all."""
        if statement.verb not in {"SELECT", "WITH"}:
            return b""

        def describe() -> bytes:
            with self._engine.handle(context, stateful=False) as handle:
                return self._engine.run(handle, f"DESCRIBE ({statement.head})", "JSONCompactEachRow")[0]

        lines = await asyncio.get_running_loop().run_in_executor(self._pool, describe)
        columns = [json.loads(line)[:2] for line in lines.splitlines()]
        fields = b"".join(_counted(name.encode()) + _counted(kind.encode()) for name, kind in columns)
        return _varint(len(columns)) + _varint(0) + fields


def _allow(method: str, statement: Statement) -> None:
    if method == "GET" and not statement.reads_only:
        raise ClickHouseError(164, "READONLY", "Cannot execute query in readonly mode: use POST for what changes data")


def _exception_block(message: str, tag: str) -> bytes:
    """How a server tells of an error after the first part of an answer is out (since 25.11)."""
    text = message.encode()
    return b"\r\n__exception__\r\n%b\r\n%b%d %b\r\n__exception__\r\n" % (tag.encode(), text, len(text), tag.encode())


def _counted(data: bytes) -> bytes:
    return _varint(len(data)) + data


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _summary(counts: Counts, result_bytes: int | None = None) -> str:
    return json.dumps(
        {
            "read_rows": str(counts.read_rows),
            "read_bytes": str(counts.read_bytes),
            "written_rows": str(counts.written_rows),
            "written_bytes": str(counts.written_bytes),
            "total_rows_to_read": "0",
            "result_rows": str(counts.result_rows),
            "result_bytes": str(counts.result_bytes if result_bytes is None else result_bytes),
            "elapsed_ns": str(counts.elapsed_ns),
        },
        separators=(",", ":"),
    )


def _content_type(output_format: str) -> str:
    name = output_format.lower()
    matching = [known for known in _CONTENT_TYPES if name.startswith(known)]
    return _CONTENT_TYPES[max(matching, key=len)] if matching else "application/octet-stream"
