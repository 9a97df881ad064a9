"""When a request is asked again: only on a connection that upstream had closed before it came."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import aiohttp
import pytest

from streams.gateway.upstream import FAILURES, STALE_S, Upstream

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Scripted:
    """A server that does with each request what is said, in their order: answers, or ends the connection after some seconds."""

    def __init__(self, script: Sequence[bytes | float]) -> None:
        self._script = list(script)
        self.connections = self.requests = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while True:
            try:
                await reader.readuntil(b"\r\n\r\nbody")
            except asyncio.IncompleteReadError:
                break
            self.requests += 1
            said = self._script.pop(0)
            if isinstance(said, float):
                await asyncio.sleep(said)
                break
            writer.write(said)
            if said is not OK:
                break
        writer.close()


async def ask(script: Sequence[bytes | float], times: int) -> tuple[list[str], Scripted]:
    scripted = Scripted(script)
    server = await asyncio.start_server(scripted.serve, "127.0.0.1", 0)
    upstream = Upstream(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    await upstream.start()
    seen = []
    for _ in range(times):
        try:
            async with upstream.ask("POST", "/v1/completions", [], b"body", "r") as answer:
                seen.append((await answer.read()).decode())
        except FAILURES as error:
            seen.append(type(error).__name__)
    await upstream.close()
    server.close()
    return seen, scripted


@pytest.mark.parametrize(
    ("script", "seen", "requests"),
    [
        pytest.param([OK, 0.0, OK], ["ok", "ok"], 3, id="rested and closed: asked again"),
        pytest.param([OK, 0.0, 0.0], ["ok", "ServerDisconnectedError"], 3, id="once only"),
        pytest.param([OK, 4 * STALE_S, OK], ["ok", "ServerDisconnectedError"], 2, id="it worked on it"),
        pytest.param([OK, b"HTTP/1.1 200 OK\r\n", OK], ["ok", "ServerDisconnectedError"], 2, id="it had begun to answer"),
        pytest.param([0.0, OK], ["ServerDisconnectedError"], 1, id="a fresh connection"),
    ],
)
def test_what_upstream_may_have_begun_is_not_asked_again(script: list[bytes | float], seen: list[str], requests: int) -> None:
    found, scripted = asyncio.run(ask(script, len(seen)))
    assert (found, scripted.requests) == (seen, requests)


def test_nobody_there_is_asked_once() -> None:
    async def nobody() -> None:
        upstream = Upstream("http://127.0.0.1:1")
        await upstream.start()
        try:
            with pytest.raises(aiohttp.ClientConnectorError):
                async with upstream.ask("POST", "/v1/completions", [], b"body"):
                    pass
        finally:
            await upstream.close()

    asyncio.run(nobody())
