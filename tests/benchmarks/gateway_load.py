"""Who asks a gateway that is measured: connections that are kept, each with a request at a time.

Run as `gateway_load.py JSON`, with the fields of `Load`; it tells `Seen` as JSON on a line. HTTP/1.1 is parsed in C (httptools) and
nothing is read out of an answer but where it ends and how many events it has.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sys
import time
from dataclasses import dataclass
from typing import cast

import httptools
import uvloop

PROMPT = "Tell me in a few words what a market for tokens is good for, and who would trade in one. " * 2


@dataclass(frozen=True)
class Load:
    """What is asked.

    Attributes:
        port: of this machine.
        keys: a connection shows one of them.
        connections: at once.
        requests: of all of them together.
        pieces: of a stream; 0: answers come whole.
    """

    port: int
    keys: list[str]
    connections: int
    requests: int
    pieces: int = 0


@dataclass
class Seen:
    """What came of it.

    Attributes:
        seconds: from the first request to the end of the last answer.
        processor: seconds, of this process.
        events: of streams.
        failed: answers that were no 200.
        whole: microseconds of each request.
        first: of each to the first byte of its answer's body.
        example: the beginning of an answer that failed.
    """

    seconds: float = 0.0
    processor: float = 0.0
    events: int = 0
    failed: int = 0
    whole: list[int] = dataclasses.field(default_factory=list)
    first: list[int] = dataclasses.field(default_factory=list)
    example: str = ""


class Asking(asyncio.Protocol):
    """One connection, which asks again when it is answered, as long as there is something left to ask."""

    def __init__(self, request: bytes, left: list[int], seen: Seen) -> None:
        self._request, self._left, self._seen = request, left, seen
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begins to ask."""
        self._transport = cast("asyncio.Transport", transport)
        self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        """A server that closes does not serve."""
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError("closed by the server"))

    def data_received(self, data: bytes) -> None:
        """A part of an answer."""
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        """httptools: a part of its body."""
        if not self._first:
            self._first = time.perf_counter()
            if self._parser.get_status_code() != 200:
                self._seen.failed += 1
                self._seen.example = body[:300].decode()
        self._seen.events += body.count(b"data: {")

    def on_message_complete(self) -> None:
        """httptools: an answer has ended."""
        self._seen.whole.append(int((time.perf_counter() - self._began) * 1e6))
        self._seen.first.append(int((self._first - self._began) * 1e6))
        asyncio.get_running_loop().call_soon(self._ask)  # not within the parser that is to be replaced

    def _ask(self) -> None:
        if not self._left:
            self.done.set_result(None)
            self._transport.close()
            return
        self._left.pop()
        self._parser = httptools.HttpResponseParser(self)
        self._first = 0.0
        self._began = time.perf_counter()
        self._transport.write(self._request)


async def ask(load: Load) -> Seen:
    """Until all is answered.

    Raises:
        OSError: nobody listens, or a connection ends.
    """
    seen, left = Seen(), [0] * load.requests
    began, processor = time.perf_counter(), time.process_time()
    loop = asyncio.get_running_loop()
    asking = [
        (await loop.create_connection(lambda key=key: Asking(_request(load, key), left, seen), "127.0.0.1", load.port))[1]
        for key in (load.keys[number % len(load.keys)] for number in range(load.connections))
    ]
    await asyncio.gather(*(each.done for each in asking))
    seen.seconds, seen.processor = time.perf_counter() - began, time.process_time() - processor
    return seen


def _request(load: Load, key: str) -> bytes:
    messages = [{"role": "system", "content": "You are brief."}, {"role": "user", "content": PROMPT}]
    asked: dict[str, object] = {"model": "m", "messages": messages, "max_tokens": load.pieces or 100, "temperature": 0.7}
    body = json.dumps({**asked, **({"stream": True} if load.pieces else {})}).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:{load.port}\r\nauthorization: Bearer {key}\r\n"
        f"content-type: application/json\r\naccept: application/json\r\nuser-agent: bench\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def main() -> None:
    """Asks what the command line says."""
    seen = uvloop.run(ask(Load(**json.loads(sys.argv[1]))))
    sys.stdout.write(json.dumps(dataclasses.asdict(seen)) + "\n")


if __name__ == "__main__":
    main()
