"""Which events the last ticks had: a backend's repetition of an event is recognised for a number of ticks.

An event is known by (tenant, source, id), kept as a BLAKE2b digest of 16 bytes: among n events in a window two different ones
share a digest with a probability below n² / 2^129, which is 10^-25 for the 6 million events of 120 ticks at 50,000 events/s.

What is remembered after a tick is a function of the records in the window alone, wherever reading began: hearing an event
again renews it. That is what lets a restarted meter rebuild the window by reading it from its first record.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Protocol, TypeVar


class Identified(Protocol):
    """What a backend names an event by."""

    @property
    def tenant(self) -> str:
        """Id of the tenant."""

    @property
    def source(self) -> str:
        """Who published it."""

    @property
    def id(self) -> str:
        """Its id, unique within the source."""


E = TypeVar("E", bound=Identified)


@dataclass(frozen=True, slots=True)
class _Generation:
    """What was heard between two ticks."""

    number: int
    first: int
    """Offset of its first record."""
    before: int
    """The tick before its first record."""
    tick: int
    """The tick that ended it."""
    heard: list[bytes]


class SeenWindow:
    """The digests of the events of the last `ticks` ticks.

    A record between two ticks belongs to the later one, n, and is forgotten at the first tick at or above n + `ticks`: it is
    remembered for at least `ticks` ticks, even if the clock stood still before n.

    Memory: an event holds 64 bytes for its digest, 28 to 56 for its place in the dict and 8 in its tick's list. The 6 million of
    120 ticks at 50,000/s are at most 770 MB over all meters of the system; every owner of a partition holds that partition's share.
    Time: one digest and one look-up an event; forgetting costs O(1) for each event remembered.
    """

    __slots__ = ("_before", "_first", "_generations", "_heard", "_number", "_seen", "_ticks")

    def __init__(self, ticks: int, first: int, before: int) -> None:
        """An empty window; its first record is at offset `first`, behind tick `before` (-1: behind none)."""
        if ticks < 1:
            raise ValueError(f"ticks: {ticks} is less than 1")
        self._ticks = ticks
        self._first = first
        self._before = before
        self._number = 0
        self._seen: dict[bytes, int] = {}
        self._heard: list[bytes] = []
        self._generations: deque[_Generation] = deque()

    def __len__(self) -> int:
        return len(self._seen)

    @property
    def start(self) -> tuple[int, int]:
        """(offset of the window's first record, the tick before it): where a rebuild begins."""
        if not self._generations:
            return self._first, self._before
        oldest = self._generations[0]
        return oldest.first, oldest.before

    def unseen(self, events: Iterable[E]) -> list[E]:
        """Remember events; those among them that were not in the window, in their order (a repetition inside `events` is one)."""
        seen, heard, number, digest = self._seen, self._heard.append, self._number, blake2b
        look_up = seen.get
        fresh: list[E] = []
        for event in events:
            # No name holds a control character (schemas.units.Name), so NUL keeps the three parts apart.
            key = digest(f"{event.tenant}\0{event.source}\0{event.id}".encode(), digest_size=16).digest()
            last = look_up(key)
            if last is None:
                fresh.append(event)
            elif last == number:
                continue
            seen[key] = number
            heard(key)
        return fresh

    def turn(self, tick: int, following: int) -> None:
        """`tick` ends the current generation, and offset `following` begins the next; what left the window is forgotten."""
        self._generations.append(_Generation(self._number, self._first, self._before, tick, self._heard))
        self._number += 1
        self._heard = []
        self._first, self._before = following, tick
        while self._generations[0].tick <= tick - self._ticks:
            self._forget(self._generations.popleft())

    def _forget(self, old: _Generation) -> None:
        seen = self._seen
        for key in old.heard:
            if seen[key] == old.number:  # otherwise it was heard again later
                del seen[key]
