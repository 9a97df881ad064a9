"""What stands behind gateways that are measured: answers that were made before, as fast as this machine sends them.

Run as `gateway_upstream.py`; it tells its port on a line. HTTP/1.1 without a framework: a request costs it a tenth of what it
costs a gateway. A stream sends its first piece at once and one more each PACE_S, so that each comes by itself, as tokens do.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from typing import cast

import uvloop

PACE_S = 0.01
INPUT_TOKENS, OUTPUT_TOKENS = 40, 100

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_STREAM = re.compile(rb'"stream": *true')
_MOST = re.compile(rb'"max_tokens": *(\d+)')
_TEXT = "word " * OUTPUT_TOKENS


def _usage(output: int) -> dict[str, int]:
    return {"prompt_tokens": INPUT_TOKENS, "completion_tokens": output, "total_tokens": INPUT_TOKENS + output}


def _whole() -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": _TEXT}, "finish_reason": "stop"}
    said = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    body = json.dumps({**said, "usage": _usage(OUTPUT_TOKENS)}).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


def _event(**fields: object) -> bytes:
    said = {"id": "chatcmpl-0123456789abcdef", "object": "chat.completion.chunk", "created": 1, "model": "m", **fields}
    return _chunk(b"data: %b\n\n" % json.dumps(said).encode())


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


WHOLE = _whole()
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
PIECE = _event(choices=[{"index": 0, "delta": {"role": "assistant", "content": " word"}, "finish_reason": None}])
STOP = _event(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}])
DONE = _chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"


class Answering(asyncio.Protocol):
    """One connection; requests on it come one after the other."""

    def __init__(self) -> None:
        self._data = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody will ask."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody is told any more."""
        self._transport = None

    def data_received(self, data: bytes) -> None:
        """A part of a request, or all of it."""
        self._data += data
        head = self._data.find(b"\r\n\r\n")
        length = _LENGTH.search(self._data, 0, head) if head >= 0 else None
        if head < 0 or len(self._data) < head + 4 + (int(length[1]) if length else 0):
            return
        asked, self._data = self._data, b""
        if not _STREAM.search(asked, head):
            self._write(WHOLE)
            return
        most = _MOST.search(asked, head)
        self._write(HEAD + PIECE)
        self._go_on(int(most[1]) if most else OUTPUT_TOKENS, 1)

    def _go_on(self, pieces: int, sent: int) -> None:
        if sent < pieces:
            asyncio.get_running_loop().call_later(PACE_S, self._next, pieces, sent)
        else:
            self._write(STOP + _event(choices=[], usage=_usage(pieces)) + DONE)

    def _next(self, pieces: int, sent: int) -> None:
        self._write(PIECE)
        self._go_on(pieces, sent + 1)

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)


async def main() -> None:
    """Until it is ended."""
    server = await asyncio.get_running_loop().create_server(Answering, "127.0.0.1", 0)
    sys.stdout.write(json.dumps({"port": server.sockets[0].getsockname()[1]}) + "\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
