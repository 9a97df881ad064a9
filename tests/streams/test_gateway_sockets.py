"""A gateway's own HTTP, byte by byte: forms of a request's line, old versions, trailers, readers that do not read, idle crowds."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import time
from collections.abc import Iterator

import pytest
from gateway_world import POOL, World, limits, world

from streams.gateway.arriving import Rules
from streams.gateway.listening import Listening

CHAT = "/v1/chat/completions"
BODY = json.dumps({"model": "llama", "messages": [{"role": "user", "content": "hi"}]}).encode()
STREAM = BODY.replace(b"{", b'{"stream":true,', 1)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    rules = Rules(pool=POOL, default_output=50, body_s=1.0, client_s=0.5)
    with world(tmp_path_factory.mktemp("sockets"), rules=rules) as made:
        made.limit({"ann": limits()})
        yield made


@pytest.fixture
def gateway(shared: World) -> Iterator[World]:
    yield shared
    shared.settled()


def connected(gateway: World) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(gateway.url.rsplit(":", 1)[1])), timeout=5)


def said(raw: socket.socket) -> bytes:
    parts = []
    with contextlib.suppress(TimeoutError, ConnectionError):
        while part := raw.recv(1 << 16):
            parts.append(part)
    return b"".join(parts)


def spoken(gateway: World, line: str, *headers: str, body: bytes = b"") -> bytes:
    shown = f"authorization: Bearer {gateway.key().secret}"
    with connected(gateway) as raw:
        raw.sendall("\r\n".join([line, "host: x", shown, *headers]).encode("latin-1") + b"\r\n\r\n" + body)
        return said(raw)


SIZE = f"content-length: {len(BODY)}"
CLOSE = "connection: close"
LINES: dict[str, tuple[str, int]] = {
    "as it is": (f"POST {CHAT} HTTP/1.1", 200),
    "absolute": (f"POST http://evil.example{CHAT} HTTP/1.1", 200),
    "absolute, with a user": (f"POST http://u:p@evil.example:1{CHAT} HTTP/1.1", 200),
    "with a query": (f"POST {CHAT}?a=b%0d%0ac HTTP/1.1", 200),
    "absolute, without a path": ("POST http://evil.example HTTP/1.1", 400),
    "no path": ("POST ? HTTP/1.1", 400),
    "two slashes": (f"POST /{CHAT} HTTP/1.1", 404),
    "dots": ("POST /v1/../v1/chat/completions HTTP/1.1", 404),
    "dots in disguise": ("POST /v1/%2e%2e/v1/chat/completions HTTP/1.1", 404),
    "a slash in disguise": ("POST /v1/chat%2fcompletions HTTP/1.1", 200),
    "NUL in disguise": (f"POST {CHAT}%00 HTTP/1.1", 404),
    "capitals": (f"POST {CHAT.upper()} HTTP/1.1", 404),
    "a fragment": (f"POST {CHAT}#x HTTP/1.1", 200),
    "OPTIONS": (f"OPTIONS {CHAT} HTTP/1.1", 405),
    "OPTIONS of all": ("OPTIONS * HTTP/1.1", 404),
    "TRACE": (f"TRACE {CHAT} HTTP/1.1", 405),
    "GET": (f"GET {CHAT} HTTP/1.1", 405),
    "CONNECT": ("CONNECT evil.example:443 HTTP/1.1", 400),
    "HTTP/2": ("PRI * HTTP/2.0", 400),
}


@pytest.mark.parametrize("case", LINES)
def test_forms_of_a_requests_line(gateway: World, case: str) -> None:
    line, status = LINES[case]
    before = len(gateway.upstream.asked)
    answer = spoken(gateway, line, CLOSE, SIZE, body=BODY)
    assert answer.startswith(b"HTTP/1.1 %d " % status), answer[:300]
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"evil" not in answer
    assert len(gateway.upstream.asked) == before + (status == 200)
    if status != 200:
        assert set(json.loads(answer.split(b"\r\n\r\n", 1)[1])["error"]) >= {"message", "type", "param", "code"}


def test_who_asks_for_a_head_gets_one(gateway: World) -> None:
    for path in ("/v1/models", "/healthz", CHAT, "/nothing"):
        head, _, body = spoken(gateway, f"HEAD {path} HTTP/1.1", CLOSE).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 ")
        assert body == b"", path


def test_who_speaks_http_1_0_gets_no_chunks(gateway: World) -> None:
    for asked in (BODY, STREAM):
        head, _, body = spoken(gateway, f"POST {CHAT} HTTP/1.0", f"content-length: {len(asked)}", body=asked).partition(b"\r\n\r\n")
        assert b" 200 " in head.split(b"\r\n")[0]
        assert b"transfer-encoding" not in head.lower()
        assert b"connection: close" in head.lower()
        assert body.startswith(b"data: ") if asked is STREAM else json.loads(body)["choices"]
        assert asked != STREAM or body.endswith(b"data: [DONE]\n\n")


def test_a_client_that_waits_for_100_is_told_before_it_sends(gateway: World) -> None:
    expect = "expect: 100-continue"
    good = spoken(gateway, f"POST {CHAT} HTTP/1.1", expect, SIZE, body=BODY)
    assert re.findall(rb"HTTP/1\.1 (\d+)", good) == [b"100", b"200"]
    with connected(gateway) as raw:
        raw.sendall(f"POST {CHAT} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer bk-no\r\n{expect}\r\n{SIZE}\r\n\r\n".encode())
        refused = said(raw)
    assert re.findall(rb"HTTP/1\.1 (\d+)", refused) == [b"401"]
    assert b"connection: close" in refused, "whether its body follows nobody can tell"


@pytest.mark.parametrize(
    "wish", ["connection: upgrade\r\nupgrade: websocket", "connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c"]
)
def test_an_upgrade_is_not_made_and_the_request_is_answered(gateway: World, wish: str, caplog: pytest.LogCaptureFixture) -> None:
    """Java's own client wishes for h2c with its first request, and sends the body behind it."""
    head = f"POST {CHAT} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {gateway.key().secret}\r\n"
    wishes = f"{head}{wish}\r\n{SIZE}\r\n\r\n".encode() + BODY
    chunks = f"{head}{wish}\r\ntransfer-encoding: chunked\r\n\r\n{len(BODY):x}\r\n".encode() + BODY + b"\r\n0\r\n\r\n"
    before = len(gateway.upstream.asked)
    with connected(gateway) as raw:
        raw.sendall(wishes[:-10])
        time.sleep(0.05)
        raw.sendall(wishes[-10:] + chunks + wishes * 2 + f"{head}{SIZE}\r\n{CLOSE}\r\n\r\n".encode() + BODY)
        answer = said(raw)
    assert re.findall(rb"HTTP/1\.1 (\d+)", answer) == [b"200"] * 5
    assert gateway.upstream.asked[before:] == [BODY] * 5
    assert "upgrade" not in gateway.upstream.headers
    assert "upgrade" not in caplog.text.lower()


def test_trailers_are_no_headers_and_end(gateway: World) -> None:
    chunk = b"%x\r\n%b\r\n" % (len(BODY), BODY)
    chunked = "transfer-encoding: chunked"
    answer = spoken(gateway, f"POST {CHAT} HTTP/1.1", CLOSE, chunked, body=chunk + b"0\r\nx-late: 1\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert "x-late" not in gateway.upstream.headers
    before = len(gateway.upstream.asked)
    for endless in (b"0\r\n" + b"x: y\r\n" * 20_000, b"0\r\nx: " + b"y" * 200_000, b"1;" + b"y" * 200_000):
        with connected(gateway) as raw:
            head = f"POST {CHAT} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {gateway.key().secret}\r\n{chunked}\r\n\r\n"
            began = time.monotonic()
            with contextlib.suppress(ConnectionError):
                raw.sendall(head.encode())
                time.sleep(0.05)  # so that it is no part of the headers' piece
                raw.sendall(chunk + endless)
            assert said(raw)[:13] in (b"HTTP/1.1 400 ", b"")
            assert time.monotonic() - began < 5
    assert len(gateway.upstream.asked) == before


@pytest.mark.parametrize("close", [CLOSE, "connection: keep-alive"])
def test_an_answer_that_nobody_reads_is_not_kept_for_ever(gateway: World, monkeypatch: pytest.MonkeyPatch, close: str) -> None:
    monkeypatch.setattr(Listening, "UNREAD_S", 0.2)
    monkeypatch.setattr(Listening, "UNREAD_BYTES_PER_S", 100 << 20)
    lost: list[object] = []
    ends = Listening.connection_lost

    def connection_lost(self: Listening, exc: Exception | None) -> None:
        lost.append(self)
        ends(self, exc)

    monkeypatch.setattr(Listening, "connection_lost", connection_lost)
    asked = BODY.replace(b"{", b'{"metadata":{"pieces":700000},', 1)
    key = gateway.key().secret
    with connected(gateway) as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        head = [f"POST {CHAT} HTTP/1.1", "host: x", close, f"authorization: Bearer {key}", f"content-length: {len(asked)}"]
        raw.sendall("\r\n".join(head).encode() + b"\r\n\r\n" + asked)
        gateway.until(lambda: gateway.upstream.asked and gateway.upstream.asked[-1] == asked, "it is asked")
        gateway.settled()
        gateway.until(lambda: lost, "the gateway lets go of who does not read")


def test_a_crowd_that_says_nothing_keeps_nobody_out(gateway: World) -> None:
    with contextlib.ExitStack() as crowd:
        for _ in range(300):
            crowd.enter_context(connected(gateway))
        half = [crowd.enter_context(connected(gateway)) for _ in range(50)]
        for raw in half:
            raw.sendall(b"POST /v1/chat/comp")
        assert spoken(gateway, f"POST {CHAT} HTTP/1.1", CLOSE, SIZE, body=BODY).startswith(b"HTTP/1.1 200 ")
