"""What is wrong with a request, in OpenAI's shape."""

from __future__ import annotations

import json
from typing import Any

from pydantic import ValidationError

LONGEST_SHOWN = 64
"""Of a value that is repeated to who sent it."""


class RefusedRequest(Exception):  # noqa: N818  it is an answer to a request, not a failure of ours
    """An answer that is an error.

    Attributes:
        status: of HTTP.
        body: `{"error": {"message", "type", "param", "code"}}`.
        headers: besides those of every answer.
    """

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        status: int = 400,
        kind: str = "invalid_request_error",
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": {"message": message, "type": kind, "param": param, "code": code}}
        self.headers = headers or {}


def refused_field(param: str, value: object, wanted: str) -> RefusedRequest:
    """A field that can't be taken: it is named, and its value where that is short and no text of the user's."""
    return RefusedRequest(f"{param}: {shown(value)}: {wanted}", param=param)


def refused_body(error: ValidationError) -> RefusedRequest:
    """The first thing that is wrong with a body."""
    first = error.errors(include_url=False)[0]
    if first["type"] == "json_invalid":
        return RefusedRequest(f"the body is not JSON: {first['ctx']['error']}")
    param = ".".join(map(str, first["loc"]))
    if not param:
        return RefusedRequest("the body is not a JSON object")
    message = first["msg"][0].lower() + first["msg"][1:]
    return refused_field(param, None if first["type"] == "missing" else first["input"], message)


def shown(value: Any) -> str:
    """A value as an error message repeats it: as JSON says it, and not all of a long one."""
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"
