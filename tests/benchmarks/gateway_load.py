"""Who asks a gateway that is measured: connections that are kept, each with a request at a time.

Run as `gateway_load.py JSON`, with the fields of `Load`; it tells `Seen` as JSON on a line. HTTP/1.1 is parsed in C (httptools) and
nothing is read out of an answer but where it ends and how many events it has.

Without a rate each connection asks again when it is answered: that fills the server, and tells what it costs. With a rate requests
are due at fixed moments, whatever became of those before; one that is due waits for a free connection, and what it takes is counted
from when it was due. So a server that halts is late for all that were due meanwhile (no coordinated omission).
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sys
import time
from collections import deque
from dataclasses import dataclass
from typing import cast

import httptools
import uvloop

PROMPT = "Tell me in a few words what a market for tokens is good for, and who would trade in one. " * 2
TIMER_S = 0.002
"""A timer may ring so late by itself: it counts in milliseconds. What is later is counted."""


@dataclass(frozen=True)
class Load:
    """What is asked.

    Attributes:
        port: of this machine.
        keys: a connection shows one of them.
        connections: at once.
        requests: of all of them together.
        pieces: of a stream; 0: answers come whole.
        rate: of requests in a second; 0: as fast as they are answered.
    """

    port: int
    keys: list[str]
    connections: int
    requests: int
    pieces: int = 0
    rate: float = 0.0


@dataclass
class Seen:
    """What came of it.

    Attributes:
        seconds: from the first request to the end of the last answer.
        processor: seconds, of this process.
        answers: that ended.
        events: of streams.
        failed: answers that were no 200.
        example: the beginning of one.
        whole: microseconds of a request, p50 and p99.
        first: of it to the first byte of its answer's body, p50 and p99.
    """

    seconds: float
    processor: float
    answers: int
    events: int
    failed: int
    example: str
    whole: tuple[int, int]
    first: tuple[int, int]


class Asking(asyncio.Protocol):
    """One connection."""

    def __init__(self, request: bytes, crowd: Crowd) -> None:
        self._request, self._crowd = request, crowd
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It can ask."""
        self._transport = cast("asyncio.Transport", transport)

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
                self._crowd.failed += 1
                self._crowd.example = body[:300].decode()
        self._crowd.events += body.count(b"data: {")

    def on_message_complete(self) -> None:
        """httptools: an answer has ended."""
        self._crowd.whole.append(int((time.perf_counter() - self._due) * 1e6))
        self._crowd.first.append(int((self._first - self._due) * 1e6))
        asyncio.get_running_loop().call_soon(self._crowd.free, self)  # not within the parser that is to be replaced

    def ask(self, due: float) -> None:
        """One more request, which was due at a moment of perf_counter()."""
        self._due, self._first = due, 0.0
        self._parser = httptools.HttpResponseParser(self)
        self._transport.write(self._request)

    def end(self) -> None:
        """Nothing is left to ask."""
        if not self.done.done():
            self.done.set_result(None)
            self._transport.close()


class Crowd:
    """All connections, what is left to ask, and what was seen."""

    def __init__(self, load: Load) -> None:
        self._left = load.requests
        self._rate = load.rate
        self._waiting: deque[float] = deque()
        self._idle: list[Asking] = []
        self.events = self.failed = 0
        self.example = ""
        self.whole: list[int] = []
        self.first: list[int] = []

    async def ask(self, asking: list[Asking]) -> None:
        """Until all is answered.

        Raises:
            OSError: a connection ends.
        """
        if self._rate:
            self._idle += asking
            self._due(time.perf_counter())
        else:
            for each in asking:
                self.free(each)
        await asyncio.gather(*(each.done for each in asking))

    def free(self, one: Asking) -> None:
        """It is answered, or has not asked yet."""
        if self._waiting:
            one.ask(self._waiting.popleft())
        elif not self._left:
            self._idle.append(one)
            self._end()
        elif self._rate:
            self._idle.append(one)
        else:
            self._left -= 1
            one.ask(time.perf_counter())

    def _due(self, due: float) -> None:
        """One is due at this moment, and the next one later."""
        self._left -= 1
        now = time.perf_counter()
        counted = due if now - due > TIMER_S else now
        if self._idle:
            self._idle.pop().ask(counted)
        else:
            self._waiting.append(counted)
        if self._left:
            following = due + 1 / self._rate
            asyncio.get_running_loop().call_later(max(following - now, 0), self._due, following)

    def _end(self) -> None:
        """Those that are idle, as nothing is left; the others end when they are."""
        while self._idle:
            self._idle.pop().end()


async def ask(load: Load) -> Seen:
    """Until all is answered.

    Raises:
        OSError: nobody listens, or a connection ends.
    """
    crowd, loop = Crowd(load), asyncio.get_running_loop()
    asking = [
        (await loop.create_connection(lambda key=key: Asking(_request(load, key), crowd), "127.0.0.1", load.port))[1]
        for key in (load.keys[number % len(load.keys)] for number in range(load.connections))
    ]
    began, processor = time.perf_counter(), time.process_time()
    await crowd.ask(asking)
    return Seen(
        seconds=time.perf_counter() - began,
        processor=time.process_time() - processor,
        answers=len(crowd.whole),
        events=crowd.events,
        failed=crowd.failed,
        example=crowd.example,
        whole=_percentiles(crowd.whole),
        first=_percentiles(crowd.first),
    )


def _percentiles(values: list[int]) -> tuple[int, int]:
    """p50 and p99, by nearest rank."""
    inorder = sorted(values)
    return inorder[-(-len(inorder) * 50 // 100) - 1], inorder[-(-len(inorder) * 99 // 100) - 1]


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
