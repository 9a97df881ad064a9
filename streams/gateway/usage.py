"""What a runtime says that a request used, read out of its answer: whole bodies and streams of events.

A stream is read as it is passed on: events are cut at blank lines, each is parsed (some 4 µs), what the client did not ask for (the
usage at the end) is taken out, everything else goes on byte for byte.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from pydantic_core import from_json

from streams.gateway.asked import MOST_TOKENS, Asked, Kind
from streams.gateway.counting import BYTES_PER_TOKEN, Counting

MOST_EVENT_BYTES = 8 << 20
"""An event that is longer is passed on unread."""
LONGEST_TOKEN_BYTES = 128
"""Of common vocabularies: 128 spaces."""


_BLANK_LINE = re.compile(rb"\n\r?\n")
"""Ends an event, whose lines end with \\n or \\r\\n; nobody ends them with \\r alone, which the standard allows."""


class Usage(NamedTuple):
    """Tokens of a request, as a runtime reports them."""

    input_tokens: int
    output_tokens: int
    cached_input_tokens: int


_INPUT = ("prompt_tokens", "input_tokens")
_OUTPUT = ("completion_tokens", "output_tokens")
_SAYING = ("content", "text", "reasoning_content", "reasoning", "refusal", "arguments")
_SAID = (*_SAYING, "tool_calls", "function_call")
_HOLDING = ("message", "content", "summary", "tool_calls", "function_call", "function")
_DETAILS = ("prompt_tokens_details", "input_tokens_details")


def usage_of(answer: Any) -> Usage | None:
    """What an answer (or an event of one) reports; None: nothing, or nothing that can be meant.

    Args:
        answer: JSON that was read. Of the responses API's events it stands inside `response`.
    """
    if not isinstance(answer, dict):
        return None
    told = answer.get("usage")
    if told is None and isinstance(answer.get("response"), dict):
        told = answer["response"].get("usage")
    if not isinstance(told, dict):
        return None
    given, made = _first(told, _INPUT), _first(told, _OUTPUT)
    if given is None or (made is None and any(told.get(name) is not None for name in _OUTPUT)):
        return None
    details: dict[str, Any] = next((told[name] for name in _DETAILS if isinstance(told.get(name), dict)), {})
    cached = _first(details, ("cached_tokens",)) or 0
    return Usage(given, made or 0, min(cached, given))  # embeddings make nothing and say so by saying nothing


def _first(fields: dict[str, Any], names: tuple[str, ...]) -> int | None:
    for name in names:
        given = fields.get(name)
        if type(given) is int and 0 <= given <= MOST_TOKENS:
            return given
    return None


@dataclass(slots=True)
class Measured:
    """What was seen of an answer so far.

    Attributes:
        usage: as reported last.
        pieces: of output that came in events: each is a token at least.
        said: bytes of output that came.
        estimated: tokens of output that came at once.
    """

    usage: Usage | None = None
    pieces: int = 0
    said: int = 0
    estimated: int = 0

    def see(self, answer: Any) -> None:
        """An answer, or an event of one."""
        self.usage = usage_of(answer) or self.usage
        for size in _pieces(answer):
            self.pieces += 1
            self.said += size

    def see_body(self, body: bytes, count: Counting) -> None:
        """A whole body. What is no JSON is taken for text."""
        try:
            self.see_whole(from_json(body), count)
        except ValueError:
            self.said = len(body)
            self.estimated = -(-len(body) // BYTES_PER_TOKEN)

    def see_whole(self, answer: Any, count: Counting) -> None:
        """An answer that came at once: where it reports no output, its texts are counted."""
        self.usage = usage_of(answer)
        texts = list(_texts(answer))
        self.said = _bytes(texts)
        if texts and not (self.usage and self.usage.output_tokens):
            self.estimated = count(texts)

    def settled(self, asked: Asked) -> tuple[Usage, str]:
        """What the request is settled at, and who says so: `reported` by the runtime as it is, or `counted` here.

        A runtime can't have made less than came through here: a token for each piece, and one for each LONGEST_TOKEN_BYTES. Nor is
        it believed that it made more than it was allowed to, but for what came through: a byte is a token at most. Nor that it
        read more than there was to read (`Asked.most_input`): the gateway's own count stands then.
        """
        if self.usage is None:
            return Usage(asked.input_tokens, self._bounded(self.estimated, asked), 0), "counted"
        given, made, cached = self.usage
        believed = given if given <= asked.most_input else asked.input_tokens
        bounded = self._bounded(made or self.estimated, asked)
        basis = "reported" if (believed, bounded) == (given, made) else "counted"
        return Usage(believed, bounded, min(cached, believed)), basis

    def _bounded(self, made: int, asked: Asked) -> int:
        return max(min(made, max(asked.most_made, self.said)), self.pieces, self.said // LONGEST_TOKEN_BYTES)


def _pieces(answer: Any) -> Iterator[int]:
    """Bytes of each piece of output in an event."""
    if not isinstance(answer, dict):
        return
    choices = answer.get("choices")
    if isinstance(choices, list):
        for choice in choices:
            if isinstance(choice, dict) and (size := _size(choice)):
                yield size
    elif str(answer.get("type", "")).endswith(".delta"):
        delta = answer.get("delta")
        yield _bytes([delta]) if isinstance(delta, str) else 1


def _size(choice: dict[str, Any]) -> int:
    """Bytes that a choice says, one at least if it says anything; 0: nothing."""
    said = choice.get("delta") or choice.get("message") or choice
    if not isinstance(said, dict):
        return 0
    size = 0
    for name in _SAID:
        given = said.get(name)
        if given:
            size += max(_bytes([given] if isinstance(given, str) else _strings([given])), 1)
    return size


def _bytes(texts: Iterable[str]) -> int:
    return sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)


def _texts(answer: Any) -> Iterator[str]:
    """What an answer says: its choices, or the outputs of the responses API, and the arguments of tools that are to be called."""
    return _strings([answer.get("choices"), answer.get("output")] if isinstance(answer, dict) else [])


def _strings(rest: list[Any]) -> Iterator[str]:
    """Texts of output at any depth."""
    while rest:
        item = rest.pop()
        if isinstance(item, list):
            rest += item
        elif isinstance(item, dict):
            yield from (item[name] for name in _SAYING if isinstance(item.get(name), str))
            rest += (item[name] for name in _HOLDING if isinstance(item.get(name), dict | list))


class Events:
    """An answer in events, read while it is passed on.

    Args:
        asked: what the client asked for.
        measured: where what is seen is put.
    """

    def __init__(self, asked: Asked, measured: Measured) -> None:
        self._hides_usage = asked.kind in (Kind.CHAT, Kind.COMPLETIONS) and not asked.wants_usage
        self._measured = measured
        self._rest = b""

    def take(self, data: bytes) -> bytes:
        """Bytes from upstream -> those that go on to the client now: whole events, but for one that is too long to keep."""
        looked_at = max(len(self._rest) - 2, 0)  # a blank line may have come in parts
        data = self._rest + data if self._rest else data
        start, going_on = 0, []
        for blank in _BLANK_LINE.finditer(data, looked_at):
            event = data[start : blank.end()]
            start = blank.end()
            if self._goes_on(event):
                going_on.append(event)
        self._rest = data[start:]
        if len(self._rest) > MOST_EVENT_BYTES:
            going_on.append(self._rest)
            self._rest = b""
        return b"".join(going_on)

    def rest(self) -> bytes:
        """What is left when upstream has ended: an event that was not closed."""
        rest, self._rest = self._rest, b""
        return rest if rest and self._goes_on(rest) else b""

    def _goes_on(self, event: bytes) -> bool:
        """Sees what it says; False: the client did not ask for it."""
        payload = event[5:].strip()
        if b"\n" in payload or not event.startswith(b"data:"):
            payload = _data(event)
        if not payload or payload == b"[DONE]" or len(event) > MOST_EVENT_BYTES:
            return True
        try:
            said = from_json(payload)
        except ValueError:
            return True  # not ours to judge
        self._measured.see(said)
        return not (self._hides_usage and isinstance(said, dict) and said.get("choices") == [] and said.get("usage"))


def _data(event: bytes) -> bytes:
    lines = (line.strip(b"\r") for line in event.split(b"\n"))
    return b"\n".join(line[5:].strip() for line in lines if line.startswith(b"data:"))
