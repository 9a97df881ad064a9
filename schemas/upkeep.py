"""What ClickHouse does by itself with our tables: how often rollups are refreshed, how long rows are kept."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Upkeep:
    """What ClickHouse does by itself with our tables. Seconds; None keeps for ever."""

    rollup_every_s: int = 60
    ahead_s: int = 3600
    """How far an event's time may be ahead of its landing."""
    events_s: int | None = None
    """How long events as they were published are kept, from their landing."""
    dead_letters_s: int | None = None
    minutes_s: int | None = None
    """How long rollups per minute are kept, from the minute; likewise the next, per hour."""
    hours_s: int | None = None
