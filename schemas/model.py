"""The base of all event models, and what a model says of its ClickHouse table."""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from pydantic import BaseModel, ConfigDict


class Landing(StrEnum):
    """What makes a row one of its kind, so that its copies are seen as one (schemas/clickhouse.py, streams/landing.py)."""

    OFFSET = "offset"
    """A row is known by the offset it landed from: every record is a row of its own."""
    FACT = "fact"
    """A row is known by (partition, journal_offset, fact_index): a recovering engine publishes a fact again, at a later offset."""
    EVENT_ID = "event_id"
    """A row is known by what its publisher called it: an event may be sent again at any time."""


@dataclass(frozen=True, slots=True)
class Table:
    """The ClickHouse table of an event type. `order_by` names columns; `comment` says what a row is."""

    name: str
    comment: str
    order_by: tuple[str, ...]
    landing: Landing
    identity: tuple[str, ...] = ()
    """With EVENT_ID: the columns that identify an event; `order_by` is a prefix of them."""
    also_by: tuple[str, ...] = ()
    """Columns by which the rows are kept a second time, for questions that name no prefix of `order_by`."""


class Event(BaseModel):
    """Anything that is written to a topic. Immutable; unknown fields are refused, so that a typo is never silently dropped.

    `KIND` names the type in topics, tables and schemas; `VERSION` grows with each change of the fields
    (schemas/evolution.py upcasts old records); `TABLE` is None where no table keeps the event.
    """

    # Validators are made when first used: a process that only writes or decodes (streams/codecs.py) needs few, and each
    # starts with 0.2 s of CPU less.
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, use_attribute_docstrings=True, defer_build=True)

    KIND: ClassVar[str]
    VERSION: ClassVar[int] = 1
    TABLE: ClassVar[Table | None] = None
