"""What could not be taken, on its way to the topic of dead letters: original bytes, where they stood, why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from schemas.dead_letters import DeadLetter
from streams.codecs import encode
from streams.complaints import Refusal
from streams.partitioning import home_partition
from streams.transport import Outgoing

MAX_DETAIL = 4096
"""Characters that are kept of a reason (schemas.units.Text); it quotes the value, which may be as long as a message."""

OUR_HEADERS = "bourse-"
"""Names that begin so speak to our own readers, who would take a dead letter for what it is about."""


class Record(Protocol):
    """A record as it was read; aiokafka's ConsumerRecord is one."""

    offset: int
    timestamp: int
    """When the broker appended it, ms."""
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


def dead_letter(source: tuple[str, int], record: Record, refusal: Refusal, topic: str, partitions: int) -> Outgoing:
    """The dead letter of a record. Writing it again is harmless: it is known by where the record stood.

    Args:
        source: topic and partition of the record.
        record: what could not be taken. The letter keeps its headers, where CloudEvents has its attributes.
        refusal: why.
        topic: name of the topic of dead letters.
        partitions: how many it has.
    """
    letter = DeadLetter(
        source_topic=source[0],
        source_partition=source[1],
        source_offset=record.offset,
        source_time=record.timestamp,
        reason=refusal.problem,
        detail=refusal.detail[:MAX_DETAIL],
        key=record.key or b"",
        payload=record.value or b"",
        null_payload=record.value is None,
    )
    headers = [(name, value) for name, value in record.headers if not name.startswith(OUR_HEADERS)]
    home = home_partition(record.key or b"", partitions)
    return Outgoing(topic, home, record.key, encode(letter), headers)
