"""The way to ClickHouse: a client of its own in a thread of its own, for code that lives on an event loop.

A clickhouse-connect client may be used by one thread at a time; so each `ClickHouse` has one thread, and its calls follow one
another in the order in which they were made, also those whose caller was cancelled meanwhile. What that gives to the sink:
nothing that it reads can overtake an insert that it has given up waiting for.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

import clickhouse_connect
import lz4.frame
from clickhouse_connect.datatypes.base import ClickHouseType
from clickhouse_connect.datatypes.registry import get_from_name
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.common import write_leb128
from clickhouse_connect.driver.exceptions import ClickHouseError, DataError
from clickhouse_connect.driver.insert import InsertContext
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, wait_random_exponential
from urllib3.exceptions import HTTPError

from streams.settings import Settings

log = logging.getLogger(__name__)

T = TypeVar("T")

CONNECT_S = 5
ANSWER_S = 30
"""How long ClickHouse may be silent. A full batch takes it well below a second; a server that is this slow is tried again."""

LONGEST_PAUSE_S = 5.0
"""Between two tries: an outage of hours costs a try every few seconds, its end is noticed as soon."""

NOISY = ("clickhouse_connect.driver._backend.http_sync", "clickhouse_connect.driver.httputil", "urllib3.connectionpool")
"""Loggers that warn of every try, with tracebacks; `until_done` says it once."""

ONE_BLOCK = {
    # The block that the client sends is the block that is written: an asynchronous insert would mix it with others and answer
    # before it is safe, and a server may cut or join blocks at these sizes. 2^40 rows and no limit of bytes mean never.
    "async_insert": 0,
    "max_insert_block_size": 2**40,
    "min_insert_block_size_rows": 2**40,
    "min_insert_block_size_bytes": 0,
}


def connect(settings: Settings, answer_s: float = ANSWER_S) -> Client:
    """A client of the ClickHouse in use, for one thread. Statements name their database: it may not exist yet.

    Args:
        settings: that say where it is.
        answer_s: how long it may be silent, s.

    Raises:
        ClickHouseError: it does not answer, or refuses us.
    """
    url = urlsplit(settings.clickhouse_url)
    return clickhouse_connect.get_client(
        interface="https" if url.scheme == "https" else "http",
        host=url.hostname or "",
        port=url.port or (8443 if url.scheme == "https" else 8123),
        username=unquote(url.username) if url.username else settings.clickhouse_user,
        password=unquote(url.password) if url.password else settings.clickhouse_password.get_secret_value(),
        proxy_path=url.path,
        compress="lz4",
        connect_timeout=CONNECT_S,
        send_receive_timeout=answer_s,
        query_retries=0,  # until_done() decides what is tried again
        autogenerate_session_id=False,  # a session would outlive a connection that broke, and refuse the next one
        client_name="tokenbourse",
    )


def is_outage(error: BaseException) -> bool:
    """Whether trying again may help: ClickHouse or the way to it failed, not the client on our data."""
    return isinstance(error, (ClickHouseError, HTTPError, OSError)) and not isinstance(error, DataError)


@cache
def _type(name: str) -> ClickHouseType:
    return get_from_name(name)


def native_block(table: str, names: Sequence[str], types: Sequence[str], columns: Sequence[Sequence[Any]]) -> bytes:
    """`INSERT INTO … FORMAT Native` with all rows as one block, compressed with LZ4: the body of a request.

    clickhouse-connect's `insert` cuts its data into blocks of 2 MB, and imports pandas to see whether it is some: 1.5 s and
    80 MB of a sink. The bytes of each column are written by its own column types.

    Args:
        table: quoted.
        names: of the columns.
        types: of the columns, as ClickHouse writes them.
        columns: not empty, equally long.

    Raises:
        Exception: whatever the serialization of a column raises: a value is not of its column's type.
    """
    listed = ", ".join(f"`{name}`" for name in names)
    block = bytearray(f"INSERT INTO {table} ({listed}) FORMAT Native\n".encode())
    kinds = [_type(name) for name in types]
    context = InsertContext(table, names, kinds)
    write_leb128(len(columns), block)
    write_leb128(len(columns[0]), block)
    for name, kind, column in zip(names, kinds, columns, strict=True):
        for text in (name.encode(), kind.insert_name.encode()):
            write_leb128(len(text), block)
            block += text
        context.start_column(name)
        kind.write_column(column, block, context)
    return bytes(lz4.frame.compress(block))


def send_block(client: Client, body: bytes) -> None:
    """Insert what `native_block` made; when it returns the block is written.

    The body is given as an iterator, which can't be sent twice: given bytes, clickhouse-connect itself repeats an insert whose
    connection broke, although it may have been done.

    Raises:
        ClickHouseError: it was not written, or it is unknown whether it was.
    """
    client.raw_insert(insert_block=(part for part in (body,)), compression="lz4", settings=ONE_BLOCK)  # type: ignore[call-arg]  # the body names its table


class ClickHouse:
    """One client in one thread. Memory: what one call holds."""

    def __init__(self, settings: Settings) -> None:
        for noisy in NOISY:
            logging.getLogger(noisy).setLevel(logging.ERROR)
        self._settings = settings
        self._url = settings.shown("clickhouse") or settings.clickhouse_url
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="clickhouse")
        self._client: Client | None = None
        self._failing_since: float | None = None
        self._failure = ""

    async def call(self, work: Callable[[Client], T]) -> T:
        """Run `work` in the thread. If it is cancelled, work that has begun goes on, and later calls wait for it.

        Raises:
            Exception: whatever `work` raises, or connecting.
        """
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._call, work)

    def _call(self, work: Callable[[Client], T]) -> T:
        try:
            if self._client is None:
                self._client = connect(self._settings)
            return work(self._client)
        except Exception:  # whatever broke, the next call starts with a new connection
            client, self._client = self._client, None
            if client is not None:
                client.close()
            raise

    async def until_done(self, attempt: Callable[[int], Awaitable[T]]) -> T:
        """Try until it succeeds: `attempt(1)`, `attempt(2)`, … with growing pauses. An outage is logged once, and its end.

        Raises:
            Exception: what is no outage (`is_outage`).
        """
        retrying = AsyncRetrying(
            retry=retry_if_exception(is_outage),
            wait=wait_random_exponential(multiplier=0.1, max=LONGEST_PAUSE_S),
            before_sleep=self._note_failure,
            reraise=True,
        )
        async for each in retrying:
            with each:
                done = await attempt(each.retry_state.attempt_number)
        self._note_success()
        return done

    def _note_failure(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        code = getattr(error, "code", None)
        failure = f"{type(error).__name__} {code or ''}"
        if self._failing_since is None:
            self._failing_since = time.monotonic()
        elif failure == self._failure:
            return
        self._failure = failure
        first_line = next(iter(str(error).splitlines()), "")
        log.warning("ClickHouse at %s fails, trying until it works: %s %s", self._url, failure.strip(), first_line)

    def _note_success(self) -> None:
        if self._failing_since is not None:
            log.warning("ClickHouse at %s works again after %.1f s", self._url, time.monotonic() - self._failing_since)
            self._failing_since = None

    async def idle(self) -> None:
        """Wait until all calls made so far have ended."""
        await asyncio.get_running_loop().run_in_executor(self._thread, int)

    def close(self) -> None:
        """Let the thread end after what it does; nothing is waited for."""
        self._thread.shutdown(wait=False, cancel_futures=True)
