"""What becomes of a message that could not be taken: its bytes are kept with where it stood and why."""

from enum import StrEnum
from typing import Annotated, ClassVar

from schemas.model import Event, Landing, Table
from schemas.units import Label, Offset, Partition, Store, Text, Time, Unit


class Problem(StrEnum):
    """Why a message could not be taken (spec/interface.md, table `dead_letters`)."""

    MALFORMED = "malformed"
    UNKNOWN_SCHEMA = "unknown_schema"
    INVALID = "invalid"
    TOO_LARGE = "too_large"
    TIME_OUT_OF_RANGE = "time_out_of_range"


class DeadLetter(Event):
    """One message that could not be taken."""

    KIND: ClassVar[str] = "dead_letter"
    TABLE: ClassVar[Table | None] = Table(
        name="dead_letters",
        comment="one message that could not be taken",
        order_by=("source_topic", "source_partition", "source_offset"),
        landing=Landing.EVENT_ID,
        identity=("source_topic", "source_partition", "source_offset"),
    )

    source_topic: Label
    source_partition: Partition
    source_offset: Offset
    source_time: Annotated[Time, Unit("when the broker appended it, milliseconds since 1970, UTC")]
    reason: Annotated[Problem, Unit("what is wrong"), Store("LowCardinality(String)")]
    detail: Text
    key: Annotated[bytes, Unit("original key"), Store("String")]
    payload: Annotated[bytes, Unit("original bytes"), Store("String")]
    null_payload: bool = False
    """True where the message had no value at all (a tombstone), which an empty payload would not tell."""
