"""How many tokens a request's input has, by a stated rule that needs no tokenizer, and a checksum that its answer follows from."""

from __future__ import annotations

import json
import zlib
from typing import Any, NamedTuple

from infra.backend.refused import RefusedRequest, refused_field

BYTES_PER_TOKEN = 4
"""Of English in UTF-8, the rule of thumb."""
MESSAGE_TOKENS = 4
"""What a chat template adds to a message: its role and the marks around it."""
ROLES = {"system", "developer", "user", "assistant", "tool", "function"}
TEXT_PARTS = {"text", "input_text", "output_text"}
REFUSED_PARTS = "only parts of text can be counted"
MOST_PROMPTS = 2048
"""In one request, as OpenAI limits inputs of embeddings."""


class Prompt(NamedTuple):
    """An input: its tokens, and a checksum of it."""

    tokens: int
    checksum: int


def of_text(text: str) -> Prompt:
    """A token for every four bytes, rounded up; at least one."""
    content = text.encode()
    return Prompt(max(1, -(-len(content) // BYTES_PER_TOKEN)), zlib.crc32(content))


def of_messages(param: str, messages: list[Any], tools: list[Any] | None) -> Prompt:
    """A conversation: each message's text and `MESSAGE_TOKENS`, and the tools' definitions as JSON."""
    if not messages:
        raise refused_field(param, messages, "at least one message is needed")
    texts = [_text_of(f"{param}.{index}", message) for index, message in enumerate(messages)]
    if tools:
        texts.append(json.dumps(tools, ensure_ascii=False, separators=(",", ":")))
    tokens = MESSAGE_TOKENS * len(messages) + sum(of_text(text).tokens for text in texts if text)
    return Prompt(tokens, of_text("\n".join(texts)).checksum)


def of_input(param: str, given: Any) -> list[Prompt]:
    """`prompt` of completions or `input` of embeddings: a text, several, token ids, or several lists of those."""
    if isinstance(given, str):
        return [of_text(given)]
    if not isinstance(given, list) or not given:
        raise refused_field(param, given, "should be a text, token ids, or a list of either")
    if all(type(one) is int for one in given):
        return [_of_ids(param, given)]
    if len(given) > MOST_PROMPTS:
        raise RefusedRequest(f"{param}: {len(given)} of them: at most {MOST_PROMPTS}", param=param)
    return [_of_one(f"{param}.{index}", one) for index, one in enumerate(given)]


def of_response(given: Any, instructions: str | None, tools: list[Any] | None) -> Prompt:
    """`input` of a response: a text, or items of a conversation; instructions are a message more."""
    items = [{"role": "user", "content": given}] if isinstance(given, str) else given
    if not isinstance(items, list):
        raise refused_field("input", given, "should be a text or a list of items")
    first = [] if instructions is None else [{"role": "system", "content": instructions}]
    return of_messages("input", first + [_as_message(item) for item in items], tools)


def _of_one(param: str, one: Any) -> Prompt:
    if isinstance(one, str):
        return of_text(one)
    if isinstance(one, list) and one and all(type(token) is int for token in one):
        return _of_ids(param, one)
    raise refused_field(param, one, "should be a text or token ids")


def _of_ids(param: str, ids: list[int]) -> Prompt:
    if min(ids) < 0:
        raise refused_field(param, min(ids), "token ids are not negative")
    return Prompt(len(ids), zlib.crc32(repr(ids).encode()))


def _as_message(item: Any) -> Any:
    """Items that are no messages (calls of tools and what they gave) count as their JSON does."""
    if isinstance(item, dict) and "role" not in item and isinstance(item.get("type"), str) and item["type"] != "message":
        return {"role": "tool", "content": json.dumps(item, ensure_ascii=False)}
    return item


def _text_of(param: str, message: Any) -> str:
    if not isinstance(message, dict):
        raise refused_field(param, message, "should be an object with role and content")
    role, content = message.get("role"), message.get("content")
    if not isinstance(role, str) or role not in ROLES:
        raise refused_field(f"{param}.role", role, f"should be one of {', '.join(sorted(ROLES))}")
    if content is None:  # of an assistant that called tools
        return json.dumps(message.get("tool_calls") or "", ensure_ascii=False).strip('"')
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise refused_field(f"{param}.content", content, "should be a text or a list of parts")
    return "".join(_part(f"{param}.content.{index}", part) for index, part in enumerate(content))


def _part(param: str, part: Any) -> str:
    if not isinstance(part, dict) or part.get("type") not in TEXT_PARTS:
        kind = part.get("type") if isinstance(part, dict) else part
        raise refused_field(f"{param}.type", kind if isinstance(kind, str | None) else "…", REFUSED_PARTS)
    if not isinstance(part.get("text"), str):
        raise refused_field(f"{param}.text", part.get("text"), "should be a text")
    text: str = part["text"]
    return text
