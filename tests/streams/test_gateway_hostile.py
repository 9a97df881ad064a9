"""A gateway among enemies: bytes that are no request, clients that go or dawdle, and an upstream that says anything at all."""

from __future__ import annotations

import contextlib
import json
import logging
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from gateway_world import ENOUGH_S, POOL, World, limits, world
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streams.gateway.arriving import Rules
from streams.gateway.following import read
from streams.gateway.listening import Listening
from streams.gateway.write_ahead import Ended, Position

CHAT = "/v1/chat/completions"
SECRET = "the emperor wears nothing"
ASKED = {"model": "llama", "messages": [{"role": "user", "content": SECRET}]}
BODY = json.dumps(ASKED).encode()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    rules = Rules(pool=POOL, default_output=50, most_body_bytes=1 << 20, body_s=0.2, client_s=2)
    with world(tmp_path_factory.mktemp("hostile"), rules=rules, silence_s=1.0) as made:
        made.limit({"ann": limits()})
        yield made


@pytest.fixture
def gateway(shared: World, caplog: pytest.LogCaptureFixture) -> Iterator[World]:
    """After each test nothing runs, nothing was logged that should not be, and no mistake of ours was found."""
    caplog.set_level(logging.INFO)
    yield shared
    shared.settled()
    assert SECRET not in caplog.text
    assert "bk-" not in caplog.text
    assert "Traceback" not in caplog.text


def last(gateway: World) -> Ended:
    files = gateway.gate.metered._files
    return read(files.directory, Position(0, 0), 10**6)[0][-1]


def port(url: str) -> int:
    return int(url.rsplit(":", 1)[1])


def said(raw: socket.socket) -> bytes:
    """Until the other side closes, or says nothing for a while."""
    parts = []
    with contextlib.suppress(TimeoutError, ConnectionError):
        while part := raw.recv(65_536):
            parts.append(part)
    return b"".join(parts)


def spoken(gateway: World, text: bytes, patience_s: float = 5) -> bytes:
    with socket.create_connection(("127.0.0.1", port(gateway.url)), timeout=patience_s) as raw:
        raw.sendall(text)
        return said(raw)


def request(gateway: World, *lines: str, body: bytes = b"", path: str = CHAT) -> bytes:
    key = gateway.key().secret
    last = () if any(line.startswith("connection") for line in lines) else ("connection: close",)
    head = [f"POST {path} HTTP/1.1", "host: x", f"authorization: Bearer {key}", *last, *lines]
    return "\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + body


SIZE = f"content-length: {len(BODY)}"
CHUNK = b"%x\r\n%b\r\n" % (len(BODY), BODY)
HIDDEN = b"POST /v1/completions HTTP/1.1\r\nhost: x\r\n\r\n"
SMUGGLED: dict[str, tuple[tuple[str, ...], bytes]] = {
    "two lengths": ((SIZE, "content-length: 5"), BODY + HIDDEN),
    "the same length twice": ((SIZE, SIZE), BODY + HIDDEN),
    "a list of lengths": ((f"{SIZE}, {len(BODY)}",), BODY + HIDDEN),
    "a length with a sign": (("content-length: +5",), BODY + HIDDEN),
    "a negative length": (("content-length: -1",), BODY + HIDDEN),
    "a length in hex": (("content-length: 0x10",), BODY + HIDDEN),
    "a length beyond all": (("content-length: 99999999999999999999999",), BODY),
    "a length beside chunks": ((SIZE, "transfer-encoding: chunked"), CHUNK + b"0\r\n\r\n" + HIDDEN),
    "chunks beside a length": (("transfer-encoding: chunked", "content-length: 4"), CHUNK + b"0\r\n\r\n" + HIDDEN),
    "chunked is not the last": (("transfer-encoding: chunked, identity",), CHUNK + b"0\r\n\r\n" + HIDDEN),
    "a coding nobody knows": (("transfer-encoding: xchunked",), CHUNK + b"0\r\n\r\n" + HIDDEN),
    "a chunk of no size": (("transfer-encoding: chunked",), b"zz\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "a chunk of a negative size": (("transfer-encoding: chunked",), b"-5\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "a chunk of a size beyond all": (("transfer-encoding: chunked",), b"ffffffffffffffffff\r\n" + BODY),
    "a chunk longer than it says": (("transfer-encoding: chunked",), b"5\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "a space in a name": (("x y: 1", SIZE), BODY),
    "a space before the colon": (("content-length : 4", SIZE), BODY),
    "NUL in a name": (("x\0y: 1", SIZE), BODY),
    "NUL in a value": (("x: a\0b", SIZE), BODY),
    "a line that goes on": (("x: a\r\n b", SIZE), BODY),
    "a bare line feed": (("x: a\ny: b", SIZE), BODY),
    "a bare carriage return": (("x: a\ry: b", SIZE), BODY),
    "no colon": (("nothing", SIZE), BODY),
}


@pytest.mark.parametrize("case", SMUGGLED)
def test_bytes_that_can_be_read_in_two_ways_reach_nobody(gateway: World, case: str) -> None:
    lines, body = SMUGGLED[case]
    before = len(gateway.upstream.asked)
    answer = spoken(gateway, request(gateway, *lines, body=body))
    assert answer.startswith(b"HTTP/1.1 400 "), answer
    assert answer.count(b"HTTP/1.1") == 1, "nothing behind it was read as a request"
    assert json.loads(answer.split(b"\r\n\r\n", 1)[1])["error"]["code"] == "malformed_request"
    assert len(gateway.upstream.asked) == before


@pytest.mark.parametrize(
    "text",
    [b"\x16\x03\x01\x02\x00\x01", b"GET / HTTP/9.9\r\n\r\n", b"GET /\xff\xfe HTTP/1.1\r\nhost: x\r\n\r\n", b"NONSENSE\r\n\r\n"],
)
def test_what_is_no_request_is_told_so_and_counted_and_fills_no_log(
    gateway: World, text: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    counted = 'bourse_gateway_failures_total{code="malformed_request",pool=""} '
    before = float((gateway.gate.metrics.page().decode() + counted + "0").split(counted)[1].split("\n")[0])
    assert spoken(gateway, text).startswith(b"HTTP/1.1 400 ")
    assert f"{counted}{before + 1}\n" in gateway.gate.metrics.page().decode()
    assert not caplog.messages


def test_a_whole_request_behind_another_is_a_request_of_its_own(gateway: World) -> None:
    """Pipelining is HTTP: each has its key, its admission and its answer."""
    before = len(gateway.upstream.asked)
    one = request(gateway, "connection: keep-alive", SIZE, body=BODY)
    chunks = request(gateway, "connection: keep-alive", "transfer-encoding: chunked", body=CHUNK + b"0\r\n\r\n")
    answer = spoken(gateway, one + chunks + HIDDEN.replace(b"\r\n\r\n", b"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"))
    assert re.findall(rb"HTTP/1\.1 (\d+)", answer) == [b"200", b"200", b"401"]
    assert len(gateway.upstream.asked) == before + 2


def test_headers_that_never_end_are_cut(gateway: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_connection(("127.0.0.1", port(gateway.url)), timeout=5) as raw:
        raw.sendall(b"POST / HTTP/1.1\r\nx: ")
        with contextlib.suppress(ConnectionError):
            for _ in range(1_000):
                raw.sendall(b"y" * 4_096)
                time.sleep(0.0001)
        assert said(raw)[:13] in (b"HTTP/1.1 431 ", b""), "what was still under way when it closed may hide its answer"
    monkeypatch.setattr(Listening, "HEADERS_S", 0.1)
    assert spoken(gateway, b"POST / HTTP/1.1\r\nx: ").startswith(b"HTTP/1.1 408 ")
    assert spoken(gateway, b"") == b"", "who says nothing is shown out"


def test_a_body_that_never_ends_is_cut(gateway: World) -> None:
    before = len(gateway.upstream.asked)
    assert spoken(gateway, request(gateway, SIZE, body=BODY[:-1])).startswith(b"HTTP/1.1 408 ")
    assert spoken(gateway, request(gateway, "transfer-encoding: chunked", body=b"5\r\n{")).startswith(b"HTTP/1.1 408 ")
    part = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
    for lines, more in ((("transfer-encoding: chunked",), part * 17), (("content-length: 20000000",), b"")):
        with socket.create_connection(("127.0.0.1", port(gateway.url)), timeout=5) as raw:
            raw.sendall(request(gateway, "connection: keep-alive", *lines, body=more))
            assert raw.recv(1_000).startswith(b"HTTP/1.1 413 ")
    for unfinished in (request(gateway, SIZE, body=BODY[:-1]), request(gateway)[:-2]):
        with socket.create_connection(("127.0.0.1", port(gateway.url))) as raw:
            raw.sendall(unfinished)
    assert len(gateway.upstream.asked) == before


def test_a_path_or_a_host_of_the_clients_leads_nowhere(gateway: World) -> None:
    for text in (
        b"POST /v1/chat/completions/ HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n",
        b"GET //evil.example/%2e%2e HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n",
        b"GET /nothing HTTP/1.1\r\nhost: [\r\nconnection: close\r\n\r\n",
        b"GET /a%0d%0ax:%20y HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    ):
        answer = spoken(gateway, text)
        assert answer.startswith(b"HTTP/1.1 404 "), answer
        assert b"location" not in answer.lower()
        assert json.loads(answer.split(b"\r\n\r\n", 1)[1])["error"]["code"] == "unknown_url"


class RawUpstream:
    """Says these bytes to whoever asks, in pieces, and closes."""

    def __init__(self) -> None:
        self.says: list[bytes] = []
        self.asked: list[bytes] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                raw, _ = self._listening.accept()
                with raw:
                    raw.settimeout(5)
                    self.asked.append(raw.recv(1 << 20))
                    for part in self.says:
                        raw.sendall(part)
                        time.sleep(0.01)

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()


@pytest.fixture
def upstream(gateway: World) -> Iterator[RawUpstream]:
    raw = RawUpstream()
    before, gateway.gate.upstream._url = gateway.gate.upstream._url, raw.url
    yield raw
    gateway.gate.upstream._url = before
    raw.close()


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
PIECE = b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


BROKEN: dict[str, tuple[list[bytes], int, str]] = {
    "nothing": ([], 502, "upstream_unavailable"),
    "half a status line": ([b"HTTP/1.1 2"], 502, "upstream_unavailable"),
    "no HTTP": ([b"hello\r\n\r\n" + SECRET.encode()], 502, "upstream_unavailable"),
    "no end of headers": ([b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000], 502, "upstream_unavailable"),
    "a redirection": ([b"HTTP/1.1 307 X\r\nlocation: http://evil.example\r\ncontent-length: 0\r\n\r\n"], 502, "upstream_broke_off"),
    "its key is wrong": ([b"HTTP/1.1 401 X\r\ncontent-length: 11\r\n\r\nsk-upstream"], 502, "upstream_unavailable"),
    "at once": ([b"HTTP/1.1 503 X\r\nretry-after: 0\r\n\r\n"], 503, "capacity_exceeded"),
    "no status": ([b"HTTP/1.1 999 X\r\ncontent-length: 0\r\n\r\n"], 502, "upstream_broke_off"),
    "when nobody knows": ([b"HTTP/1.1 429 X\r\nretry-after: %b\r\n\r\n" % (b"9" * 5000)], 503, "capacity_exceeded"),
    "a body that breaks off": ([b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{}"], 502, "upstream_unavailable"),
    "chunks of no size": (
        [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"zz\r\n" + SECRET.encode()],
        502,
        "upstream_unavailable",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_an_upstream_that_speaks_no_http_is_told_and_nothing_of_it_shown(gateway: World, upstream: RawUpstream, case: str) -> None:
    upstream.says, status, code = BROKEN[case]
    with gateway.client() as client:
        answer = client.post(CHAT, content=BODY)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert answer.headers.get("retry-after") != "0", "who comes again at once finds the same"
    assert "evil" not in str(answer.headers)
    assert "sk-upstream" not in answer.text


TORN: dict[str, list[bytes]] = {
    "between events": [HEAD, chunk(PIECE)],
    "within an event": [HEAD, chunk(PIECE), chunk(PIECE[:20])],
    "within a chunk": [HEAD, chunk(PIECE), b"40\r\n" + PIECE[:20]],
    "in no chunk": [HEAD, chunk(PIECE), b"zz\r\n" + SECRET.encode()],
    "silent": [HEAD, chunk(PIECE), *[b""] * 150],
}


@pytest.mark.parametrize("case", TORN)
def test_a_stream_that_tears_ends_in_an_error_event(gateway: World, upstream: RawUpstream, case: str) -> None:
    upstream.says = TORN[case]
    with gateway.client() as client:
        text = client.post(CHAT, json={**ASKED, "stream": True}).text
    events = text.split("\n\n")
    assert events[0] + "\n\n" == PIECE.decode()
    assert json.loads(events[1].removeprefix("event: error\ndata: "))["error"]["code"] in ("upstream_broke_off", "upstream_timeout")
    assert events[2:] == ["data: [DONE]", ""]
    gateway.settled()
    assert last(gateway).output_tokens == 1


def test_upstreams_headers_that_are_not_for_clients_stay_behind(gateway: World, upstream: RawUpstream) -> None:
    headers = (
        b"set-cookie: a=b\r\nconnection: close, x-hop\r\nx-hop: 1\r\nalt-svc: h3=x\r\nx-request-id: theirs\r\nserver: s\r\n"
        b"x-ratelimit-limit-requests: 7\r\nx-kept: 1\r\nx-bad: a\x01b\r\ncontent-encoding: br\r\n"
    )
    upstream.says = [b"HTTP/1.1 200 OK\r\n" + headers + b"content-length: 2\r\n\r\n{}"]
    sent = request(gateway, SIZE, "connection: close, x-mine", "x-mine: 1", "x-yours: 1", "api-key: k", "x-api-key: k", body=BODY)
    head = spoken(gateway, sent).split(b"\r\n\r\n")[0].lower()
    names = [line.split(b":")[0] for line in head.split(b"\r\n")[1:] if not line.startswith(b"x-ratelimit-")]
    assert b"x-ratelimit-limit-requests: 7" not in head
    assert sorted(names) == sorted([b"date", b"x-kept", b"content-encoding", b"content-length", b"connection", b"x-request-id"]), (
        names
    )
    asked = upstream.asked[-1].lower().split(b"\r\n\r\n")[0]
    assert b"x-yours" in asked
    for name in (b"x-mine", b"api-key", b"bk-"):
        assert name not in asked, name


def test_who_goes_at_any_moment_leaves_nothing(gateway: World) -> None:
    whole = request(gateway, f"content-length: {len(BODY) + 15}", body=BODY.replace(b"{", b'{"stream":true,', 1))
    for cut in range(0, len(whole), 37):
        with socket.create_connection(("127.0.0.1", port(gateway.url))) as raw:
            raw.sendall(whole[:cut])
    for wait_s in (0, 0.001, 0.005, 0.02):
        with socket.create_connection(("127.0.0.1", port(gateway.url))) as raw:
            raw.sendall(whole)
            time.sleep(wait_s)


KEYS: dict[str, tuple[Callable[[str], str], int]] = {
    "bearer": (lambda key: f"bearer {key}", 200),
    "BEARER and spaces": (lambda key: f"BEARER   {key}  ", 200),
    "bare": (lambda key: key, 200),
    "basic": (lambda key: f"Basic {key}", 401),
    "two": (lambda key: f"Bearer {key} {key}", 401),
    "not ASCII": (lambda key: f"Bearer {key}\xe9", 401),
    "nothing": (lambda _key: "Bearer ", 401),
    "a tab": (lambda key: f"Bearer\t{key}", 401),
    "long": (lambda key: f"Bearer {key * 500}", 401),
}


@pytest.mark.parametrize("case", KEYS)
def test_ways_to_show_a_key(gateway: World, case: str) -> None:
    shown, status = KEYS[case]
    key = gateway.key().secret
    head = f"POST {CHAT} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{SIZE}\r\nauthorization: {shown(key)}\r\n\r\n".encode(
        "latin-1"
    )
    answer = spoken(gateway, head + BODY)
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert key.encode() not in answer


def test_models_are_shown_to_whom_they_are_open(gateway: World) -> None:
    other = gateway.key("ann", "another").secret
    answer = httpx.get(f"{gateway.url}/v1/models", headers={"authorization": f"Bearer {other}"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "model_not_permitted")


def test_a_gateway_that_ends_tells_who_runs_and_measures_them(tmp_path: Path) -> None:
    told: list[str] = []
    with world(tmp_path) as made:
        made.limit({"ann": limits()})
        files, client = made.gate.metered._files, made.client()

        def run() -> None:
            asked = {**ASKED, "stream": True, "metadata": {"pieces": 10_000, "pause": 0.01}}
            told.append(client.post(CHAT, json=asked, timeout=ENOUGH_S).text)

        thread = threading.Thread(target=run)
        thread.start()
        made.until(lambda: made.desk.in_flight == 1, "it runs")
        made.until(lambda: made.upstream.asked, "upstream is asked")
        time.sleep(0.1)
    thread.join(ENOUGH_S)
    assert '"code":"gateway_closing"' in told[0]
    assert told[0].endswith("data: [DONE]\n\n")
    found = read(files.directory, Position(0, 0), 10**6)[0]
    assert [each.status for each in found] == ["closing"]
    assert found[0].output_tokens > 0


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=st.sampled_from(["/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses", "/v1/models", "/x"]),
    body=st.binary(max_size=40) | st.sampled_from([BODY, b"{}", b'{"model":"m","prompt":"p","input":"i"}']),
    headers=st.lists(
        st.tuples(
            st.sampled_from(
                ["x", "content-type", "expect", "range", "x-bourse-priority", "upgrade", "accept", "te", "host", "cookie"]
            )
            | st.from_regex(r"[a-z-]{1,12}", fullmatch=True),
            st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=12),
        ),
        max_size=4,
    ),
)
def test_any_headers_and_body_are_answered_in_openais_shape(
    gateway: World, path: str, body: bytes, headers: list[tuple[str, str]]
) -> None:
    lines = [f"{name}: {value}" for name, value in headers]
    answer = spoken(gateway, request(gateway, f"content-length: {len(body)}", "connection: close", *lines, body=body, path=path))
    last_head, _, said_body = answer.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n").partition(b"\r\n\r\n")
    status = int(last_head.split(b" ")[1])
    assert status in {200, 400, 401, 403, 404, 405, 408, 413, 429, 431, 502, 503, 504}, answer
    if status != 200:
        assert set(json.loads(said_body)["error"]) >= {"message", "type", "param", "code"}
