"""A callback of LiteLLM's proxy: `bourse ext-authz` admits its requests before they are passed on, and settles them after.

This file stands alone: LiteLLM's pins are its own, so it needs nothing but what LiteLLM brings (aiohttp, FastAPI), and the workers
of a proxy share one `bourse ext-authz`. infra/examples/litellm.yaml uses it; `BOURSE_EXT_AUTHZ_URL` says where that is.

1. `authenticate` (LiteLLM's `custom_auth`): whose the API key is. LiteLLM goes on with the key's id, never with the key.
2. `async_pre_call_hook`: admission, once a request, before retries and fallbacks; a refusal ends it with our status, error and
   headers.
3. It is settled once: by `async_log_success_event`, with the usage that LiteLLM logs, or by `async_post_call_failure_hook`, when no
   retry helped. `async_log_failure_event` is not that: it tells of each try.

What this proxy forgets, as it was killed, is settled at its reservation (`--settle-within-s`).
"""

from __future__ import annotations

import json
import logging
import os
from typing import Any

import aiohttp

try:
    from litellm.integrations.custom_logger import CustomLogger
except ImportError:  # where this project itself is tested
    CustomLogger = object

log = logging.getLogger(__name__)

URL = "BOURSE_EXT_AUTHZ_URL"
PATHS = {
    "completion": "/v1/chat/completions",
    "acompletion": "/v1/chat/completions",
    "text_completion": "/v1/completions",
    "atext_completion": "/v1/completions",
    "embeddings": "/v1/embeddings",
    "embedding": "/v1/embeddings",
    "aembedding": "/v1/embeddings",
    "responses": "/v1/responses",
    "aresponses": "/v1/responses",
}
"""LiteLLM's name of a call -> the endpoint whose body it has. Other calls are refused: what they cost is not known."""
_FIELDS = frozenset(
    {
        *("model", "messages", "prompt", "suffix", "input", "instructions", "tools", "functions", "response_format", "text"),
        *("stream", "stream_options", "n", "best_of", "max_tokens", "max_completion_tokens", "max_output_tokens", "service_tier"),
    }
)
"""Of LiteLLM's data, which holds much beside the client's body: what admission reads."""


class Refused(Exception):  # noqa: N818  what the client is told
    """An error of `bourse ext-authz`: its status, body and headers."""

    def __init__(self, status: int, body: dict[str, Any], headers: dict[str, str]) -> None:
        super().__init__(body)
        self.status, self.body, self.headers = status, body, headers


class Bourse(CustomLogger):  # type: ignore[misc]  # LiteLLM's class, where it is installed
    """The callback; one in a worker.

    Args:
        url: of `bourse ext-authz`; None: BOURSE_EXT_AUTHZ_URL says it.
    """

    def __init__(self, url: str | None = None) -> None:
        super().__init__()
        self._url = url
        self._session: aiohttp.ClientSession | None = None
        self._open: dict[str, str] = {}  # LiteLLM's id of a call -> ours, of what is admitted and not settled

    async def async_pre_call_hook(self, user_api_key_dict: Any, cache: Any, data: dict[str, Any], call_type: str) -> None:  # noqa: ARG002  LiteLLM's signature
        """Admission."""
        call, path = data.get("litellm_call_id"), PATHS.get(call_type)
        if path is None or not isinstance(call, str) or call in self._open:
            why = f"calls of the kind {call_type} are not served here" if path is None else "x-litellm-call-id: another call has it"
            raise _as_http(Refused(400, {"error": {"message": why, "type": "invalid_request_error", "param": None}}, {}))
        asked = {
            "key": user_api_key_dict.api_key,
            "path": path,
            "priority": (data.get("proxy_server_request") or {}).get("headers", {}).get("x-bourse-priority"),
            "body": {name: value for name, value in data.items() if name in _FIELDS},
        }
        try:
            admitted = await self.ask("POST", "/admit", data=json.dumps(asked, default=str))
        except Refused as refused:
            raise _as_http(refused) from None
        self._open[call] = admitted["request"]

    async def async_log_success_event(self, kwargs: dict[str, Any], response_obj: Any, start_time: Any, end_time: Any) -> None:  # noqa: ARG002  LiteLLM's signature
        """Settlement of what was answered, whole or in a stream that has ended."""
        usage: Any = getattr(response_obj, "usage", None)
        told = usage.model_dump(mode="json") if hasattr(usage, "model_dump") else usage
        await self._settle(kwargs.get("litellm_call_id"), json.dumps({"usage": told}, default=str), "ok")

    async def async_post_call_failure_hook(
        self,
        request_data: dict[str, Any],
        original_exception: Exception,  # noqa: ARG002  LiteLLM's signature
        user_api_key_dict: Any,  # noqa: ARG002  LiteLLM's signature
        traceback_str: str | None = None,  # noqa: ARG002  LiteLLM's signature
    ) -> None:
        """Settlement of what failed for good, and of what was refused (of which nothing is open)."""
        await self._settle(request_data.get("litellm_call_id"), "", "failed")

    async def ask(self, method: str, path: str, **options: Any) -> Any:
        """What `bourse ext-authz` answers.

        Raises:
            Refused: an error.
        """
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60))  # an admission may wait for its limit
        url = (self._url or os.environ.get(URL, "http://127.0.0.1:9192")).rstrip("/")
        try:
            async with self._session.request(method, url + path, **options) as answer:
                body = await answer.json()
                if answer.status >= 400:
                    kept = {name: value for name, value in answer.headers.items() if name.lower().startswith(("retry-", "x-"))}
                    raise Refused(answer.status, body, kept)
                return body
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            log.warning("bourse ext-authz does not answer: %s", str(error) or type(error).__name__)
            told = {
                "message": "nobody can decide about requests now",
                "type": "server_error",
                "param": None,
                "code": "limits_unknown",
            }
            raise Refused(503, {"error": told}, {"retry-after": "1"}) from error

    async def close(self) -> None:
        """Ends its connections."""
        if self._session is not None:
            await self._session.close()

    async def _settle(self, call: Any, answer: str, status: str) -> None:
        request = self._open.pop(call, None)
        if request is None:
            return
        try:
            await self.ask("POST", "/settle", data=answer, headers={"x-bourse-request-id": request, "x-bourse-status": status})
        except Refused as refused:
            log.warning("request %s will be settled at its reservation: %s", request, refused)


def _as_http(refused: Refused) -> Exception:
    from fastapi import HTTPException  # noqa: PLC0415  LiteLLM brings it

    told: Exception = HTTPException(refused.status, refused.body.get("error", refused.body), refused.headers)
    return told


handler = Bourse()
"""What `litellm_settings.callbacks` names."""


async def authenticate(request: Any, api_key: str) -> Any:  # noqa: ARG001  LiteLLM's signature
    """What `general_settings.custom_auth` names: whose a key is."""
    from litellm.proxy._types import ProxyException, UserAPIKeyAuth  # noqa: PLC0415  where LiteLLM is

    try:
        found = await handler.ask("GET", "/whose", headers={"authorization": f"Bearer {api_key.removeprefix('Bearer ')}"})
    except Refused as refused:
        said = refused.body.get("error", {})
        raise ProxyException(said.get("message"), said.get("type"), said.get("param"), refused.status) from None
    return UserAPIKeyAuth(api_key=found["key"], user_id=found["tenant"])
