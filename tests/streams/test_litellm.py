"""The callback in LiteLLM's real proxy, between OpenAI's client and `bourse backend`; LiteLLM has an environment of its own."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import openai
import pytest
from deciding_world import Deciding, deciding
from gateway_world import served
from simulated_backend import Running, running_backend

from infra.jars import default_directory
from streams.gateway.beside_http import beside_app

pytestmark = [
    pytest.mark.litellm,
    pytest.mark.skipif("BOURSE_TEST_LITELLM" not in os.environ, reason="`make litellm` runs it"),
]

VERSION = "1.106.2"
ROOT = Path(__file__).parents[2]
HELLO = [{"role": "user", "content": "hello there"}]
PATIENCE_S = 120


@pytest.fixture(scope="module")
def installed() -> Path:
    """LiteLLM's command, installed once for a version and kept in the user's cache."""
    place = default_directory().parent / f"litellm-{VERSION}-{sys.version_info.major}.{sys.version_info.minor}"
    command = place / "bin/litellm"
    done = place / "installed"
    if not done.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", place], check=True)
        install = [place / "bin/python", "-m", "pip", "install", "--quiet", f"litellm[proxy]=={VERSION}"]
        made = subprocess.run(install, check=False, capture_output=True, text=True)
        if made.returncode:
            pytest.skip(f"LiteLLM can't be installed: {made.stderr.strip()[-300:]}")
        done.touch()
    return command


@contextmanager
def proxy(command: Path, upstream: str, decides: str, log: Path) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "UPSTREAM_URL": upstream,
        "UPSTREAM_KEY": "none",
        "LITELLM_MASTER_KEY": f"sk-{secrets.token_hex(32)}",
        "BOURSE_EXT_AUTHZ_URL": decides,
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    }
    config = ROOT / "infra/examples/litellm.yaml"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [command, "--config", config, "--host", "127.0.0.1", "--port", str(port)], env=environment, stdout=out, stderr=out
        )
        try:
            deadline = time.monotonic() + PATIENCE_S
            while True:
                assert process.poll() is None, log.read_text()[-3000:]
                assert time.monotonic() < deadline, log.read_text()[-3000:]
                try:
                    if httpx.get(f"http://127.0.0.1:{port}/health/liveliness").status_code == 200:
                        break
                except httpx.TransportError:
                    time.sleep(0.2)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()
            process.wait(20)


def settled(made: Deciding) -> None:
    deadline = time.monotonic() + 20
    while made.beside.open:
        assert time.monotonic() < deadline, "something is open still"
        time.sleep(0.02)


def ask_all(client: openai.OpenAI, made: Deciding, backend: Running) -> None:
    said = client.chat.completions.create(model="simulated", messages=HELLO, max_tokens=20)
    assert said.usage is not None
    settled(made)
    pieces = list(client.chat.completions.create(model="simulated", messages=HELLO, max_tokens=20, stream=True))
    assert len(pieces) > 2
    settled(made)
    client.embeddings.create(model="simulated", input="a b")
    settled(made)
    with pytest.raises(openai.APIStatusError):
        client.chat.completions.create(model="simulated", messages=HELLO, max_tokens=20, extra_body={"simulate": {"fail": "500"}})
    settled(made)
    with client.chat.completions.create(model="simulated", messages=HELLO, max_tokens=2_000, stream=True) as stream:
        next(iter(stream))
        assert made.beside.open == 1
        with pytest.raises(openai.RateLimitError) as refused:
            client.chat.completions.create(model="simulated", messages=HELLO, max_tokens=20)
    assert refused.value.response.headers["retry-after"]
    assert "concurrency" in refused.value.response.text
    settled(made)  # its client went away
    backend.idle()


@pytest.mark.timeout(600)
def test_litellms_proxy_admits_and_settles(installed: Path, tmp_path: Path) -> None:
    with deciding(tmp_path, slots=1) as made, running_backend() as backend:
        server, url, thread = served(beside_app(made.beside))
        log = tmp_path / "litellm.log"
        with proxy(installed, backend.url, url, log) as at:
            with pytest.raises(openai.AuthenticationError):
                openai.OpenAI(base_url=at, api_key="bk-wrong", max_retries=0).models.list()
            ask_all(openai.OpenAI(base_url=at, api_key=made.key.secret, max_retries=0), made, backend)
        server.should_exit = True
        thread.join(20)
        assert made.key.secret not in log.read_text()
        ends = made.ended()
        assert [(end.status, end.basis) for end in ends[:4]] == [
            ("ok", "reported"),
            ("ok", "reported"),
            ("ok", "reported"),
            ("failed", "counted"),
        ]
        assert 0 < ends[4].output_tokens < 2_000
        print(*ends, sep="\n")
