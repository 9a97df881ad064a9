"""Speed of reading at the door, per encoding, and of the codec inside, against the bare library that reads the same bytes.

Run alone: `python tests/benchmarks/bench_decode.py`. Each figure is the best of a few runs on one core, in CPU time. The door
checks every field, the time and the key, and builds the model; json.loads and fastavro build a dict and check nothing.
"""

import base64
import io
import json
import time
from collections.abc import Callable
from typing import Any

from fastavro import schemaless_reader, schemaless_writer

from schemas.avro import parsed
from schemas.fact import CHUNK_ROWS
from schemas.facts import AllocationsClosed
from schemas.model import Event
from schemas.published import Policy, UsageEvent
from schemas.shape import shapes
from streams.codecs import HEADER_BYTES, decode, encode
from streams.door import Door
from streams.envelopes import Headers

NOW = 1_700_000_000_000
EVENT = UsageEvent(
    time=NOW,
    source="vllm-7",
    id="0190b6a2-7a44-7c1e-9c3f-8a5f0e6f2b11",
    tenant="tenant-00042",
    pool="llama-70b",
    input_tokens=1812,
    output_tokens=340,
    cached_input_tokens=512,
    model="llama-3.3-70b",
    request_id="req-0190b6a2",
)

Row = dict[str, object]


def run(events: int = 20_000, chunks: int = 30, repeats: int = 5) -> list[Row]:
    """Rows of {name, value, unit, baseline, baseline_value, ratio, goal, met}."""
    return [*_door_rows(events, repeats), *_codec_rows(events, chunks, repeats)]


def _rates(ours: Callable[[], object], bare: Callable[[], object], count: int, repeats: int) -> tuple[float, float]:
    """Times a second of both, which take turns, so that a busy machine slows both alike."""
    best = [float("inf"), float("inf")]
    for _ in range(repeats):
        for index, work in enumerate((ours, bare)):
            start = time.process_time()
            for _ in range(count):
                work()
            best[index] = min(best[index], time.process_time() - start)
    return count / best[0], count / best[1]


def _row(name: str, value: float, unit: str, *, baseline: str, baseline_value: float, goal: float) -> Row:
    ratio = value / baseline_value
    return {
        "name": name,
        "value": round(value),
        "unit": unit,
        "baseline": baseline,
        "baseline_value": round(baseline_value),
        "ratio": round(ratio, 2),
        "goal": f"≥ {goal}",
        "met": ratio >= goal,
    }


def _messages() -> list[tuple[str, bytes, Headers, str, float]]:
    """(name, value, headers, baseline, goal as a ratio to it).

    Why the goals: bare JSON is read by pydantic's own parser, which is faster than json.loads by about what checking costs; in
    Avro checking and building may cost one and a half times what fastavro does; an envelope goes by way of a dict, its time is
    text, and of a CloudEvent in binary mode json.loads reads only the half that is not in the headers.
    """
    fields = EVENT.model_dump()
    rest = {name: value for name, value in fields.items() if name not in {"id", "source", "time", "tenant"}}
    moment = "2023-11-14T22:13:20Z"
    attributes = {"specversion": "1.0", "type": "io.bourse.usage", "id": EVENT.id, "source": EVENT.source, "time": moment}
    attributes["subject"] = EVENT.tenant
    headers = [(f"ce_{name}", value.encode()) for name, value in attributes.items()]
    packed = base64.b64encode(encode(EVENT)).decode()
    return [
        ("JSON", json.dumps(fields).encode(), [], "json.loads", 0.8),
        ("JSON, time as RFC 3339", json.dumps(fields | {"time": moment}).encode(), [], "json.loads", 0.5),
        ("CloudEvents structured", json.dumps({**attributes, "data": rest}).encode(), [], "json.loads", 0.33),
        ("CloudEvents binary", json.dumps(rest).encode(), headers, "json.loads", 0.2),
        ("Avro single-object", encode(EVENT), [], "fastavro", 0.4),
        ("Avro in CloudEvents", json.dumps({**attributes, "data_base64": packed}).encode(), [], "json.loads", 0.15),
    ]


def _door_rows(events: int, repeats: int) -> list[Row]:
    door = Door(max_event_bytes=1 << 20, max_ahead_ms=3_600_000, max_age_ms=30 * 86_400_000)
    rows = []
    for name, value, headers, baseline, goal in _messages():
        assert _reading(door, value, headers)() == EVENT, name
        bare = _bare_json(value) if baseline == "json.loads" else _bare_avro(value, UsageEvent)
        rate, other = _rates(_reading(door, value, headers), bare, events, repeats)
        rows.append(_row(f"door: {name}", rate, "events/s", baseline=baseline, baseline_value=other, goal=goal))
    return rows


def _reading(door: Door, value: bytes, headers: Headers) -> Callable[[], object]:
    key = EVENT.tenant.encode()
    return lambda: door.read("usage", value, headers, key, NOW)


def _bare_json(value: bytes) -> Callable[[], object]:
    return lambda: json.loads(value)


def _bare_avro(value: bytes, model: type[Event]) -> Callable[[], object]:
    schema, body = parsed(model), value[HEADER_BYTES:]
    return lambda: schemaless_reader(io.BytesIO(body), schema, None)


def _bare_write(event: Event) -> Callable[[], object]:
    schema, fields = parsed(type(event)), event.__dict__
    return lambda: schemaless_writer(io.BytesIO(), schema, fields)


def chunk(rows: int = CHUNK_ROWS) -> AllocationsClosed:
    """A chunk of tenants as the engine publishes it; every third has no budget and no rank."""
    columns: dict[str, Any] = {
        shape.name: [f"tenant-{row:06}" if shape.base is str else row * 977 % 1_000_003 for row in range(rows)]
        for shape in shapes(AllocationsClosed)
        if shape.per_row
    }
    for shape in shapes(AllocationsClosed):
        if shape.item_nullable:
            columns[shape.name] = [None if row % 3 == 0 else value for row, value in enumerate(columns[shape.name])]
    scalars = {shape.name: 7 for shape in shapes(AllocationsClosed) if not shape.listed and shape.base is int}
    return AllocationsClosed.model_construct(**columns, **scalars, pool="llama-70b", policy=Policy.SEED)


def _codec_rows(events: int, chunks: int, repeats: int) -> list[Row]:
    small, large = encode(EVENT), chunk()
    big = encode(large)
    assert decode(small) == EVENT
    assert decode(big) == large
    cases: list[tuple[str, Callable[[], object], Callable[[], object], int, int, str, float]] = [
        ("codec: read an event", lambda: decode(small), _bare_avro(small, UsageEvent), events, 1, "events/s", 0.5),
        ("codec: write an event", lambda: encode(EVENT), _bare_write(EVENT), events, 1, "events/s", 0.8),
        (
            "codec: read a chunk of tenants",
            lambda: decode(big),
            _bare_avro(big, AllocationsClosed),
            chunks,
            CHUNK_ROWS,
            "tenants/s",
            0.9,
        ),
        ("codec: write a chunk of tenants", lambda: encode(large), _bare_write(large), chunks, CHUNK_ROWS, "tenants/s", 1.0),
    ]
    rows = []
    for name, ours, bare, count, scale, unit, goal in cases:
        rate, other = _rates(ours, bare, count, repeats)
        rows.append(_row(name, rate * scale, unit, baseline="fastavro", baseline_value=other * scale, goal=goal))
    return rows


if __name__ == "__main__":
    for figure in run():
        print(json.dumps(figure, ensure_ascii=False))
