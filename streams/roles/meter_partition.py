"""One partition of `usage`, `latency` or `admissions` as its meter reads it: records in, records to be sent out.

No broker, no clock, no waiting. What comes out is a function of the log, so a meter that starts again behind its last note says
the same again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from processors.metering import AdmissionSheet, LatencySheet, Meter, MeterName, MeterNote, Origin, UsageSheet
from schemas.journal import ClockTick, MeterMark
from streams.codecs import encode
from streams.complaints import Refusal
from streams.dead_letters import Record, dead_letter
from streams.door import Door, TopicKind
from streams.partitioning import home_partition
from streams.ticks import KIND_HEADER, is_tick, read_tick
from streams.transport import Outgoing

FORWARDED_HEADER: Final = "bourse-forwarded"
"""On a record that a meter sent to its tenant's home: topic/partition/offset where it stood."""

AGAIN_HEADER: Final = "bourse-forwarded-again"
"""On a forwarded record that may have been forwarded before: its forwarder was not there when it arrived."""

OUR_HEADERS: Final = frozenset({KIND_HEADER, FORWARDED_HEADER, AGAIN_HEADER})

FORWARDED_FORM: Final = 3
"""Parts of the header's value."""

SHEETS: Final[dict[str, Callable[[], UsageSheet | LatencySheet | AdmissionSheet]]] = {
    "usage": UsageSheet,
    "latency": LatencySheet,
    "admissions": AdmissionSheet,
}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a meter must know of the topics around it."""

    kind: TopicKind
    """"usage", "latency" or "admissions"."""
    topic: str
    partitions: int
    """Of `topic`: among them a tenant has its home."""
    journal: str
    journal_partitions: int
    dead_letters: str
    dead_letter_partitions: int
    tick_ms: int
    window_ticks: int


class Safe(NamedTuple):
    """What may be declared once everything before it is acknowledged."""

    next_offset: int
    note: str


class Portion(NamedTuple):
    """What came of some records: what to send, in this order, and what is safe afterwards (at a tick)."""

    outgoing: list[Outgoing]
    safe: Safe | None


def dump_note(note: MeterNote, tick_ms: int) -> str:
    """A note as it stands beside a committed offset: at most 3.6 kB with 128 origins, and the broker takes 4,096 bytes."""
    fields = {"tick": note.tick, "window": note.window, "before": note.before, "tick_ms": tick_ms, "origins": note.origins}
    return json.dumps(fields, separators=(",", ":"))


def load_note(text: str, tick_ms: int) -> MeterNote | None:
    """The note beside a committed offset; None if there is none, or something else stands there: someone has reset the offset.

    Raises:
        ValueError: ticks had another length. Their numbers can't be compared, and every tick might be ignored as too low.
    """
    try:
        fields = json.loads(text)
        origins = tuple((int(partition), int(offset)) for partition, offset in fields["origins"])
        note = MeterNote(int(fields["tick"]), int(fields["window"]), int(fields["before"]), origins)
        written = int(fields["tick_ms"])
    except (ValueError, TypeError, KeyError):
        return None
    if written != tick_ms:
        raise ValueError(f"tick_ms is {tick_ms}, but this log was metered with {written}: the length of a tick can't be changed")
    return note


class MeterPartition:
    """The meter of one partition.

    Below `resume_at` it only rebuilds its window. What it forwards below `again_below` may have been forwarded before.
    """

    def __init__(
        self, around: Surroundings, partition: int, door: Door, *, note: MeterNote, resume_at: int, again_below: int
    ) -> None:
        self._around = around
        self._partition = partition
        self._door = door
        self._resume_at = resume_at
        self._again_below = again_below
        # Any: which of them it is, the kind says; door and sheet of a kind agree on the event.
        self._meter: Meter[Any, Any] = Meter(MeterName(around.kind, partition), SHEETS[around.kind](), around.window_ticks, note)
        self._resumed = False

    def fold(self, records: Sequence[Record]) -> Iterator[Portion]:
        """What comes of a batch of records, in the order of the log; a portion ends at each tick that counts, and at the end."""
        start = 0
        if not self._resumed:
            start = next((place for place, record in enumerate(records) if record.offset >= self._resume_at), len(records))
            self._rebuild(records[:start])
            if start < len(records):
                self._resumed = True
                self._meter.resume()
        if start < len(records):
            yield from self._count(records[start:] if start else records)

    def _rebuild(self, records: Sequence[Record]) -> None:
        for record in records:
            if is_tick(record.headers):
                tick = self._read_tick(record)
                if isinstance(tick, ClockTick):
                    self._meter.pass_tick(tick.tick, record.offset + 1)
                continue
            event = self._read(record)
            if not isinstance(event, Refusal) and (self._is_home(event, record) or _is_forwarded(record)):
                self._meter.remember((event,))

    def _count(self, records: Sequence[Record]) -> Iterator[Portion]:
        outgoing: list[Outgoing] = []
        events: list[Any] = []
        read, kind, here, partitions = self._door.read, self._around.kind, self._partition, self._around.partitions
        for record in records:
            key, headers = record.key, record.headers
            if headers and _is_ours(headers):
                self._meter.observe(events)
                events = []
                safe = self._take_ours(record, outgoing)
                if safe is not None:
                    yield Portion(outgoing, safe)
                    outgoing = []
                continue
            event: Any = read(kind, record.value, headers, key, record.timestamp)
            if isinstance(event, Refusal):
                outgoing.append(self._dead_letter(record, event))
            # The door takes only a key that is the tenant's, or none: hashing it saves encoding the tenant.
            elif home_partition(key or event.tenant.encode(), partitions) == here:
                events.append(event)
            else:
                outgoing.append(self._forward(record, event))
        self._meter.observe(events)
        if outgoing:
            yield Portion(outgoing, None)

    def _take_ours(self, record: Record, outgoing: list[Outgoing]) -> Safe | None:
        """A record that bears one of our headers, whoever wrote it."""
        if is_tick(record.headers):
            tick = self._read_tick(record)
            if isinstance(tick, ClockTick):
                return self._report(tick.tick, record.offset + 1, outgoing)
            outgoing.append(self._dead_letter(record, tick))
            return None
        event = self._read(record)
        if isinstance(event, Refusal):
            outgoing.append(self._dead_letter(record, event))
        elif _is_forwarded(record):
            # Even if it is not at home: the number of partitions has changed since, and it must not go round in circles.
            origin = _origin(record)
            if origin is None:
                self._meter.observe((event,))
            else:
                self._meter.observe_forwarded(event, origin)
        elif self._is_home(event, record):
            self._meter.observe((event,))
        else:
            outgoing.append(self._forward(record, event))
        return None

    def _report(self, tick: int, following: int, outgoing: list[Outgoing]) -> Safe | None:
        """The sums of a tick, and behind them in every partition of the journal the mark that says so."""
        reports = self._meter.tick(tick, following)
        if reports is None:
            return None
        journal, partitions = self._around.journal, self._around.journal_partitions
        for report in reports:
            pool = report.pool.encode()
            outgoing.append(Outgoing(journal, home_partition(pool, partitions), pool, encode(report)))
        mark = encode(MeterMark(meter_topic=self._around.kind, meter_partition=self._partition, tick=tick))
        outgoing.extend(Outgoing(journal, partition, None, mark) for partition in range(partitions))
        return Safe(following, dump_note(self._meter.note(), self._around.tick_ms))

    def _read(self, record: Record) -> Any:
        """The event of this kind, or a Refusal."""
        return self._door.read(self._around.kind, record.value, record.headers, record.key, record.timestamp)

    def _read_tick(self, record: Record) -> ClockTick | Refusal:
        return read_tick(record.value, record.timestamp, self._around.tick_ms)

    def _home(self, event: Any, record: Record) -> int:
        return home_partition(record.key or event.tenant.encode(), self._around.partitions)

    def _is_home(self, event: Any, record: Record) -> bool:
        return self._home(event, record) == self._partition

    def _forward(self, record: Record, event: Any) -> Outgoing:
        """The record as it came, to the partition where all of its tenant's events are told apart."""
        stood = f"{self._around.topic}/{self._partition}/{record.offset}".encode()
        headers = [*record.headers, (FORWARDED_HEADER, stood)]
        if record.offset < self._again_below:
            headers.append((AGAIN_HEADER, b"1"))
        return Outgoing(self._around.topic, self._home(event, record), event.tenant.encode(), record.value, headers)

    def _dead_letter(self, record: Record, refusal: Refusal) -> Outgoing:
        source = (self._around.topic, self._partition)
        return dead_letter(source, record, refusal, self._around.dead_letters, self._around.dead_letter_partitions)


def _is_ours(headers: Sequence[tuple[str, bytes]]) -> bool:
    return any(name in OUR_HEADERS for name, _ in headers)


def _is_forwarded(record: Record) -> bool:
    return any(name == FORWARDED_HEADER for name, _ in record.headers)


def _origin(record: Record) -> Origin | None:
    """Where a forwarded record stood; None if its header says nothing that we would write."""
    stood = next(value for name, value in record.headers if name == FORWARDED_HEADER)
    parts = stood.rsplit(b"/", FORWARDED_FORM - 1)
    if len(parts) != FORWARDED_FORM or not (parts[1].isdigit() and parts[2].isdigit()):
        return None
    return Origin(int(parts[1]), int(parts[2]), any(name == AGAIN_HEADER for name, _ in record.headers))
