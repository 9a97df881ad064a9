"""Logs of a meter's partition and the meter over them; nothing is real but the meter."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from processors.metering import MeterNote
from schemas.journal import ClockTick
from streams.codecs import encode
from streams.door import Door, TopicKind
from streams.roles.meter_partition import MeterPartition, Safe, Surroundings
from streams.ticks import TICK_HEADER
from streams.transport import Outgoing

TICK_MS = 1000
START = 1_700_000_000_000
DOOR = Door(max_event_bytes=1 << 20, max_ahead_ms=3_600_000, max_age_ms=86_400_000)
Headers = Sequence[tuple[str, bytes]]


@dataclass
class Record:
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


def surroundings(partitions: int = 1, window: int = 120, kind: TopicKind = "usage") -> Surroundings:
    return Surroundings(kind, f"x.{kind}", partitions, "x.journal", 2, "x.dead-letters", 3, TICK_MS, window)


def event(name: str, tenant: str = "a", **fields: Any) -> bytes:
    usage = {"id": name, "source": "s", "time": START, "tenant": tenant, "pool": "p", "input_tokens": 3, "output_tokens": 4}
    return json.dumps(usage | fields).encode()


def tick_value(number: int, tick_ms: int = TICK_MS) -> bytes:
    return encode(ClockTick(tick=number, tick_ms=tick_ms, meter_partitions=1, grace_ticks=5))


def log_of(*values: bytes | tuple[bytes | None, Headers] | None, start: int = START) -> list[Record]:
    """A log whose records were appended a millisecond apart."""
    pairs = [value if isinstance(value, tuple) else (value, ()) for value in values]
    return [Record(offset, start + offset, None, value, headers) for offset, (value, headers) in enumerate(pairs)]


def tick(number: int, tick_ms: int = TICK_MS) -> tuple[bytes, Headers]:
    return tick_value(number, tick_ms), [TICK_HEADER]


def meter(around: Surroundings | None = None, partition: int = 0, note: MeterNote | None = None, **start: int) -> MeterPartition:
    places = {"resume_at": 0, "again_below": 0} | start
    return MeterPartition(around or surroundings(), partition, DOOR, note=note or MeterNote(), **places)


def told(meter: MeterPartition, records: Sequence[Record]) -> tuple[list[Outgoing], list[Safe]]:
    portions = list(meter.fold(records))
    return [out for portion in portions for out in portion.outgoing], [portion.safe for portion in portions if portion.safe]
