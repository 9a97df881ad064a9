"""Events and commands as tests let them stand before the door, and the door itself."""

import io
import json
from typing import Any

from fastavro import parse_schema, schemaless_writer

from schemas.avro import avro_fingerprint, record
from schemas.dead_letters import Problem
from schemas.model import Event
from schemas.published import LatencyEvent, UsageEvent
from streams.codecs import MAGIC, encode
from streams.complaints import Refusal
from streams.door import Door, TopicKind

NOW = 1_700_000_000_000
HOUR, DAY = 3_600_000, 86_400_000
DOOR = Door(max_event_bytes=1 << 20, max_ahead_ms=HOUR, max_age_ms=30 * DAY)

USAGE = {"id": "i1", "source": "gw", "time": NOW, "tenant": "acme", "pool": "llama", "input_tokens": 12, "output_tokens": 3}
LATENCY = {"id": "i1", "source": "gw", "time": NOW, "tenant": "acme", "pool": "llama", "latency_ms": 250, "ttft_ms": 40}
POOL = {"type": "pool", "id": "c1", "pool": "llama", "capacity": 1000, "policy": "max_min", "cached_weight": 0.25}
PROFILE = {"type": "profile", "id": "c2", "pool": "llama", "tenant": "acme", "base": 10, "elasticity": 2.5, "tier": "spot"}
PROFILE |= {"budget": {"amount": 5, "window_s": 60}, "weight": "1.5"}

USAGE_EVENT = UsageEvent(**USAGE)  # type: ignore[arg-type]  # a table of JSON
ADMISSION = {"id": "i1", "source": "gw", "time": NOW, "tenant": "acme", "pool": "llama", "interval_ms": 1000, "admitted": 3}
LATENCY_EVENT = LatencyEvent(**LATENCY)  # type: ignore[arg-type]  # a table of JSON


def read(
    value: bytes | dict[str, Any] | None,
    kind: TopicKind = "usage",
    headers: list[tuple[str, bytes | None]] | None = None,
    key: bytes | None = None,
    door: Door = DOOR,
) -> Event | Refusal:
    return door.read(kind, json.dumps(value).encode() if isinstance(value, dict) else value, headers or [], key, NOW)


def usage(**changes: Any) -> dict[str, Any]:
    return {name: value for name, value in {**USAGE, **changes}.items() if value is not ...}


def raw(field: str, text: str) -> bytes:
    """The usage event with `text` as it is in the place of the field's value."""
    return json.dumps(usage(**{field: "@"})).replace('"@"', text).encode()


def envelope(data: object = ..., **changes: Any) -> dict[str, Any]:
    rest = {name: USAGE[name] for name in ("pool", "input_tokens", "output_tokens")}
    made = {"specversion": "1.0", "type": "io.bourse.usage", "id": "i1", "source": "gw", "time": "2023-11-14T22:13:20Z"}
    made |= {"subject": "acme", "data": rest if data is ... else data, **changes}
    return {name: value for name, value in made.items() if value is not ...}


def avro(schema: dict[str, Any], fields: dict[str, Any]) -> bytes:
    stream = io.BytesIO()
    schemaless_writer(stream, parse_schema(schema), fields)
    return MAGIC + avro_fingerprint(schema) + stream.getvalue()


ELSEWHERE = record(UsageEvent) | {"name": "elsewhere.Usage"}
BODY = encode(USAGE_EVENT)

MALFORMED, INVALID, UNKNOWN_SCHEMA = Problem.MALFORMED, Problem.INVALID, Problem.UNKNOWN_SCHEMA
TOO_LARGE, TIME_OUT_OF_RANGE = Problem.TOO_LARGE, Problem.TIME_OUT_OF_RANGE
CLOUD = [("content-type", b"application/cloudevents+json")]
