"""The shape of `/v1/responses`: one message of one text, whole or as typed events, each with its number."""

from __future__ import annotations

import secrets
import time
from typing import Any

from infra.backend.requests import Answer
from infra.backend.shapes import TOKENS, Usage, encoded, text


class Responses:
    """One response."""

    def __init__(self, model: str, answer: Answer) -> None:
        """Of one answer."""
        self._answer = answer
        self._model = model
        self._id = "resp_" + secrets.token_hex(16)
        self._item = "msg_" + secrets.token_hex(16)
        self._created = int(time.time())
        self._number = 0
        self._place = {"item_id": self._item, "output_index": 0, "content_index": 0}

    def usage(self, input_tokens: int, output_tokens: int) -> dict[str, Any]:
        """Of responses."""
        return {
            "input_tokens": input_tokens,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": output_tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": input_tokens + output_tokens,
        }

    def whole(self, usage: Usage | None) -> dict[str, Any]:
        """The response when it has ended."""
        return self._response(self._status, [self._message(self._status)], usage)

    def opening(self) -> bytes:
        """Before the first token: the response, its message, the message's text."""
        return (
            self._event("response.created", response=self._response("in_progress", [], None))
            + self._event("response.in_progress", response=self._response("in_progress", [], None))
            + self._event("response.output_item.added", output_index=0, item=self._message("in_progress"))
            + self._event("response.content_part.added", **self._place, part=self._part(""))
        )

    def token(self, choice: int, number: int) -> bytes:  # noqa: ARG002  there is one choice
        """A delta."""
        return self._event("response.output_text.delta", **self._place, delta=TOKENS[number % len(TOKENS)], logprobs=[])

    def ended(self, choice: int) -> bytes:  # noqa: ARG002  there is one choice
        """What was opened is done."""
        whole = text(self._answer.tokens)
        return (
            self._event("response.output_text.done", **self._place, text=whole, logprobs=[])
            + self._event("response.content_part.done", **self._place, part=self._part(whole))
            + self._event("response.output_item.done", output_index=0, item=self._message(self._status))
        )

    def closing(self, usage: Usage | None) -> bytes:
        """The response as a whole."""
        return self._event(f"response.{self._status}", response=self.whole(usage))

    @property
    def _status(self) -> str:
        return "completed" if self._answer.reason == "stop" else "incomplete"

    def _event(self, kind: str, **content: Any) -> bytes:
        number, self._number = self._number, self._number + 1
        return f"event: {kind}\ndata: ".encode() + encoded({"type": kind, "sequence_number": number, **content}) + b"\n\n"

    def _part(self, content: str) -> dict[str, Any]:
        return {"type": "output_text", "text": content, "annotations": [], "logprobs": []}

    def _message(self, status: str) -> dict[str, Any]:
        content = [] if status == "in_progress" else [self._part(text(self._answer.tokens))]
        return {"id": self._item, "type": "message", "role": "assistant", "status": status, "content": content}

    def _response(self, status: str, output: list[dict[str, Any]], usage: Usage | None) -> dict[str, Any]:
        return {
            "id": self._id,
            "object": "response",
            "created_at": self._created,
            "status": status,
            "error": None,
            "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
            "instructions": None,
            "max_output_tokens": None,
            "model": self._model,
            "output": output,
            "parallel_tool_calls": True,
            "previous_response_id": None,
            "temperature": 1.0,
            "tool_choice": "auto",
            "tools": [],
            "top_p": 1.0,
            "truncation": "disabled",
            "usage": usage,
            "metadata": {},
        }
