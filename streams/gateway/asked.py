"""What a client asks for, read from its request's body: model, most tokens, whether it streams. The body is passed on as it came.

A request costs its input and the most that it may put out (`max_completion_tokens`, `max_tokens`, `max_output_tokens`, or the
pool's default), times `n` (or `best_of` if that is more): every copy makes output of its own. Where several fields are given the
largest counts: runtimes differ in which of them they go by. What is counted of the input is its texts; settlement corrects what was
counted wrongly.

Settlement believes upstream within bounds that are read here, too: a token of input is a byte of the body at least (twice over, as
templates write around them), but for what is attached or stands elsewhere.

A name that an object has twice is refused, at any depth: readers differ in which value they go by, so what is admitted here might
not be what upstream does.

Reading is one pass of a JSON parser in Rust: 20 MB of text in some 50 ms, a usual body in 10 µs. What is all brackets takes a
hundred times as long, or all names, so a body has MOST_VALUES values at most: 0.12 s, while which nobody else is served.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from jiter import from_json
from pydantic_core import to_json

from streams.gateway.counting import Counting

MOST_TOKENS = 2**31
"""More than any context window, and so much of all copies together; a request for more is a slip. A million refused in a second
add up to less than events can tell (2^53)."""
MOST_COPIES = 1_024
ATTACHED_TOKENS = 1_024
"""What an image, a file or a sound counts as, in place of its bytes: as much as a large image is for common models."""
MESSAGE_TOKENS = 4
"""What a chat template puts around a message."""
TEMPLATE_TOKENS = 4_096
"""More than chat templates say of their own."""
MOST_UNSEEN = 1 << 20
"""More input than any of it can be whose bytes don't stand in the body: what is attached by its address, or kept upstream."""
MOST_UNSAID = 1 << 17
"""More output than models make of their own where a request bounds it by nothing."""
LONG_BYTES = 64 << 10
MOST_VALUES = 1 << 19
"""Of a body that is longer than LONG_BYTES. Commas and brackets are counted for it, those within texts as well."""
NAME_COSTS = 3
"""Values: a name that no other object has takes 0.8 µs more."""
NAME_CHARS = 256

_TWICE = re.compile(r'Detected duplicate key "(?P<name>.*)"(?P<where> at line \d+ column \d+)\Z', re.DOTALL)
"""How the parser says that an object has a name twice."""


class Kind(StrEnum):
    """An endpoint that is passed on, by its path."""

    CHAT = "/v1/chat/completions"
    COMPLETIONS = "/v1/completions"
    EMBEDDINGS = "/v1/embeddings"
    RESPONSES = "/v1/responses"


OUTPUT_FIELDS: Mapping[Kind, tuple[str, ...]] = {
    Kind.CHAT: ("max_completion_tokens", "max_tokens", "n_predict"),
    Kind.COMPLETIONS: ("max_tokens", "n_predict"),
    Kind.EMBEDDINGS: (),
    Kind.RESPONSES: ("max_output_tokens",),
}
"""Where the most output stands: OpenAI's names, and llama.cpp's."""

TEXT_FIELDS: Mapping[Kind, tuple[str, ...]] = {
    Kind.CHAT: ("messages", "tools", "functions", "response_format", "documents", "chat_template_kwargs"),
    Kind.COMPLETIONS: ("prompt", "suffix"),
    Kind.EMBEDDINGS: ("input",),
    Kind.RESPONSES: ("input", "instructions", "tools", "text"),
}
"""What of the body a model reads; the first one must be there."""

_ATTACHMENTS = frozenset(
    {"image_url", "input_image", "image", "input_audio", "audio_url", "audio", "video_url", "file", "input_file", "video"}
)
_ATTACHED_AS = ("image_url", "input_audio", "audio_url", "video_url")
"""Fields of a part that says no type, as vLLM takes it."""
_ELSEWHERE = ("previous_response_id", "conversation", "prompt")
"""Of the responses API: input that upstream keeps."""


class Lowered(StrEnum):
    """A `service_tier` that asks for less than the tenant's own. Whatever asks for more, or is unknown, changes nothing."""

    SPOT = "spot"
    PREEMPTIBLE = "preemptible"


_LOWERED = {
    "flex": Lowered.SPOT,
    "spot": Lowered.SPOT,
    "batch": Lowered.PREEMPTIBLE,
    "preemptible": Lowered.PREEMPTIBLE,
}
"""OpenAI's words and ours."""


class BadBody(Exception):  # noqa: N818  says what the body is
    """The body can't be passed on.

    Attributes:
        message: for people; names the field and its value.
        param: the field; None: the body itself.
    """

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as admission sees it.

    Attributes:
        kind: its endpoint.
        model: as the client named it.
        input_tokens: counted or estimated.
        most_input: that upstream can have read; what it reports beyond that is not believed.
        most_output: reserved for all copies together; 0: the endpoint makes none.
        most_made: as much of that as upstream is believed to have made; more than what is reserved where the client named no bound.
        streams: the answer comes in events.
        wants_usage: the client asked for usage in its stream.
        lowered: it is content with less than its tenant's tier.
        body: what goes upstream: as it came, but that a stream tells its usage.
    """

    kind: Kind
    model: str
    input_tokens: int
    most_input: int
    most_output: int
    most_made: int
    streams: bool
    wants_usage: bool
    lowered: Lowered | None
    body: bytes = field(repr=False)


def read(kind: Kind, body: bytes, *, count: Counting, default_output: int) -> Asked:
    """A request's body.

    Args:
        kind: the endpoint.
        body: as it came.
        count: how texts are counted.
        default_output: most output where the client says none.

    Raises:
        BadBody: it is no JSON object, or a field that matters here is missing or wrong. All others are upstream's to judge.
    """
    if len(body) > LONG_BYTES and (values := _values(body)) > MOST_VALUES:
        counted = f"commas and brackets are counted, and colons {NAME_COSTS} times"
        raise BadBody(f"the body holds {values} values, at most {MOST_VALUES} are taken ({counted})")
    try:
        fields = from_json(body, catch_duplicate_keys=True)
    except ValueError as error:
        raise _unreadable(body, str(error)) from None
    if not isinstance(fields, dict):
        raise BadBody(f"the body is {_named(fields)}, not an object")
    model = _text(fields, "model")
    streams = _flag(fields, "stream")
    options = fields.get("stream_options")
    if options is not None and not isinstance(options, dict):
        raise BadBody(f"stream_options: {_shown(options)} is not an object", "stream_options")
    wants_usage = options is not None and options.get("include_usage") is True
    if kind is Kind.RESPONSES and _flag(fields, "background"):
        raise BadBody("background: an answer that is fetched later can't be measured; it is not served", "background")
    given = _input(kind, fields)
    most_output, most_made = _outputs(kind, fields, default_output, given.prompts)
    elsewhere = given.attached or (kind is Kind.RESPONSES and any(fields.get(name) is not None for name in _ELSEWHERE))
    return Asked(
        kind=kind,
        model=model,
        input_tokens=max(given.tokens + count(given.texts), 1),
        most_input=2 * len(body) + TEMPLATE_TOKENS + (MOST_UNSEEN if elsewhere else 0),
        most_output=most_output,
        most_made=most_made,
        streams=streams,
        wants_usage=wants_usage,
        lowered=_LOWERED.get(fields["service_tier"]) if isinstance(fields.get("service_tier"), str) else None,
        body=_telling_usage(kind, body, fields) if streams and not wants_usage else body,
    )


def _values(body: bytes) -> int:
    """As many as there can be, and names for what they cost."""
    return len(body) - len(body.translate(None, b",[{")) + NAME_COSTS * body.count(b":")


def _unreadable(body: bytes, why: str) -> BadBody:
    if not body:
        return BadBody("the body is empty, a JSON object is needed")
    twice = _TWICE.match(why)
    if twice is None:
        return BadBody(f"the body is not JSON: {why}")
    name = twice["name"] if len(twice["name"]) <= NAME_CHARS else f"a name of {len(twice['name'])} characters"
    return BadBody(f"{name}: given twice in one object{twice['where']}; which of them counts is not told", name)


def _telling_usage(kind: Kind, body: bytes, fields: dict[str, Any]) -> bytes:
    """The body, with the wish that the stream ends with its usage; the responses API tells it anyhow."""
    if kind not in (Kind.CHAT, Kind.COMPLETIONS):
        return body
    if fields.get("stream_options") is None and "stream_options" not in fields:
        start = body.index(b"{") + 1  # nothing else of the client's bytes changes
        return b'%b"stream_options":{"include_usage":true},%b' % (body[:start], body[start:])
    options = {**(fields["stream_options"] or {}), "include_usage": True}
    return to_json({**fields, "stream_options": options})


@dataclass(slots=True)
class _Given:
    """What a model is given to read.

    Attributes:
        prompts: that are answered each for itself.
        texts: of all of them.
        tokens: besides.
        attached: images, files and sounds among it.
    """

    prompts: int = 1
    texts: list[str] = field(default_factory=list)
    tokens: int = 0
    attached: int = 0


def _input(kind: Kind, fields: dict[str, Any]) -> _Given:
    needed, *others = TEXT_FIELDS[kind]
    given = fields.get(needed)
    if not isinstance(given, str | list) or (kind is Kind.CHAT and not isinstance(given, list)):
        wanted = "a list of messages" if kind is Kind.CHAT else "a text or a list"
        raise BadBody(f"{needed}: {'missing' if needed not in fields else _shown(given)}, {wanted} is needed", needed)
    found = _Given(_prompts(given) if kind is Kind.COMPLETIONS else 1)
    _gather([fields[name] for name in (needed, *others) if fields.get(name) is not None], found)
    return found


def _prompts(given: str | list[Any]) -> int:
    """A list of texts, or of lists of tokens, is a batch; a text, or a list of tokens, is one prompt."""
    return len(given) if isinstance(given, list) and given and not isinstance(given[0], int) else 1


_HOLDING = (str, list, dict)


def _gather(rest: list[Any], found: _Given) -> None:
    """Texts at any depth; a number in a list is a token; what is attached counts as ATTACHED_TOKENS."""
    while rest:  # no recursion: how deep it goes is the client's choice
        item = rest.pop()
        if isinstance(item, str):
            found.texts.append(item)
        elif isinstance(item, list):
            for each in item:
                if isinstance(each, _HOLDING):
                    rest.append(each)
                elif isinstance(each, int):
                    found.tokens += 1
        elif isinstance(item, dict):
            if "role" in item:
                found.tokens += MESSAGE_TOKENS
            if _is_attached(item):
                found.tokens += ATTACHED_TOKENS
                found.attached += 1
            else:
                rest += _read_by_model(item)


def _is_attached(item: dict[str, Any]) -> bool:
    kind = item.get("type")
    if kind is not None:
        return isinstance(kind, str) and kind in _ATTACHMENTS
    held = next((item[name] for name in _ATTACHED_AS if name in item), None)
    return isinstance(held, str) or (isinstance(held, dict) and not held.keys().isdisjoint(("url", "data")))


def _read_by_model(item: dict[str, Any]) -> Iterator[Any]:
    """Values of an object; names of what is no message are read as well, as those of a tool's parameters are."""
    if "role" not in item and "type" not in item:
        yield from item
    yield from item.values()


def _outputs(kind: Kind, fields: dict[str, Any], default: int, prompts: int) -> tuple[int, int]:
    """(the most output of all copies together, the most that upstream is believed to have made)."""
    names = OUTPUT_FIELDS[kind]
    if not names:
        return 0, 0
    named = [_count(name, fields[name], MOST_TOKENS) for name in names if fields.get(name) is not None]
    most = max(named, default=default)
    copies = max((_count(name, fields[name], MOST_COPIES) for name in ("n", "best_of") if fields.get(name) is not None), default=1)
    if most * copies * prompts > MOST_TOKENS:
        name = next((name for name in names if fields.get(name) is not None), names[0])
        raise BadBody(f"{name}: {most} tokens of {copies * prompts} answers are more than {MOST_TOKENS}", name)
    made = most if named else max(most, MOST_UNSAID)
    return most * copies * prompts, min(made * copies * prompts, MOST_TOKENS)


def _count(name: str, given: Any, most: int) -> int:
    if type(given) is not int:
        raise BadBody(f"{name}: {_shown(given)} is not a whole number", name)
    if not 1 <= given <= most:
        raise BadBody(f"{name}: {given} is not from 1 to {most}", name)
    return given


def _text(fields: dict[str, Any], name: str) -> str:
    given = fields.get(name)
    if not isinstance(given, str) or not given.strip():
        raise BadBody(f"{name}: {'missing' if name not in fields else _shown(given)}, a text is needed", name)
    if len(given) > NAME_CHARS:
        raise BadBody(f"{name}: {len(given)} characters, at most {NAME_CHARS} are taken", name)
    return given


def _flag(fields: dict[str, Any], name: str) -> bool:
    given = fields.get(name)
    if given is None:
        return False
    if not isinstance(given, bool):
        raise BadBody(f"{name}: {_shown(given)} is not true or false", name)
    return given


def _shown(given: Any) -> str:
    """What stands there, without telling a long text: it may be a prompt."""
    if isinstance(given, str):
        return "an empty text" if not given.strip() else f"a text of {len(given)} characters"
    return str(given)[:40] if isinstance(given, int | float | bool) or given is None else _named(given)


def _named(given: Any) -> str:
    return {list: "a list", dict: "an object", str: "a text", type(None): "null", bool: "true or false"}.get(
        type(given), "a number"
    )
