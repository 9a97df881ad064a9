"""What the gateway itself answers: errors in OpenAI's shape, and how much of a tenant's limits is left, as headers.

`{"error": {"message", "type", "param", "code", …}}`; a refusal adds `dimension`, `whose`, `limit`, `used` and `need`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from pydantic_core import to_json
from starlette.types import Send

from processors.admission import Allowance, Refused, Whose
from streams.api_keys import KeyRefused

Headers = list[tuple[bytes, bytes]]

_ABOUT_MS = 1000
"""When a slot comes free nobody knows."""


class Code(StrEnum):
    """What went wrong, for programs."""

    INVALID_JSON = "invalid_json"
    INVALID_VALUE = "invalid_value"
    TOO_LARGE = "request_too_large"
    TOO_MANY_HEADERS = "too_many_headers"
    UNKNOWN_PATH = "unknown_url"
    METHOD = "method_not_allowed"
    UNKNOWN_REQUEST = "unknown_request"
    NO_KEY = "missing_api_key"
    WRONG_KEY = "invalid_api_key"
    OTHER_POOL = "model_not_permitted"
    UNKNOWN_MODEL = "model_not_found"
    RATE_LIMIT = "rate_limit_exceeded"
    NO_CAPACITY = "capacity_exceeded"
    NEVER_FITS = "exceeds_limit"
    NO_LIMITS = "limits_unknown"
    NOT_RECORDED = "usage_not_recordable"
    UPSTREAM_DOWN = "upstream_unavailable"
    UPSTREAM_LATE = "upstream_timeout"
    UPSTREAM_BROKEN = "upstream_broke_off"
    PREEMPTED = "preempted"
    CLOSING = "gateway_closing"
    BODIES = "too_many_bodies"
    MALFORMED = "malformed_request"
    INTERNAL = "internal_error"


_TYPES = {400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "invalid_request_error"}


@dataclass(frozen=True, slots=True)
class Failure:
    """An answer that is an error.

    Attributes:
        status: of HTTP.
        code: for programs.
        message: for people.
        param: the field that is wrong; None: none is.
        retry_after_ms: when it may go better; None: nobody knows, or never.
        more: further fields of the error.
    """

    status: int
    code: Code
    message: str
    param: str | None = None
    retry_after_ms: int | None = None
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def body(self) -> bytes:
        """In OpenAI's shape."""
        kind = _TYPES.get(self.status, "server_error" if self.status >= 500 else "invalid_request_error")
        if self.code in (Code.RATE_LIMIT, Code.NEVER_FITS):
            kind = "rate_limit_error"
        said = {"message": self.message, "type": kind, "param": self.param, "code": self.code, **self.more}
        return to_json({"error": said})

    @property
    def headers(self) -> Headers:
        """Its type, and when to come back: whole seconds, and milliseconds as OpenAI's clients read them."""
        found = [(b"content-type", b"application/json")]
        if self.retry_after_ms is not None:
            found.append((b"retry-after", str(-(-self.retry_after_ms // 1000)).encode()))
            found.append((b"retry-after-ms", str(self.retry_after_ms).encode()))
        elif self.status in (429, 503) and self.code is not Code.NEVER_FITS:
            found.append((b"retry-after", b"1"))
        if self.status == 401:
            found.append((b"www-authenticate", b"Bearer"))
        if self.code is Code.NEVER_FITS:
            found.append((b"x-should-retry", b"false"))  # OpenAI's clients try 429 again by themselves
        return found


_UNITS = {"throughput": "tokens", "kv": "KV-cache blocks", "concurrency": "requests in flight"}


def refusal(refused: Refused, tenant: str, pool: str) -> Failure:
    """429 where the tenant's own limit refuses, 503 where the pool has no capacity.

    Args:
        refused: as admission says it.
        tenant: whose request it is.
        pool: that it asked.
    """
    dimension = refused.dimension.name.lower()
    own = refused.whose is Whose.OWN
    limited = f"the limit of {tenant} in pool {pool}" if own else f"what pool {pool} has free for {tenant}"
    message = (
        f"{limited} is {refused.limit} {_UNITS[dimension]}, {refused.use} are in use, and this request needs {refused.need}"
        f"{': it can never be admitted while limits are as they are' if refused.never else ''}"
    )
    code = Code.NEVER_FITS if refused.never else Code.RATE_LIMIT if own else Code.NO_CAPACITY
    told = {"dimension": dimension, "whose": str(refused.whose), "limit": refused.limit, "used": refused.use, "need": refused.need}
    return Failure(429 if own else 503, code, message, retry_after_ms=refused.retry_after_ms, more=told)


_KEYS: dict[KeyRefused, Failure] = {
    KeyRefused.ABSENT: Failure(401, Code.NO_KEY, "an API key is needed: Authorization: Bearer bk-…"),
    KeyRefused.MALFORMED: Failure(401, Code.WRONG_KEY, "this is not one of our API keys: they begin with bk-"),
    KeyRefused.UNKNOWN: Failure(401, Code.WRONG_KEY, "there is no such API key"),
    KeyRefused.REVOKED: Failure(401, Code.WRONG_KEY, "this API key is revoked"),
    KeyRefused.OTHER_POOL: Failure(403, Code.OTHER_POOL, "this API key does not open the pool of this model", "model"),
}


def key_refused(why: KeyRefused) -> Failure:
    """What a client is told whose key opens nothing."""
    return _KEYS[why]


def allowance_headers(left: Allowance | None) -> Headers:
    """OpenAI's `x-ratelimit-*`; nothing where nobody knows yet."""
    if left is None:
        return []
    return [
        *_limit(b"requests", left.requests, left.requests_left, 0 if left.requests_left else _ABOUT_MS),
        *_limit(b"tokens", left.tokens, left.tokens_left, left.tokens_reset_ms),
    ]


def _limit(name: bytes, limit: int, remaining: int, reset_ms: int) -> Headers:
    return [
        (b"x-ratelimit-limit-" + name, b"%d" % limit),
        (b"x-ratelimit-remaining-" + name, b"%d" % remaining),
        (b"x-ratelimit-reset-" + name, b"%d.%03ds" % divmod(reset_ms, 1000)),
    ]


async def answer(send: Send, failure: Failure, standing: Headers | None = None) -> None:
    """An error, whole."""
    body = failure.body
    headers = [*failure.headers, *(standing or ()), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": failure.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
