"""What a gateway tells tenants of their standing, what only its operator; keys that are revoked, and what logs hold."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from gateway_world import CAPACITY, POOL, World, limits, world

from processors.admission import KNOTS
from processors.waiting import Rules as WaitingRules
from streams.gateway.arriving import Rules
from streams.gateway.asked import Kind, read
from streams.gateway.counting import estimated
from streams.gateway.desk import Desk
from streams.gateway.following import read as read_ended
from streams.gateway.write_ahead import Position
from streams.limits import PoolLimits

CHAT = "/v1/chat/completions"
SECRET = "the emperor wears nothing"
ASKED: dict[str, Any] = {"model": "llama", "messages": [{"role": "user", "content": SECRET}]}
STANDING = {f"x-ratelimit-{what}-{of}" for what in ("limit", "remaining", "reset") for of in ("requests", "tokens")}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    rules = Rules(pool=POOL, default_output=50, most_body_bytes=1 << 20)
    with world(tmp_path_factory.mktemp("standing"), rules=rules, waiting=WaitingRules(length=2, longest_ms=20_000)) as made:
        yield made


@pytest.fixture
def gateway(shared: World) -> Iterator[World]:
    shared.limit({"ann": limits()})
    yield shared
    shared.settled()


ANSWERS: dict[str, tuple[str, str, dict[str, Any] | bytes | None, int]] = {
    "good": ("POST", CHAT, ASKED, 200),
    "a stream": ("POST", CHAT, {**ASKED, "stream": True}, 200),
    "no JSON": ("POST", CHAT, b"{", 400),
    "a bad value": ("POST", CHAT, {**ASKED, "max_tokens": -1}, 400),
    "upstream's complaint": ("POST", CHAT, {**ASKED, "metadata": {"status": 400}}, 400),
    "packed": ("POST", CHAT, gzip.compress(b"{}"), 415),
    "too long": ("POST", CHAT, b"x" * (1 << 20) + b"y", 413),
    "upstream fails": ("POST", CHAT, {**ASKED, "metadata": {"status": 500}}, 502),
    "no such path": ("POST", "/v1/nothing", ASKED, 404),
    "another method": ("PUT", CHAT, ASKED, 405),
    "options": ("OPTIONS", CHAT, None, 405),
    "models": ("GET", "/v1/models", None, 200),
}


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("case", ANSWERS)
def test_every_answer_to_a_known_tenant_tells_its_standing(gateway: World, case: str, own: bool) -> None:
    method, path, body, status = ANSWERS[case]
    gateway.limit({"ann": limits(tokens=100_000, slots=7) if own else limits()})
    with gateway.client() as client:
        content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        packed = {"content-encoding": "gzip"} if case == "packed" else {}
        answer = client.request(method, path, content=content, headers=packed)
    assert answer.status_code == status, answer.text
    assert set(answer.headers) >= STANDING
    assert answer.headers["x-ratelimit-limit-requests"] == ("7" if own else "1000")
    assert answer.headers["x-ratelimit-limit-tokens"] == ("1000000" if own else "10000000")
    assert ("allow" in answer.headers) == (status == 405)


def test_whose_key_opens_several_pools_is_told_of_the_one_with_least_left(gateway: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the request's own pool is not known; one that it may use nothing of is none of them."""
    gateway.limit({"ann": limits(slots=7)})
    for pool, known in (("less", {"ann": limits(tokens=100, slots=3)}), ("none", {"ben": limits()}), ("unknown", None)):
        desk = Desk(pool, WaitingRules(length=0), 10_000, gateway.gate.now_ms)
        if known is not None:
            desk.limit(PoolLimits(CAPACITY, 16, KNOTS, known))
        monkeypatch.setitem(gateway.gate.desks, pool, desk)  # type: ignore[arg-type]  a dict, here
    told = {"bad": {**ASKED, "n": 0}, "good": ASKED}
    with gateway.client() as client:
        answers = {name: client.post(CHAT, json=body).headers for name, body in told.items()} | {
            "models": client.get("/v1/models").headers,
            "nothing": client.get("/v1/nothing").headers,
        }
    named = {name: headers.get("x-ratelimit-limit-requests") for name, headers in answers.items()}
    assert named == {"bad": "3", "good": "7", "models": "3", "nothing": "3"}
    assert 'failures_total{code="unknown_url",pool=""}' in gateway.gate.metrics.page().decode()


def test_of_nobody_nothing_is_told(gateway: World) -> None:
    for shown in ("", "Bearer bk-no", f"Bearer {gateway.key().secret[:-1]}_"):
        answer = httpx.post(gateway.url + CHAT, json=ASKED, headers={"authorization": shown} if shown else {})
        assert answer.status_code == 401
        assert not set(answer.headers) & STANDING


def test_the_official_client_knows_why_it_is_refused_and_when_to_come_back(gateway: World, monkeypatch: pytest.MonkeyPatch) -> None:
    gateway.limit({"ann": limits(tokens=10, slots=1)})  # bursts of 100 tokens
    client = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key().secret, max_retries=0)
    usage = {"prompt_tokens": 1, "completion_tokens": 90}
    client.completions.create(model="llama", prompt="x", max_tokens=95, extra_body={"metadata": {"usage": usage}})
    gateway.settled()
    monkeypatch.setattr(gateway.desk, "_rules", WaitingRules(length=0))
    with pytest.raises(openai.RateLimitError) as limited:
        client.completions.create(model="llama", prompt="x", max_tokens=99)
    headers = limited.value.response.headers
    assert set(headers) >= STANDING | {"retry-after", "retry-after-ms"}
    assert 0 < int(headers["retry-after"]) <= 10
    assert headers["x-ratelimit-limit-tokens"] == "100"
    assert headers["x-ratelimit-reset-tokens"].endswith("s")
    assert limited.value.code == "rate_limit_exceeded"
    raw = client.completions.with_raw_response.create(model="llama", prompt="x", max_tokens=1)
    assert set(raw.headers) >= STANDING


def test_a_response_that_streams_passes_unchanged_and_is_paid_as_it_says_at_its_end(gateway: World) -> None:
    asked = {"model": "llama", "input": "hi", "stream": True, "metadata": {"usage": {"input_tokens": 3, "output_tokens": 2}}}
    with gateway.client() as client:
        passed = client.post("/v1/responses", json=asked).text
    kinds = [line[7:] for line in passed.splitlines() if line.startswith("event: ")]
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"
    assert passed == gateway.upstream.said
    gateway.settled()
    last = read_ended(gateway.gate.metered._files.directory, Position(0, 0), 10**6)[0][-1]
    assert (last.input_tokens, last.output_tokens, last.basis, last.status) == (3, 2 + 1, "counted", "ok"), "three pieces came"
    client_of = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key().secret, max_retries=0)
    events = list(client_of.responses.create(model="llama", input="hi", stream=True))
    assert (events[0].type, events[-1].type) == ("response.created", "response.completed")
    gateway.settled()
    last = read_ended(gateway.gate.metered._files.directory, Position(0, 0), 10**6)[0][-1]
    assert (last.output_tokens, last.basis) == (3, "reported")


def test_a_tenants_port_tells_nothing_of_others_and_metrics_are_elsewhere(gateway: World) -> None:
    with gateway.client() as client:
        assert client.get("/healthz").json() == {"status": "ok"}
        assert client.get("/metrics").status_code == 404
    port, end = gateway.gate.metrics.serve("127.0.0.1", 0)
    try:
        page = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    finally:
        end()
    assert f'bourse_gateway_in_flight{{pool="{POOL}"}} 0.0' in page
    assert f'bourse_gateway_ready{{pool="{POOL}"}} 1.0' in page
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port))


def test_a_key_that_is_revoked_while_its_request_waits_admits_nothing(gateway: World) -> None:
    gateway.limit({"ann": limits(slots=1)})
    gateway.upstream.released.clear()
    issued = gateway.key()
    with ThreadPoolExecutor(2) as pool:
        held = {**ASKED, "metadata": {"held": True}}

        def ask(body: dict[str, Any]) -> httpx.Response:
            shown = {"authorization": f"Bearer {issued.secret}"}
            return httpx.post(gateway.url + CHAT, json=body, headers=shown, timeout=20)

        runs = pool.submit(ask, held)
        gateway.until(lambda: gateway.desk.in_flight == 1, "one runs")
        waits = pool.submit(ask, ASKED)
        gateway.until(lambda: gateway.desk.waiting == 1, "one waits")
        asked = len(gateway.upstream.asked)
        gateway.gate.keys.known[issued.key.id] = issued.key.model_copy(update={"revoked_at": 1})
        gateway.upstream.released.set()
        assert runs.result().status_code == 200, "what upstream works on goes on"
        assert (waits.result().status_code, waits.result().json()["error"]["code"]) == (401, "invalid_api_key")
    assert len(gateway.upstream.asked) == asked


def boom(*_args: Any, **_fields: Any) -> Any:
    raise RuntimeError("a mistake of ours")


@pytest.mark.parametrize("where", ["ask", "allowance"])
def test_a_mistake_of_ours_shows_neither_key_nor_prompt(
    gateway: World, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    caplog.set_level(logging.DEBUG)
    issued = gateway.key()
    with monkeypatch.context() as broken:
        broken.setattr(Desk, where, boom)
        shown = httpx.post(gateway.url + CHAT, json=ASKED, headers={"authorization": f"Bearer {issued.secret}"}).text
    assert "a mistake of ours" in caplog.text, "it is logged"
    for told in (caplog.text, shown):
        assert SECRET not in told
        assert issued.secret not in told


def test_no_object_of_a_request_shows_its_key_or_prompt(gateway: World) -> None:
    assert SECRET not in repr(read(Kind.CHAT, json.dumps(ASKED).encode(), count=estimated, default_output=5))
    issued = gateway.key()
    assert issued.secret not in repr(issued)


def test_a_full_disk_refuses_in_words_and_runs_nothing_unmeasured(gateway: World, monkeypatch: pytest.MonkeyPatch) -> None:
    files = gateway.gate.metered._files
    asked = len(gateway.upstream.asked)

    def full(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    with gateway.client() as client:
        with monkeypatch.context() as broken:
            broken.setattr(files, "_append", full)
            answer = client.post(CHAT, json=ASKED)
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "usage_not_recordable")
            assert int(answer.headers["retry-after"]) == 1
            gateway.settled()
        assert len(gateway.upstream.asked) == asked
        assert client.post(CHAT, json=ASKED).status_code == 200


def test_what_ends_on_a_full_disk_is_owed(gateway: World, monkeypatch: pytest.MonkeyPatch) -> None:
    files = gateway.gate.metered._files
    append: Callable[[Any], None] = files._append

    def full_for_ends(record: Any) -> None:
        if hasattr(record, "ended_ms"):
            raise OSError(28, "No space left on device")
        append(record)

    with gateway.client() as client:
        with monkeypatch.context() as broken:
            broken.setattr(files, "_append", full_for_ends)
            assert client.post(CHAT, json=ASKED).status_code == 200
            gateway.until(lambda: gateway.desk.in_flight == 0, "it is settled")
            assert client.post(CHAT, json=ASKED).status_code == 503, "nobody else begins"
        asyncio.run_coroutine_threadsafe(asyncio.to_thread(files.write_owed), gateway._loop).result(5)
        assert client.post(CHAT, json=ASKED).status_code == 200


def test_a_gateways_files_are_not_readable_by_others(gateway: World) -> None:
    directory: Path = gateway.gate.metered._files.directory
    assert all(path.stat().st_mode & 0o077 == 0 for path in directory.glob("*.log"))
