"""What clients publish to `usage`: every encoding of a good event, and every kind of bad input with what it must get."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from schemas.published import UsageEvent
from streams.codecs import encode

DAY_MS = 86_400_000


@dataclass(frozen=True)
class Message:
    """What is given to a producer."""

    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()


@dataclass(frozen=True)
class Bad:
    """A message that must become a dead letter, and what its reason and detail must say."""

    message: Message
    reason: str
    detail: str


def _fields(event: UsageEvent) -> dict[str, object]:
    fields: dict[str, object] = {
        "id": event.id,
        "source": event.source,
        "time": event.time,
        "tenant": event.tenant,
        "pool": event.pool,
        "input_tokens": event.input_tokens,
        "output_tokens": event.output_tokens,
    }
    if event.cached_input_tokens:
        fields["cached_input_tokens"] = event.cached_input_tokens
    return fields


def bare_json(event: UsageEvent) -> Message:
    return Message(event.tenant.encode(), json.dumps(_fields(event)).encode())


def null_key(event: UsageEvent) -> Message:
    return Message(None, json.dumps(_fields(event)).encode())


def gen_ai_names(event: UsageEvent) -> Message:
    fields = _fields(event)
    fields["gen_ai.usage.input_tokens"] = fields.pop("input_tokens")
    fields["gen_ai.usage.output_tokens"] = fields.pop("output_tokens")
    return Message(event.tenant.encode(), json.dumps({**fields, "unknown to us": True}).encode())


def avro(event: UsageEvent) -> Message:
    return Message(event.tenant.encode(), encode(event))


def structured(event: UsageEvent) -> Message:
    data = {"pool": event.pool, "input_tokens": event.input_tokens, "output_tokens": event.output_tokens,
            "cached_input_tokens": event.cached_input_tokens}  # fmt: skip
    envelope = {
        "specversion": "1.0",
        "type": "usage",
        "id": event.id,
        "source": event.source,
        "subject": event.tenant,
        "time": _rfc3339(event.time),
        "data": data,
    }
    return Message(event.tenant.encode(), json.dumps(envelope).encode(), [("content-type", b"application/cloudevents+json")])


def binary(event: UsageEvent) -> Message:
    data = {"pool": event.pool, "input_tokens": event.input_tokens, "output_tokens": event.output_tokens,
            "cached_input_tokens": event.cached_input_tokens}  # fmt: skip
    headers = {
        "ce_specversion": "1.0",
        "ce_type": "usage",
        "ce_id": event.id,
        "ce_source": event.source,
        "ce_subject": event.tenant,
        "ce_time": _rfc3339(event.time),
        "content-type": "application/json",
    }
    return Message(event.tenant.encode(), json.dumps(data).encode(), [(name, text.encode()) for name, text in headers.items()])


def _rfc3339(ms: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")


GOOD: dict[str, Callable[[UsageEvent], Message]] = {
    make.__name__: make for make in (bare_json, null_key, gen_ai_names, avro, structured, binary)
}


FOREIGN_AVRO = b"\xc3\x01" + bytes(range(8)) + b"\x02"
"""Single-object encoding with a fingerprint that nobody has registered."""


def bad_inputs(event: UsageEvent, tag: str) -> dict[str, Bad]:
    """Every bad input of the issue, made of a good event.

    Args:
        event: what is spoiled; its tenant must then show nothing of it.
        tag: makes the payloads of several rounds differ.
    """
    key = event.tenant.encode()
    whole = {**_fields(event), "id": f"bad-{tag}"}

    def text(**changes: object) -> bytes:
        return json.dumps({**whole, **changes}).encode()

    def raw(name: str, literal: str) -> bytes:
        return text(**{name: "LITERAL"}).replace(b'"LITERAL"', literal.encode())

    without = {name: value for name, value in whole.items() if name != "output_tokens"}
    return {
        "not JSON": Bad(Message(key, f"{{bad {tag}".encode()), "malformed", "JSON"),
        "truncated Avro": Bad(Message(key, encode(event)[:-6]), "malformed", ""),
        "unknown fingerprint": Bad(Message(key, FOREIGN_AVRO), "unknown_schema", ""),
        "missing field": Bad(Message(key, json.dumps(without).encode()), "invalid", "output_tokens"),
        "wrong type": Bad(Message(key, text(input_tokens="many")), "invalid", "input_tokens: 'many'"),
        "negative": Bad(Message(key, text(input_tokens=-5)), "invalid", "input_tokens: -5"),
        "above 2^53": Bad(Message(key, text(output_tokens=2**53 + 1)), "invalid", "output_tokens: 9007199254740993"),
        "NaN": Bad(Message(key, raw("input_tokens", "NaN")), "", ""),
        "1e400": Bad(Message(key, raw("input_tokens", "1e400")), "", ""),
        "far future": Bad(Message(key, text(time=event.time + DAY_MS)), "time_out_of_range", "time"),
        "far past": Bad(Message(key, text(time=event.time - 31 * DAY_MS)), "time_out_of_range", "time"),
        "empty tenant": Bad(Message(None, text(tenant="")), "invalid", "tenant"),
        "long tenant": Bad(Message(None, text(tenant="x" * 129)), "invalid", "tenant"),
        "control character": Bad(Message(None, text(tenant="a\u0007b")), "invalid", "tenant"),
        "invalid UTF-8": Bad(Message(key, text(source="SPOILED").replace(b"SPOILED", b"\xff\xfe")), "", ""),
        "null": Bad(Message(key, None), "malformed", "null"),
        "5 MB": Bad(Message(key, text(model="x" * 5_000_000)), "too_large", "bytes"),
        "foreign key": Bad(Message(b"somebody else", text()), "invalid", "key: 'somebody else'"),
    }
