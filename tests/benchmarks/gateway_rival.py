"""LiteLLM's proxy with a token limit for each key, without a database: a function checks keys and says what each may use.

That is its `custom_auth`; its own limiter counts in memory, and its answers tell what is left
(`x-ratelimit-api_key-remaining-tokens`). One worker, no logging of requests, prices of models not asked for.
"""

from __future__ import annotations

import json
import secrets
from pathlib import Path

from rivals import Rival, environment

LITELLM = Rival("litellm", "1.106.2", (3, 10), (3, 13), passes=1, extra="[proxy]")
SERVING_S = 300.0
"""It imports for a minute where neighbours are busy."""

_KEYS_OF = """
from litellm.proxy._types import UserAPIKeyAuth

KEYS = frozenset({keys!r})


async def key_of(request, api_key):
    if api_key not in KEYS:
        raise ValueError("no such key")
    return UserAPIKeyAuth(api_key=api_key, tpm_limit=10**12, rpm_limit=10**9)
"""

ENVIRONMENT = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_LOG": "ERROR",
    "LITELLM_MODE": "PRODUCTION",
    "NO_PROXY": "127.0.0.1",
}


def command(directory: Path, port: int, upstream: int, keys: list[str]) -> list[str]:
    """What starts it.

    Args:
        directory: for its configuration.
        port: where it shall listen.
        upstream: port of who answers.
        keys: that open it.

    Raises:
        UnavailableError: it can't be installed here.
    """
    python = environment(LITELLM)
    (directory / "bench_keys.py").write_text(_KEYS_OF.format(keys=keys), encoding="utf-8")
    behind = {"model": "openai/m", "api_base": f"http://127.0.0.1:{upstream}/v1", "api_key": "sk-none"}
    config = {
        "model_list": [{"model_name": "m", "litellm_params": behind}],
        "general_settings": {"custom_auth": "bench_keys.key_of", "master_key": f"sk-{secrets.token_hex(24)}"},
        "litellm_settings": {"set_verbose": False, "telemetry": False},
    }
    path = directory / "config.yaml"
    path.write_text(json.dumps(config), encoding="utf-8")  # JSON is YAML
    serve = [str(python), "-c", "from litellm import run_server; run_server()", "--config", str(path)]
    return [*serve, "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
