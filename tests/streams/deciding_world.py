"""What decides for gateways of others, in this process; Kafka is away, so what is measured stays in its files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway_world import CAPACITY, POOL, limits

from processors.admission import KNOTS
from processors.waiting import Rules as WaitingRules
from streams.api_keys import new_key
from streams.gateway.arriving import Rules
from streams.gateway.beside import Beside
from streams.gateway.counting import estimated
from streams.gateway.following import read
from streams.gateway.running import Choices, parts_of
from streams.gateway.write_ahead import Ended, Position
from streams.limits import PoolLimits
from streams.settings import Settings


class Deciding:
    """What decides, its tenants' keys, and what it wrote down."""

    def __init__(self, beside: Beside) -> None:
        self.beside = beside
        self.desk = beside.parts.desks[POOL]
        self.key = new_key("ann")
        beside.parts.keys.known[self.key.key.id] = self.key.key

    def ended(self) -> list[Ended]:
        files = self.beside.parts.metered._files
        assert files.running == self.desk.in_flight == self.beside.open == 0
        return read(files.directory, Position(0, 0), 10**6)[0]


@contextmanager
def deciding(directory: Path, slots: int = 2, longest_s: float = 600.0) -> Iterator[Deciding]:
    """Its one tenant, ann, may have so many requests in flight."""
    rules, waiting = Rules(pool=POOL, default_output=50, most_body_bytes=4096), WaitingRules(length=0)
    choices = Choices("beside", rules, waiting, estimated, 10_000, directory / "wal")
    beside = Beside(parts_of(Settings(home=directory, kafka="127.0.0.1:1"), choices), longest_s)
    made = Deciding(beside)
    made.desk.limit(PoolLimits(CAPACITY, 16, KNOTS, {"ann": limits(slots=slots)}))
    try:
        yield made
    finally:
        beside.parts.metered.close(patience_s=0)
