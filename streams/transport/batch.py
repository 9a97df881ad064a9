"""What crosses the border between the transport and the roles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from aiokafka.structs import ConsumerRecord
from faust.types import TP


@dataclass(frozen=True, slots=True)
class Batch:
    """What one fetch brought of one partition, in the order of the log; the value of one Faust event.

    Offsets ascend but need not be contiguous: transaction markers, compaction and retention leave holes.

    Attributes:
        records: aiokafka's records as they came: `offset`, `timestamp` (append time, ms), `key`, `value`, `headers`,
            all bytes; nothing was decoded. Never empty.
        generation: of the consumer group when the batch was delivered; `declare_safe` takes it to recognise a late declaration.
    """

    topic: str
    partition: int
    records: Sequence[ConsumerRecord] = field(repr=False)
    generation: int

    @property
    def tp(self) -> TP:
        """Topic and partition, the key of everything that a role keeps."""
        return TP(self.topic, self.partition)

    @property
    def first(self) -> int:
        """Offset of the first record."""
        return int(self.records[0].offset)

    @property
    def last(self) -> int:
        """Offset of the last record; `last + 1` is what a role declares when the whole batch is safe."""
        return int(self.records[-1].offset)


class Committed(NamedTuple):
    """What the group has committed for a partition.

    Attributes:
        offset: everything below it is safe; None if nothing was ever committed.
        note: what was declared with it, kept by the broker beside the offset; empty if nothing was.
    """

    offset: int | None
    note: str = ""


class Outgoing(NamedTuple):
    """A record to be sent: explicit partition, encoded key and value. The broker sets its time (LogAppendTime)."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()


class PartitionListener(Protocol):
    """A role, as the transport tells it which partitions it owns.

    In a rebalance Kafka takes all partitions from every member and hands them out anew, so for the role the order is
    always: `revoked` of all that it owned, `assigned` of all that it owns now (often the same), batches.
    """

    async def assigned(self, committed: Mapping[TP, Committed]) -> Mapping[TP, int]:
        """These partitions are ours now; no batch of them was delivered yet.

        Tables are recovered. The call may take its time (the group's heartbeat goes on) and is cancelled if the partitions
        are taken away meanwhile.

        Args:
            committed: every partition of the listener's topics that this worker owns from now on.

        Returns:
            Offsets at which to start. A partition that is not named starts at its committed offset, or at the earliest
            offset if there is none.

        Raises:
            Exception: any; the worker stops.
        """
        ...

    async def revoked(self, tps: set[TP]) -> None:
        """These partitions are being taken from us: by a rebalance or because the worker stops.

        No batch is delivered any more, but an agent may still be inside its last one. What is declared safe before this
        returns is still committed. The whole group waits for it: be quick.
        """
        ...
