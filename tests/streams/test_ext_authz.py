"""Other gateways: Envoy's protocol by a real client of it, settlement by HTTP, expiry, LiteLLM's callback without LiteLLM."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import httpx
import pytest
import yaml
from deciding_world import Deciding, deciding
from gateway_world import served

pytest.importorskip("envoy.service.auth.v3", reason="the package xds-protos is not installed: make install")

import grpc.aio
from envoy.config.bootstrap.v3.bootstrap_pb2 import Bootstrap
from envoy.extensions.access_loggers.grpc.v3 import als_pb2  # noqa: F401  registers its messages for ParseDict
from envoy.extensions.filters.http.ext_authz.v3 import ext_authz_pb2
from envoy.extensions.filters.http.lua.v3 import lua_pb2  # noqa: F401  registers its messages for ParseDict
from envoy.extensions.filters.http.router.v3 import router_pb2  # noqa: F401  registers its messages for ParseDict
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2  # noqa: F401  registers its messages for ParseDict
from envoy.service.accesslog.v3.als_pb2_grpc import AccessLogServiceStub
from envoy.service.auth.v3 import external_auth_pb2_grpc
from envoy_asks import CHAT, USAGE, checked, ended, told
from google.protobuf.json_format import ParseDict

from streams.gateway import ext_authz, litellm_callback
from streams.gateway.beside_http import beside_app
from streams.gateway.ext_authz import authorization_server

EXAMPLES = Path(__file__).parents[2] / "infra/examples"
BODY = {"model": "llama", "messages": [{"role": "user", "content": "hello there"}], "max_tokens": 50}


def test_envoy_is_told_who_may_pass_and_what_the_others_get(tmp_path: Path) -> None:
    async def run(made: Deciding) -> None:
        server, port = await authorization_server(made.beside, "127.0.0.1:0")
        shown = {"authorization": f"Bearer {made.key.secret}"}
        body = json.dumps(BODY).encode()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            check = external_auth_pb2_grpc.AuthorizationStub(channel).Check
            passed = [(await check(checked(shown, body))) for _ in range(2)]
            refused = await check(checked(shown, body))
            listed = await check(checked(shown, b"", "/v1/models?x", "GET"))
            bad = {
                401: await check(checked({}, b"", "/v1/models", "GET")),
                400: await check(checked(shown, b"{")),
                404: await check(checked(shown, body, "/v1/files")),
                413: await check(checked({**shown, "x-envoy-auth-partial-body": "true"}, body[:20])),
            }
            names = [told(answer.ok_response.headers)["x-bourse-request-id"] for answer in passed]
            assert made.beside.settle(names[0], USAGE, "ok") is not None
            assert made.beside.settle(names[0], USAGE, "ok") is None
            again = await check(checked(shown, body))  # its slot is free
        await server.stop(0)
        assert [answer.status.code for answer in (*passed, listed, again)] == [0, 0, 0, 0]
        assert not told(listed.ok_response.headers)
        assert list(passed[0].ok_response.headers_to_remove) == ["authorization", "x-bourse-priority"]
        assert told(passed[0].ok_response.response_headers_to_add)["x-ratelimit-limit-requests"] == "2"
        assert refused.denied_response.status.code == 429
        assert "retry-after" in told(refused.denied_response.headers)
        error = json.loads(refused.denied_response.body)["error"]
        assert (error["code"], error["dimension"], error["limit"]) == ("rate_limit_exceeded", "concurrency", 2)
        assert {status: answer.denied_response.status.code for status, answer in bad.items()} == {each: each for each in bad}
        for name in (names[1], told(again.ok_response.headers)["x-bourse-request-id"]):
            assert made.beside.settle(name, b"", "failed") is not None

    with deciding(tmp_path) as made:
        asyncio.run(run(made))
        assert [(end.input_tokens, end.output_tokens, end.basis, end.status) for end in made.ended()] == [
            (9, 4, "reported", "ok"),
            (0, 0, "counted", "failed"),
            (0, 0, "counted", "failed"),
        ]


def test_what_ended_and_nobody_settled_gives_back_what_it_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ext_authz, "SETTLED_BY_S", 0.1)

    async def run(made: Deciding) -> None:
        server, port = await ext_authz.authorization_server(made.beside, "127.0.0.1:0")
        gone, settled = [(await made.beside.admit(made.key.key, CHAT, json.dumps(BODY).encode(), None)).name for _ in range(2)]
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            log = AccessLogServiceStub(channel).StreamAccessLogs(iter([ended(None), ended(settled), ended("nobodys"), ended(gone)]))
            made.beside.settle(settled, USAGE, "ok")
            await log
            assert made.beside.open == 1, "it may be settled a moment later"
            await asyncio.sleep(1)
            assert made.beside.open == 0
        await server.stop(0)

    with deciding(tmp_path) as made:
        asyncio.run(asyncio.wait_for(run(made), 20))
        assert [(end.output_tokens, end.basis, end.status) for end in made.ended()] == [
            (4, "reported", "ok"),
            (50, "reserved", "lost"),
        ]


EVENT = b'data: {"choices": [{"index": 0, "delta": {"content": "a"}}]}\n\n'


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (EVENT * 3 + b'data: {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 3}}\n\n', (9, 3, "reported")),
        (EVENT * 3 + b"data: [DONE]\n\n", (8, 3, "counted")),
        (EVENT[20:] + EVENT, (8, 50, "reserved")),  # its beginning is missing
        (b'0.25]}], "usage": {"prompt_tokens": 6, "total_tokens": 6}}', (6, 0, "reported")),
        (b'{"choices": [{"message": {"content": "eight by"}}]}', (8, 2, "counted")),
        (b"garbage", (8, 50, "reserved")),
    ],
)
def test_it_pays_what_its_answer_says(tmp_path: Path, answer: bytes, expected: tuple[int, int, str]) -> None:
    with deciding(tmp_path) as made:
        wanted = asyncio.run(made.beside.admit(made.key.key, CHAT, json.dumps(BODY).encode(), None))
        made.beside.settle(wanted.name, answer, "ok")
        (end,) = made.ended()
        assert (end.input_tokens, end.output_tokens, end.basis) == expected


@pytest.mark.parametrize(("longest_s", "over"), [(3_600, 0), (0.001, 1)])
def test_what_nobody_settles_is_settled_at_its_reservation(tmp_path: Path, longest_s: float, over: int) -> None:
    with deciding(tmp_path, longest_s=longest_s) as made:
        asyncio.run(made.beside.admit(made.key.key, CHAT, json.dumps(BODY).encode(), None))
        time.sleep(0.01)
        assert made.beside.expire() == over
        if not over:
            return
        (end,) = made.ended()
        assert (end.input_tokens, end.output_tokens, end.basis, end.status, end.latency_ms) == (8, 50, "reserved", "lost", None)


def test_litellm_asks_before_and_tells_after(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class HTTPException(Exception):  # noqa: N818  FastAPI's, which LiteLLM brings and this project does not
        def __init__(self, status_code: int, detail: Any, headers: dict[str, str]) -> None:
            super().__init__(detail)
            self.status_code, self.detail, self.headers = status_code, detail, headers

    monkeypatch.setitem(sys.modules, "fastapi", ModuleType("fastapi"))
    monkeypatch.setattr(sys.modules["fastapi"], "HTTPException", HTTPException, raising=False)

    async def run(made: Deciding, url: str) -> None:
        callback = litellm_callback.Bourse(url)
        found = await callback.ask("GET", "/whose", headers={"authorization": f"Bearer {made.key.secret}"})
        assert found == {"key": made.key.key.id, "tenant": "ann"}
        with pytest.raises(litellm_callback.Refused) as unknown:
            await callback.ask("GET", "/whose", headers={"authorization": "Bearer bk-no"})
        assert unknown.value.status == 401
        auth = SimpleNamespace(api_key=found["key"])
        for call in ("a", "b"):
            await callback.async_pre_call_hook(auth, None, {**BODY, "litellm_call_id": call}, "acompletion")
        with pytest.raises(HTTPException) as refused:
            await callback.async_pre_call_hook(auth, None, {**BODY, "litellm_call_id": "c"}, "acompletion")
        assert (refused.value.status_code, refused.value.detail["dimension"]) == (429, "concurrency")
        assert "retry-after" in {name.lower() for name in refused.value.headers}
        with pytest.raises(HTTPException) as other:
            await callback.async_pre_call_hook(auth, None, {**BODY, "litellm_call_id": "d"}, "aimage_generation")
        assert other.value.status_code == 400
        usage = SimpleNamespace(model_dump=lambda mode: {"prompt_tokens": 9, "completion_tokens": 4})
        for _ in range(2):  # told twice, settled once
            await callback.async_log_success_event({"litellm_call_id": "a"}, SimpleNamespace(usage=usage), None, None)
        await callback.async_post_call_failure_hook({"litellm_call_id": "b"}, ValueError(), auth)
        await callback.close()

    with deciding(tmp_path) as made:
        server, url, thread = served(beside_app(made.beside))
        while not server.started:
            time.sleep(0.005)
        asyncio.run(run(made, url))
        missing = httpx.post(f"{url}/settle", headers={"x-bourse-request-id": "no"})
        assert (missing.status_code, missing.json()["error"]["code"]) == (404, "unknown_request")
        server.should_exit = True
        thread.join(20)
        assert [(end.output_tokens, end.basis, end.status) for end in made.ended()] == [
            (4, "reported", "ok"),
            (0, "counted", "failed"),
        ]


def test_the_example_of_envoy_is_a_configuration_of_envoy() -> None:
    read = ParseDict(yaml.safe_load((EXAMPLES / "envoy.yaml").read_text()), Bootstrap())
    (listener,) = read.static_resources.listeners
    manager = http_connection_manager_pb2.HttpConnectionManager()
    assert listener.filter_chains[0].filters[0].typed_config.Unpack(manager)
    assert [each.name.rpartition(".")[2] for each in manager.http_filters] == ["ext_authz", "lua", "router"]
    authz = ext_authz_pb2.ExtAuthz()
    assert manager.http_filters[0].typed_config.Unpack(authz)
    assert authz.with_request_body.pack_as_bytes
    assert not authz.failure_mode_allow
