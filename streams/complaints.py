"""What is wrong with a message, in words for the one who sent it: the field, its value, and what the value does wrong."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from schemas.dead_letters import Problem

SHOWN_VALUE = 100
SHOWN_PROBLEMS = 3
SHOWN_TEXT = 1000
"""Longest detail: three fields, each with a value and a sentence, fit."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a message was not taken. `detail` names field and value."""

    problem: Problem
    detail: str

    @property
    def field(self) -> str:
        """The field, or part of the message, that `detail` names first."""
        return self.detail.partition(":")[0]


class Refused(Exception):  # noqa: N818  it carries a refusal out of a reader; the door turns it into a value
    """A message is not taken."""

    def __init__(self, problem: Problem, detail: str) -> None:
        super().__init__(detail)
        self.refusal = Refusal(problem, shortened(detail, SHOWN_TEXT))


def shortened(text: str, most: int) -> str:
    """The text, cut to at most `most` characters."""
    return text if len(text) <= most else text[: most - 1] + "…"


def shown(value: object) -> str:
    """A value for a person to recognise: its repr, cut. Never fails and never long, whatever was sent."""
    if isinstance(value, (str, bytes, list)):
        value = value[: SHOWN_VALUE + 1]  # a repr of megabytes would be made only to be cut
    if isinstance(value, dict):
        return f"an object of {len(value)} fields"
    if isinstance(value, list):
        return "a list"
    try:
        text = repr(value)
    except ValueError:  # an integer of more digits than Python converts
        text = "a number too long to show"
    return shortened(text, SHOWN_VALUE)


_MESSAGES: dict[str, Callable[[dict[str, Any]], str]] = {
    "int_type": lambda _: "is not an integer",
    "int_from_float": lambda _: "is not an integer",
    "string_type": lambda _: "is not text",
    "bool_type": lambda _: "is neither true nor false",
    "greater_than_equal": lambda context: f"is less than {context['ge']}",
    "less_than_equal": lambda context: f"is more than {context['le']}",
    "string_too_long": lambda context: f"is longer than {context['max_length']} characters",
    "enum": lambda context: f"is not {context['expected']}",
    "literal_error": lambda context: f"is not {context['expected']}",
    "model_type": lambda _: "is not an object",
    "dict_type": lambda _: "is not an object",
}


def _sentence(error: Any) -> str:
    where = ".".join(map(str, error["loc"]))
    kind, context = error["type"], error.get("ctx", {})
    if kind == "missing":
        return f"{where}: missing"
    words = _MESSAGES.get(kind)
    message = str(context["error"]) if kind == "value_error" else words(context) if words else str(error["msg"])
    if not where:
        # A rule between fields names them itself; otherwise the whole value is wrong.
        return message if kind == "value_error" else f"value: {shown(error['input'])} {message}"
    if kind == "value_error" and isinstance(error["input"], dict):
        return f"{where}.{message}"  # likewise, of an object within
    return f"{where}: {shown(error['input'])} {message}"


def not_json(value: bytes | str, error: str) -> Refused:
    """The refusal of text that the JSON parser gave up on.

    Two things are JSON by its grammar and yet can't be taken: a lone surrogate (it is no character and has no UTF-8) and an integer
    of thousands of digits. They are invalid; all else is malformed.
    """
    if "number out of range" in error or ("hex escape" in error and _is_json(value)):
        what = "a lone surrogate is no character: " if "hex escape" in error else ""
        return Refused(Problem.INVALID, f"JSON: {what}{error}")
    return Refused(Problem.MALFORMED, f"JSON: {error}")


def _is_json(value: bytes | str) -> bool:
    """Whether Python's own parser, which takes lone surrogates, takes the text. Only asked for what was refused."""
    try:
        json.loads(value)
    except (ValueError, RecursionError):
        return False
    return True


def refused_fields(error: ValidationError, value: bytes | None) -> Refused:
    """The refusal of what the model did not accept; `value` is the JSON text, if it was read from that."""
    errors = error.errors(include_url=False)
    if errors[0]["type"] == "json_invalid":
        return not_json(value or b"", errors[0]["ctx"]["error"])
    sentences = [_sentence(each) for each in errors[:SHOWN_PROBLEMS]]
    if len(errors) > SHOWN_PROBLEMS:
        sentences.append(f"and {len(errors) - SHOWN_PROBLEMS} more")
    return Refused(Problem.INVALID, "; ".join(sentences))
