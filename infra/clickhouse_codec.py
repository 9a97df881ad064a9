"""Compression of requests and answers: HTTP content encodings (gzip, deflate, zstd, lz4) as streams, in bounded memory."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Protocol

import lz4.frame
import zstandard

from infra.clickhouse_errors import ClickHouseError


class Compressor(Protocol):
    """Bytes in, compressed bytes out; `flush` once at the end."""

    def compress(self, data: bytes, /) -> bytes:
        """Compress a part."""

    def flush(self) -> bytes:
        """What remains."""


class Decompressor(Protocol):
    """Compressed bytes in, bytes out, across any number of concatenated frames."""

    def decompress(self, data: bytes, /) -> bytes:
        """Decompress a part."""


class _Lz4Compressor:
    def __init__(self) -> None:
        self._frame = lz4.frame.LZ4FrameCompressor()
        self._begun = False

    def compress(self, data: bytes, /) -> bytes:
        start = b"" if self._begun else self._frame.begin()
        self._begun = True
        return start + bytes(self._frame.compress(data))

    def flush(self) -> bytes:
        return self.compress(b"") + bytes(self._frame.flush())


class _Frame(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes | None: ...
    def decompress(self, data: bytes, /) -> bytes: ...


class _Framed:
    """Starts a new frame's decompressor where the last one ended: clients compress block by block."""

    def __init__(self, make: Callable[[], _Frame]) -> None:
        self._make = make
        self._frame: _Frame | None = None

    def decompress(self, data: bytes, /) -> bytes:
        out = []
        while data:
            frame = self._frame or self._make()
            out.append(frame.decompress(data))
            done = frame.eof
            data = (frame.unused_data or b"") if done else b""
            self._frame = None if done else frame
        return b"".join(out)


class _Identity:
    def compress(self, data: bytes, /) -> bytes:
        return data

    def decompress(self, data: bytes, /) -> bytes:
        return data

    def flush(self) -> bytes:
        return b""


_GZIP, _ZLIB = 31, 15  # zlib's window bits: with gzip's header, with zlib's
_COMPRESSORS: dict[str, Callable[[], Compressor]] = {
    # Cheapest first: on one machine the link is not what limits.
    "lz4": _Lz4Compressor,
    "zstd": lambda: zstandard.ZstdCompressor(level=1).compressobj(),
    "gzip": lambda: zlib.compressobj(3, zlib.DEFLATED, _GZIP),
    "deflate": lambda: zlib.compressobj(3, zlib.DEFLATED, _ZLIB),
}
_DECOMPRESSORS: dict[str, Callable[[], _Frame]] = {
    "lz4": lz4.frame.LZ4FrameDecompressor,
    "zstd": lambda: zstandard.ZstdDecompressor().decompressobj(),
    "gzip": lambda: zlib.decompressobj(_GZIP),
    "deflate": lambda: zlib.decompressobj(_ZLIB),
}
UNREADABLE = (zlib.error, zstandard.ZstdError, RuntimeError)
"""What their libraries raise at bytes that are not compressed so; of lz4 it is a bare RuntimeError."""


def response_compressor(accept_encoding: str) -> tuple[str, Compressor]:
    """The encoding that we prefer among those the client takes, and its compressor; `""` and none if there is no common one."""
    accepted = {part.split(";")[0].strip().lower() for part in accept_encoding.split(",")}
    for name, make in _COMPRESSORS.items():
        if name in accepted:
            return name, make()
    return "", _Identity()


def request_decompressor(content_encoding: str) -> Decompressor:
    """The decompressor of a request's body.

    Raises:
        ClickHouseError: an encoding that we don't know.
    """
    name = content_encoding.strip().lower()
    if name in {"", "identity"}:
        return _Identity()
    if name not in _DECOMPRESSORS:
        raise ClickHouseError(36, "BAD_ARGUMENTS", f"Unknown compression method: {name}")
    return _Framed(_DECOMPRESSORS[name])
