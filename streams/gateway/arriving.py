"""A request before anything is reserved for it: whose it is, its body, and what it asks for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from starlette.types import Receive, Scope

from schemas.access import ApiKey
from streams.api_keys import ApiKeys, KeyRefused
from streams.gateway.answers import Code, Failure, key_refused
from streams.gateway.asked import Asked, BadBody, Kind, read
from streams.gateway.counting import Counting, off_loop


@dataclass(frozen=True, slots=True)
class Rules:
    """How a gateway treats requests.

    Attributes:
        models: model -> pool; every other model is of `pool`, or unknown if that is None.
        pool: of models that are not named.
        default_output: most output where the client says none.
        weights: millionths by which a model's tokens weigh in a tenant's queue; absent: a million.
        most_body_bytes: longest body.
        most_headers: of a request.
        body_s: for a client to send its body, seconds.
        client_s: for a client to take what was sent to it.
    """

    pool: str | None = None
    models: Mapping[str, str] = field(default_factory=dict)
    default_output: int = 1_024
    weights: Mapping[str, int] = field(default_factory=dict)
    most_body_bytes: int = 16 << 20
    most_headers: int = 100
    body_s: float = 60.0
    client_s: float = 60.0

    def pool_of(self, model: str) -> str | None:
        """Of whose capacity it is; None: it is not served here."""
        return self.models.get(model, self.pool)

    @property
    def pools(self) -> frozenset[str]:
        """All that are served."""
        return frozenset({*self.models.values(), *(() if self.pool is None else (self.pool,))})


class Refuse(Exception):  # noqa: N818  ends a request with an answer
    """The request is answered with an error, and that is all.

    Attributes:
        failure: what its client is told.
    """

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class Gone(Exception):  # noqa: N818  there is nobody to answer
    """The client went away before its request was whole."""


def key_of(rules: Rules, keys: ApiKeys, scope: Scope) -> ApiKey:
    """Whose request it is.

    Raises:
        Refuse: it shows no key that opens anything.
    """
    if len(scope["headers"]) > rules.most_headers:
        told = f"{len(scope['headers'])} headers, at most {rules.most_headers} are taken"
        raise Refuse(Failure(431, Code.TOO_MANY_HEADERS, told))
    found = shown_key(keys, scope)
    if not isinstance(found, ApiKey):
        raise Refuse(key_refused(found))
    return found


def shown_key(keys: ApiKeys, scope: Scope) -> ApiKey | KeyRefused:
    """The key that a request shows, or why it opens nothing."""
    shown = header_of(scope, b"authorization")
    secret = None if shown is None else shown.decode("latin-1")
    return keys.find(secret.split(" ", 1)[1].strip() if secret and secret[:7].lower() == "bearer " else secret)


def header_of(scope: Scope, name: bytes) -> bytes | None:
    """The first header of a name; None: there is none."""
    for key, value in scope["headers"]:  # a generator takes twice as long, and this is asked four times of a request
        if key == name:
            return bytes(value)
    return None


async def body_of(rules: Rules, scope: Scope, receive: Receive, grown_to: Callable[[int], None] = lambda _size: None) -> bytes:
    """The whole body.

    Args:
        rules: how long it may be, and take.
        scope: of the request.
        receive: where it comes from.
        grown_to: told how many bytes have come; may refuse more.

    Raises:
        Refuse: it is too long, or does not come in time, or there is no room for it.
        Gone: its client went away.
    """
    too_long = Failure(413, Code.TOO_LARGE, f"the body is longer than {rules.most_body_bytes} bytes")
    length = header_of(scope, b"content-length")
    if length is not None and length.isdigit() and int(length) > rules.most_body_bytes:
        raise Refuse(too_long)
    coding = header_of(scope, b"content-encoding")
    if coding is not None and coding.lower() != b"identity":
        raise Refuse(Failure(415, Code.INVALID_VALUE, "content-encoding: bodies are taken as they are only", "content-encoding"))
    parts, size = [], 0
    try:
        async with asyncio.timeout(rules.body_s):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Gone
                part = message.get("body", b"")
                size += len(part)
                if size > rules.most_body_bytes:
                    raise Refuse(too_long)
                grown_to(size)
                parts.append(part)
                if not message.get("more_body"):
                    return b"".join(parts)
    except TimeoutError:
        raise Refuse(Failure(408, Code.INVALID_VALUE, f"the body did not come within {rules.body_s:g} s")) from None


async def asked_of(rules: Rules, kind: Kind, body: bytes, count: Counting) -> tuple[str, Asked]:
    """The pool, and what is asked of it. A long body is read in a thread, while others are served.

    Raises:
        Refuse: the body can't be passed on, or its model is not served.
    """
    try:
        asked = await off_loop(
            count, len(body), lambda counting: read(kind, body, count=counting, default_output=rules.default_output)
        )
    except BadBody as bad:
        code = Code.INVALID_JSON if bad.param is None else Code.INVALID_VALUE
        raise Refuse(Failure(400, code, bad.message, bad.param)) from None
    pool = rules.pool_of(asked.model)
    if pool is None:
        raise Refuse(Failure(404, Code.UNKNOWN_MODEL, f"model: {asked.model!r} is not served here", "model"))
    return pool, asked
