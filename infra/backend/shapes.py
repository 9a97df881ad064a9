"""Answers in OpenAI's shapes, whole and as streams of events, as vLLM sends them: a chunk for each token.

A stream of chat: a chunk with the role, one for each token, one with the finish_reason and no text, per choice; the usage with no
choices if it was asked for; `[DONE]`. Completions have no role. Responses (responses.py) have typed events.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Protocol

from infra.backend.requests import Answer

SENTENCE = "This answer is simulated: no model runs here, only the time and the memory that one would take."
"""What every answer says, over and over: a word is a token."""
TOKENS = [f"{word} " for word in SENTENCE.split()]
AS_JSON = [json.dumps(token).encode() for token in TOKENS]
DONE = b"data: [DONE]\n\n"
FINGERPRINT = "simulated"
_HERE = "@"
"""Where a token's text goes in a rendered chunk."""

Usage = Mapping[str, Any]


def text(tokens: int) -> str:
    """An answer of so many tokens."""
    rounds, rest = divmod(tokens, len(TOKENS))
    return "".join(TOKENS * rounds + TOKENS[:rest])


def event(content: Any) -> bytes:
    """A server-sent event."""
    return b"data: " + encoded(content) + b"\n\n"


def encoded(content: Any) -> bytes:
    """As JSON without spaces, as servers in Python usually answer."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


class WholeShape(Protocol):
    """How a request is answered at once."""

    def usage(self, input_tokens: int, output_tokens: int) -> dict[str, Any]:
        """What was used."""

    def whole(self, usage: Usage | None) -> dict[str, Any]:
        """The answer."""


class Shape(WholeShape, Protocol):
    """How it is answered as a stream, too. Choices are numbered over all prompts."""

    def opening(self) -> bytes:
        """Events before the first token."""

    def token(self, choice: int, number: int) -> bytes:
        """The event of a choice's token, numbered from 0."""

    def ended(self, choice: int) -> bytes:
        """The events when a choice has all of its tokens."""

    def closing(self, usage: Usage | None) -> bytes:
        """What ends the stream; the usage if it is to be told."""


class Completions:
    """`/v1/completions`, and what chat has of it."""

    OBJECT = "text_completion"
    CHUNK_OBJECT = "text_completion"
    PREFIX = "cmpl-"

    def __init__(self, model: str, answers: Sequence[Answer]) -> None:
        """Of one answer for each choice."""
        self._answers = answers
        self._head = {"id": self.PREFIX + secrets.token_hex(16), "created": int(time.time()), "model": model}

    def usage(self, input_tokens: int, output_tokens: int) -> dict[str, Any]:
        """Of completions."""
        return {"prompt_tokens": input_tokens, "completion_tokens": output_tokens, "total_tokens": input_tokens + output_tokens}

    def whole(self, usage: Usage | None) -> dict[str, Any]:
        """With all choices."""
        choices = [
            {"index": choice, **self._message(text(answer.tokens)), "logprobs": None, "finish_reason": answer.reason}
            for choice, answer in enumerate(self._answers)
        ]
        return {**self._head, "object": self.OBJECT, "system_fingerprint": FINGERPRINT, "choices": choices, "usage": usage}

    def opening(self) -> bytes:
        """Nothing."""
        return b""

    def token(self, choice: int, number: int) -> bytes:
        """Rendered once per choice, but for the text."""
        before, after = self._chunks[choice]
        return before + AS_JSON[number % len(AS_JSON)] + after

    def ended(self, choice: int) -> bytes:
        """The finish_reason."""
        return event(self._chunk(choice, self._delta(""), self._answers[choice].reason))

    def closing(self, usage: Usage | None) -> bytes:
        """Usage with no choices."""
        told = b"" if usage is None else event({**self._head, "object": self.CHUNK_OBJECT, "choices": [], "usage": usage})
        return told + DONE

    @cached_property
    def _chunks(self) -> list[list[bytes]]:
        """Of each choice, what stands before a token's text and after it."""
        here = f'"{_HERE}"'.encode()
        return [event(self._chunk(choice, self._delta(_HERE))).split(here) for choice in range(len(self._answers))]

    def _chunk(self, choice: int, said: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
        choices = [{"index": choice, **said, "logprobs": None, "finish_reason": reason}]
        return {**self._head, "object": self.CHUNK_OBJECT, "choices": choices}

    def _message(self, content: str) -> dict[str, Any]:
        return {"text": content}

    def _delta(self, content: str) -> dict[str, Any]:
        return {"text": content}


class Chat(Completions):
    """`/v1/chat/completions`."""

    OBJECT = "chat.completion"
    CHUNK_OBJECT = "chat.completion.chunk"
    PREFIX = "chatcmpl-"

    def opening(self) -> bytes:
        """The role, of each choice."""
        said = {"delta": {"role": "assistant", "content": ""}}
        return b"".join(event(self._chunk(choice, said)) for choice in range(len(self._answers)))

    def _message(self, content: str) -> dict[str, Any]:
        return {"message": {"role": "assistant", "content": content, "refusal": None, "tool_calls": []}}

    def _delta(self, content: str) -> dict[str, Any]:
        return {"delta": {"content": content}}
