"""A named pipe from the engine to an answer."""

from __future__ import annotations

import asyncio
import os
import uuid
from pathlib import Path

from infra.clickhouse_engine import Counts

_READ_BYTES = 256 << 10


class ResultPipe:
    """The engine writes a result to `path`; an answer reads it here, at its own pace.

    A write end of our own stays open until the statement has ended: without it the pipe would look finished before the
    engine has opened it.
    """

    def __init__(self, path: Path, reader: asyncio.StreamReader, transport: asyncio.ReadTransport, write_end: int) -> None:
        self.path = path
        self._reader = reader
        self._transport = transport
        self._write_end = write_end
        self._statement: asyncio.Future[Counts] | None = None

    @classmethod
    async def open(cls, directory: Path) -> ResultPipe:
        """A new pipe in this directory."""
        path = directory / uuid.uuid4().hex
        os.mkfifo(path, 0o600)
        read_end = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        write_end = os.open(path, os.O_WRONLY)
        reader = asyncio.StreamReader(limit=_READ_BYTES)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(read_end, "rb", 0)
        )
        return cls(path, reader, transport, write_end)

    def feed(self, statement: asyncio.Future[Counts]) -> None:
        """The statement that writes into the pipe; when it has ended, so has the pipe after what is still in it."""
        self._statement = statement
        statement.add_done_callback(self._ended)

    def _ended(self, statement: asyncio.Future[Counts]) -> None:
        if not statement.cancelled():
            statement.exception()  # seen here: when the client has gone, nobody else asks for it
        os.close(self._write_end)
        self.path.unlink()

    @property
    def at_end(self) -> bool:
        """True after everything was read."""
        return self._reader.at_eof()

    async def read(self) -> bytes:
        """What has come; empty at the end."""
        return await self._reader.read(_READ_BYTES)

    async def read_up_to(self, size: int | None) -> bytes:
        """Read until `size` bytes or the end have come; None: until the end."""
        parts: list[bytes] = []
        while (size is None or sum(map(len, parts)) < size) and (part := await self.read()):
            parts.append(part)
        return b"".join(parts)

    async def finished(self) -> Counts:
        """What the statement counted.

        Raises:
            ClickHouseError: it failed.
        """
        if self._statement is None:
            message = "a pipe that nothing was fed into"
            raise RuntimeError(message)
        self.close()
        return await self._statement

    def close(self) -> None:
        """Stop reading."""
        self._transport.close()
