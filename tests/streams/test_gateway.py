"""Requests through a gateway: passed on, refused, measured, settled; whatever the client or the upstream does."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from gateway_world import CHAT, HELLO, POOL, World, ask, limits, world

from processors.entitlement import Capacity, Quota, TenantLimits
from schemas.published import Tier
from streams.gateway.arriving import Rules
from streams.gateway.following import read
from streams.gateway.write_ahead import Ended, Position


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("gateway"), rules=Rules(pool=POOL, default_output=50, most_body_bytes=1 << 20)) as made:
        made.limit({"ann": limits()})
        yield made


@pytest.fixture
def gateway(shared: World) -> Iterator[World]:
    shared.limit({"ann": limits()})
    yield shared
    shared.settled()


def ended(gateway: World) -> list[Ended]:
    gateway.settled()  # a client has its answer a moment before that is written down
    files = gateway.gate.metered._files
    return read(files.directory, Position(0, 0), 10**6)[0]


def stream(client: httpx.Client, **fields: Any) -> tuple[httpx.Response, list[dict[str, Any]], str]:
    with client.stream("POST", CHAT, json=ask(stream=True, **fields)) as answer:
        text = answer.read().decode()
    events = [line[6:] for line in text.splitlines() if line.startswith("data: ")]
    return answer, [json.loads(event) for event in events if event != "[DONE]"], text


def test_the_official_client_gets_what_upstream_says(gateway: World) -> None:
    client = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key().secret, max_retries=0)
    said = client.chat.completions.create(model="llama", messages=HELLO, metadata={"pieces": "4"})
    assert said.choices[0].message.content == "word0 word1 word2 word3"
    assert said.usage is not None
    assert said.usage.completion_tokens == 4
    pieces = client.chat.completions.create(model="llama", messages=HELLO, stream=True)
    assert "".join(piece.choices[0].delta.content or "" for piece in pieces) == "word0 word1 word2 "
    assert client.embeddings.create(model="llama", input=["a", "b"]).data[0].embedding == [0.5]
    assert client.completions.create(model="llama", prompt="x").choices[0].text == "word0 word1 word2"
    assert [model.id for model in client.models.list()] == ["llama"]
    assert client.responses.create(model="llama", input="x").id == "r"


def test_the_official_client_asks_fifty_at_once_and_knows_our_errors(gateway: World) -> None:
    key = gateway.key().secret

    async def play() -> None:
        async with openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=key, max_retries=0) as client:

            async def one(number: int) -> str:
                asked = [{"role": "user", "content": str(number)}]
                said = ""
                async for piece in await client.chat.completions.create(model="llama", messages=asked, stream=True):  # type: ignore[call-overload]  # plain dicts
                    said += piece.choices[0].delta.content or ""
                return said

            assert await asyncio.gather(*map(one, range(50))) == ["word0 word1 word2 "] * 50
            wrong: list[tuple[type[openai.APIStatusError], dict[str, Any], str]] = [
                (openai.BadRequestError, {"max_tokens": -1}, key),
                (openai.AuthenticationError, {}, "bk-no"),
                (openai.InternalServerError, {"metadata": {"status": "500"}}, key),
                (openai.InternalServerError, {"metadata": {"status": "429"}}, key),
            ]
            for kind, fields, shown in wrong:
                with pytest.raises(kind):
                    await client.with_options(api_key=shown).completions.create(model="llama", prompt="p", extra_body=fields)
            gateway.limit({"ann": limits(slots=0)})
            with pytest.raises(openai.RateLimitError) as limited:
                await client.completions.create(model="llama", prompt="p")
            assert limited.value.code == "exceeds_limit"
            gateway.limit({"ann": limits()})

    asyncio.run(play())


def test_a_body_goes_on_as_it_came_and_the_key_does_not(gateway: World) -> None:
    body = b'{ "messages": [{"role":"user","content":"h\\u00e9"}],"model":"llama",  "x": 1.50, "n": 1 }'
    with gateway.client() as client:
        client.post(CHAT, content=body, headers={"content-type": "application/json", "x-trace": "7", "cookie": "a=b"})
    assert gateway.upstream.asked[-1] == body
    assert gateway.upstream.headers["authorization"] == "Bearer sk-upstream"
    assert gateway.upstream.headers["x-trace"] == "7"
    assert "cookie" not in gateway.upstream.headers
    with gateway.client() as client:
        client.post(CHAT, content=body.replace(b"1.50", b'1.50,"stream":true'))
    assert gateway.upstream.asked[-1] == body.replace(b"1.50", b'1.50,"stream":true').replace(
        b"{ ", b'{"stream_options":{"include_usage":true}, ', 1
    )


@pytest.mark.parametrize("wanted", [None, {"include_usage": False}, {"include_usage": True}])
def test_usage_is_asked_for_in_streams_and_told_to_who_asked(gateway: World, wanted: dict[str, bool] | None) -> None:
    with gateway.client() as client:
        _, events, text = stream(client, **({} if wanted is None else {"stream_options": wanted}))
    told = [event["usage"] for event in events if event.get("usage")]
    assert bool(told) == (wanted == {"include_usage": True})
    assert text.endswith("data: [DONE]\n\n")
    last = ended(gateway)[-1]
    assert (last.input_tokens, last.output_tokens, last.basis, last.status) == (11, 3, "reported", "ok")
    assert last.latency_ms is not None
    assert last.ttft_ms is not None
    assert last.ttft_ms <= last.latency_ms


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 9, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}}, (9, 3, 4, "reported")),
        ({"prompt_tokens": 9, "completion_tokens": 10**9}, (9, 50, 0, "counted")),  # more than it may: what it may
        ({"prompt_tokens": 9, "completion_tokens": 0}, (9, 3, 0, "counted")),  # less than came
        ({"prompt_tokens": 10**9, "completion_tokens": 5}, (8, 5, 0, "counted")),  # more than there was to read
        ({"prompt_tokens": -1, "completion_tokens": 5}, (8, 3, 0, "counted")),
        ({"prompt_tokens": "many"}, (8, 3, 0, "counted")),
        (None, (8, 3, 0, "counted")),
    ],
)
def test_a_lie_about_usage_is_bounded_by_what_was_seen(gateway: World, usage: Any, expected: tuple[int, int, int, str]) -> None:
    with gateway.client() as client:
        stream(client, max_tokens=50, metadata={"usage": usage})
    last = ended(gateway)[-1]
    assert (last.input_tokens, last.output_tokens, last.cached_input_tokens, last.basis) == expected


BAD: dict[str, tuple[bytes, int, str | None]] = {
    "no json": (b"{", 400, None),
    "a list": (b"[]", 400, None),
    "not utf-8": (b'{"model":"\xff"}', 400, None),
    "nothing": (b"", 400, None),
    "two maxima": (b'{"model":"m","messages":[],"max_tokens":1,"max_tokens":9}', 400, "max_tokens"),
    "two maxima in disguise": (b'{"model":"m","messages":[],"max_tokens":1,"max\\u005ftokens":9}', 400, "max_tokens"),
    "two models": (b'{"model":"a","messages":[],"model":"b"}', 400, "model"),
    "two options": (
        b'{"model":"m","messages":[],"stream":true,"stream_options":{"include_usage":true,"include_usage":false}}',
        400,
        "include_usage",
    ),
    "two contents": (b'{"model":"m","messages":[{"role":"user","content":"a","content":"b"}]}', 400, "content"),
    "two of a name nobody reads": (
        b'{"model":"m","messages":[],"' + b"x" * 300 + b'":1,"' + b"x" * 300 + b'":1}',
        400,
        "a name of 300 characters",
    ),
    "two quoted": (b'{"model":"m","messages":[],"a\\"\\n":1,"a\\"\\n":1}', 400, 'a\\"\\n'),
    "no model": (b'{"messages":[]}', 400, "model"),
    "model is a number": (b'{"model":1,"messages":[]}', 400, "model"),
    "no messages": (b'{"model":"m"}', 400, "messages"),
    "messages is a text": (b'{"model":"m","messages":"hi"}', 400, "messages"),
    "negative": (b'{"model":"m","messages":[],"max_tokens":-1}', 400, "max_tokens"),
    "huge": (b'{"model":"m","messages":[],"max_tokens":99999999999999999999}', 400, "max_tokens"),
    "a fraction": (b'{"model":"m","messages":[],"max_completion_tokens":1.5}', 400, "max_completion_tokens"),
    "true": (b'{"model":"m","messages":[],"max_tokens":true}', 400, "max_tokens"),
    "n": (b'{"model":"m","messages":[],"n":0}', 400, "n"),
    "stream": (b'{"model":"m","messages":[],"stream":"yes"}', 400, "stream"),
    "options": (b'{"model":"m","messages":[],"stream_options":[]}', 400, "stream_options"),
    "deep": (b'{"model":"m","messages":' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400, None),
    "long": (b'{"model":"m","messages":["' + b"x" * (1 << 20) + b'"]}', 413, None),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_body_is_refused_in_openais_shape(gateway: World, case: str) -> None:
    body, status, param = BAD[case]
    before = len(gateway.upstream.asked)
    with gateway.client() as client:
        answer = client.post(CHAT, content=body)
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert error["param"] == param
    assert error["type"] == "invalid_request_error"
    assert len(gateway.upstream.asked) == before


def test_keys_are_asked_for_and_never_shown(gateway: World, caplog: pytest.LogCaptureFixture) -> None:
    revoked, other = gateway.key(), gateway.key("ann", "another")
    gateway.gate.keys.known[revoked.key.id] = revoked.key.model_copy(update={"revoked_at": 1})
    table = {
        "": (401, "missing_api_key"),
        "Bearer nonsense": (401, "invalid_api_key"),
        f"Bearer {revoked.secret[:-1]}x": (401, "invalid_api_key"),
        f"Bearer {revoked.secret}": (401, "invalid_api_key"),
        f"Bearer {other.secret}": (403, "model_not_permitted"),
    }
    for shown, (status, code) in table.items():
        answer = httpx.post(gateway.url + CHAT, json=ask(), headers={"authorization": shown} if shown else {})
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), shown
        assert revoked.secret not in answer.text
    assert revoked.secret not in caplog.text
    assert "hello there" not in caplog.text


def test_what_is_not_served_is_told_in_openais_shape(gateway: World) -> None:
    with gateway.client() as client:
        assert client.get("/v1/nothing").json()["error"]["code"] == "unknown_url"
        assert client.get(CHAT).json()["error"]["code"] == "method_not_allowed"
        assert client.get("/healthz").json()["status"] == "ok"
        headers = {f"x-{number}": "1" for number in range(120)}
        assert client.post(CHAT, json=ask(), headers=headers).json()["error"]["code"] == "too_many_headers"


def test_an_own_limit_refuses_with_429_and_the_pool_with_503(gateway: World) -> None:
    gateway.limit({"ann": limits(slots=1)})
    with gateway.client() as client, ThreadPoolExecutor(1) as pool:
        gateway.upstream.released.clear()
        running = pool.submit(client.post, CHAT, json=ask(metadata={"held": True}))
        gateway.until(lambda: gateway.desk.in_flight == 1, "one runs")
        refused = client.post(CHAT, json=ask())
        assert refused.status_code == 429
        error = refused.json()["error"]
        assert {name: error[name] for name in ("code", "dimension", "whose", "limit", "used", "need")} == {
            "code": "rate_limit_exceeded",
            "dimension": "concurrency",
            "whose": "own",
            "limit": 1,
            "used": 1,
            "need": 1,
        }
        assert "retry-after" in refused.headers
        assert refused.headers["x-ratelimit-limit-requests"] == "1"
        assert refused.headers["x-ratelimit-remaining-requests"] == "0"
        gateway.upstream.released.set()
        assert running.result().headers["x-ratelimit-limit-requests"] == "1"
    gateway.limit({"ann": limits(tokens=10)})
    with gateway.client() as client:
        never = client.post(CHAT, json=ask(max_tokens=5_000))
        assert never.json()["error"]["code"] == "exceeds_limit"
        assert never.headers["x-should-retry"] == "false"
    gateway.limit({"ann": limits(), "ben": limits(Tier.DEDICATED, tokens=999_990, blocks=100_000, slots=1_000)})
    with gateway.client() as client:
        full = client.post(CHAT, json=ask(max_tokens=5_000))
        assert (full.status_code, full.json()["error"]["whose"]) == (503, "pool")
        assert client.post(CHAT, json=ask(model="m")).status_code == 503
    with gateway.client("stranger") as client:
        assert client.post(CHAT, json=ask()).status_code == 429


@pytest.mark.parametrize(
    ("script", "status", "code"),
    [
        ({"status": 500}, 502, "upstream_broke_off"),
        ({"status": 429}, 503, "capacity_exceeded"),
        ({"status": 503}, 503, "capacity_exceeded"),
    ],
)
def test_an_upstream_that_fails_is_told_and_costs_nothing(gateway: World, script: dict[str, int], status: int, code: str) -> None:
    with gateway.client() as client:
        answer = client.post(CHAT, json=ask(metadata=script))
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    if status == 503:
        assert answer.headers["retry-after"] == "7"
    last = ended(gateway)[-1]
    assert (last.input_tokens, last.output_tokens) == (0, 0)


def test_upstreams_own_complaint_goes_to_the_client(gateway: World) -> None:
    with gateway.client() as client:
        answer = client.post(CHAT, json=ask(metadata={"status": 400}))
    assert (answer.status_code, answer.json()) == (400, {"error": {"message": "no"}})
    last = ended(gateway)[-1]
    assert (last.output_tokens, last.status) == (0, "http_400")


def test_an_upstream_that_dies_in_its_stream_ends_in_an_error_event(gateway: World) -> None:
    with gateway.client() as client:
        answer, events, text = stream(client, metadata={"pieces": 5, "dies_after": 2})
    assert answer.status_code == 200
    assert events[-1]["error"]["code"] == "upstream_broke_off"
    assert text.endswith("data: [DONE]\n\n")
    last = ended(gateway)[-1]
    assert (last.output_tokens, last.basis, last.status) == (2, "counted", "upstream_broke_off")


def test_a_client_that_goes_away_cancels_upstream_and_pays_for_what_was_made(gateway: World) -> None:
    before = gateway.upstream.cancelled
    with (
        gateway.client() as client,
        client.stream("POST", CHAT, json=ask(stream=True, metadata={"pieces": 1000, "pause": 0.01})) as got,
    ):
        lines = got.iter_lines()
        while "word2" not in next(lines):
            continue
    gateway.settled()
    assert gateway.upstream.cancelled == before + 1
    last = ended(gateway)[-1]
    assert last.status == "cancelled"
    assert 3 <= last.output_tokens < 900
    with gateway.client(tenant="ann") as client, pytest.raises(httpx.ReadTimeout):
        client.post(CHAT, json=ask(metadata={"seconds": 30}), timeout=0.2)
    gateway.settled()
    assert ended(gateway)[-1].status == "cancelled"


def test_a_preemptible_request_is_stopped_for_a_right_and_says_so(gateway: World) -> None:
    promised = (Quota(900_000, 0, 0), Quota(99_000, 0, 0), Quota(900, 0, 0))  # and all of it lent, as its owner was idle
    owner = TenantLimits(Tier.GUARANTEED, promised)
    gateway.limit({"ann": limits(Tier.PREEMPTIBLE), "ben": owner}, Capacity(10**9, 100_000, 1_000))
    with gateway.client() as ann, gateway.client("ben") as ben, ThreadPoolExecutor(1) as pool:
        running = pool.submit(stream, ann, max_tokens=16 * 90_000, metadata={"pieces": 1_000, "pause": 0.01})
        gateway.until(lambda: gateway.desk.in_flight == 1, "the preemptible one runs")
        time.sleep(0.1)
        assert ben.post(CHAT, json=ask(max_tokens=16 * 50_000)).status_code == 200
        _, events, text = running.result()
    assert events[-1]["error"]["code"] == "preempted"
    assert events[-2]["choices"][0]["finish_reason"] == "preempted"
    assert text.endswith("data: [DONE]\n\n")
    gateway.settled()
    stopped = next(each for each in reversed(ended(gateway)) if each.status == "stopped")
    assert 0 < stopped.output_tokens < 900


def test_five_hundred_at_once_never_exceed_a_limit_of_twenty(gateway: World) -> None:
    gateway.limit({"ann": limits(slots=20)})
    gateway.upstream.most = 0
    with gateway.client(limits=httpx.Limits(max_connections=500)) as client, ThreadPoolExecutor(100) as pool:
        asked = [pool.submit(client.post, CHAT, json=ask(metadata={"seconds": 0.05})) for _ in range(500)]
        statuses = [each.result().status_code for each in asked]
    assert set(statuses) == {200, 429}
    assert 2 <= gateway.upstream.most <= 20


def test_a_slow_reader_holds_up_nobody(tmp_path: Path) -> None:
    with world(tmp_path, rules=Rules(pool=POOL, client_s=0.3, default_output=300_000)) as made:
        made.limit({"ann": limits()})
        port = int(made.url.rsplit(":", 1)[1])
        body = json.dumps(ask(stream=True, metadata={"pieces": 200_000})).encode()
        with socket.create_connection(("127.0.0.1", port)) as slow:
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            key = f"authorization: Bearer {made.key().secret}\r\n"
            slow.sendall(f"POST {CHAT} HTTP/1.1\r\nhost: x\r\n{key}content-length: {len(body)}\r\n\r\n".encode() + body)
            made.until(lambda: made.desk.in_flight == 1, "it runs")
            with made.client() as client:
                assert client.post(CHAT, json=ask()).status_code == 200
            made.settled()
        assert ended(made)[-1].status == "cancelled"


def test_an_upstream_that_is_away_or_hangs_is_told(tmp_path: Path) -> None:
    with world(tmp_path, silence_s=0.2) as made:
        made.limit({"ann": limits()})
        with made.client() as client:
            late = client.post(CHAT, json=ask(metadata={"seconds": 5}))
            assert (late.status_code, late.json()["error"]["code"]) == (504, "upstream_timeout")
            made.gate.upstream._url = "http://127.0.0.1:1"
            away = client.post(CHAT, json=ask())
            assert (away.status_code, away.json()["error"]["code"]) == (502, "upstream_unavailable")
            assert "127.0.0.1" not in away.text
        made.settled()
        assert (ended(made)[-1].input_tokens, ended(made)[-1].status) == (0, "upstream_unavailable")


def test_bytes_that_are_two_requests_in_one_are_refused(gateway: World) -> None:
    """Smuggling: two lengths, or a length beside chunks, could be read otherwise by who stands before or behind."""
    port = int(gateway.url.rsplit(":", 1)[1])
    before = len(gateway.upstream.asked)
    for lines in ("content-length: 4\r\ncontent-length: 5", "content-length: 4\r\ntransfer-encoding: chunked"):
        with socket.create_connection(("127.0.0.1", port), timeout=5) as raw:
            raw.sendall(f"POST {CHAT} HTTP/1.1\r\nhost: x\r\n{lines}\r\n\r\nabcd0\r\n\r\n".encode())
            assert b"400" in raw.recv(1000).split(b"\r\n")[0] or b"401" in raw.recv(1000)
    assert len(gateway.upstream.asked) == before
    assert threading.active_count() < 60
