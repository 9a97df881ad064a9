"""Priority inside a tenant (ATP-9): in which order a tenant's requests wait for the tenant's own limit.

A request that its tenant's limit refuses now waits in the tenant's room, which is short and bounded. Whoever has the best *turn* is
asked again first; a turn is a moment, fixed when the request comes:

    turn = arrival − head start        head start = head_start_ms × (class + min(weight, heaviest) ÷ heaviest) ÷ classes

So of those that come together a higher class goes first, and within a class the costlier one. Time ages them all alike, so that
nothing starves: a head start is at most `head_start_ms`, so whoever comes more than that after a request never goes before it. A
request that waits for `head_start_ms` therefore has before it only what came before that, which is at most `length` requests.

Nobody goes past the one whose turn it is, even if it would fit and that one doesn't yet: a stream of small requests would keep a
large one out for ever. How long that can last is bounded by `longest_ms`, after which a request has waited in vain.

Time is an argument and never runs backwards. A room holds `length` requests at most (some 400 bytes each), every call is
O(log length): 100,000 tenants of which each has 32 waiting hold 1.3 GB, so a gateway of so many shortens its rooms.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import NamedTuple


class Class(IntEnum):
    """What a client may say of a request, against its tenant's own others only."""

    LOW = 0
    NORMAL = 1
    HIGH = 2


class NotTaken(StrEnum):
    """Why a request may not wait."""

    FULL = "full"
    """So many wait already."""
    WAITS_ALREADY = "waits_already"
    """A request of this id does."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How a tenant's requests wait.

    Attributes:
        length: most that wait at once; 0: nobody waits.
        longest_ms: after which one has waited in vain.
        head_start_ms: most that a request may be put before those who came earlier.
        heaviest: weight from which on more makes no difference: reserved tokens times the model's weight.

    Raises:
        ValueError: a setting that can't be meant.
    """

    length: int = 32
    longest_ms: int = 10_000
    head_start_ms: int = 3_000
    heaviest: int = 32_768

    def __post_init__(self) -> None:
        least = {"length": 0, "longest_ms": 1, "head_start_ms": 0, "heaviest": 1}
        for name, most in least.items():
            if getattr(self, name) < most:
                raise ValueError(f"{name}: {getattr(self, name)} is less than {most}")

    def head_start(self, weight: int, class_: Class) -> int:
        """Milliseconds by which a request's turn is before its arrival; 0 to `head_start_ms`."""
        parts = class_ * self.heaviest + min(max(weight, 0), self.heaviest)
        return self.head_start_ms * parts // (len(Class) * self.heaviest)


class Waiting(NamedTuple):
    """A request that waits. They sort by whose turn it is; of equal turns who came first."""

    turn_ms: int
    number: int
    request: str
    since_ms: int


class WaitingRoom:
    """One tenant's requests that wait for its own limit, of one pool."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._numbers = 0
        self._by_turn: list[Waiting] = []  # short: inserting and deleting shift a few pointers
        self._by_id: dict[str, Waiting] = {}  # in the order in which they came

    def __len__(self) -> int:
        return len(self._by_turn)

    def __iter__(self) -> Iterator[Waiting]:
        """By whose turn it is."""
        return iter(self._by_turn)

    def enter(self, now_ms: int, request: str, weight: int, class_: Class = Class.NORMAL) -> Waiting | NotTaken:
        """A request comes to wait.

        Args:
            now_ms: the time.
            request: its id.
            weight: its reserved tokens times its model's weight.
            class_: what its client said.
        """
        if request in self._by_id:
            return NotTaken.WAITS_ALREADY
        if len(self._by_turn) >= self._rules.length:
            return NotTaken.FULL
        waiting = Waiting(now_ms - self._rules.head_start(weight, class_), self._numbers, request, now_ms)
        self._numbers += 1
        insort(self._by_turn, waiting)
        self._by_id[request] = waiting
        return waiting

    @property
    def first(self) -> Waiting | None:
        """Whose turn it is; None: nobody waits."""
        return self._by_turn[0] if self._by_turn else None

    def before(self, weight: int, class_: Class, now_ms: int) -> bool:
        """Whether somebody waits whose turn is before that of one who comes now: then this one may not pass them."""
        return bool(self._by_turn) and self._by_turn[0].turn_ms <= now_ms - self._rules.head_start(weight, class_)

    def leave(self, request: str) -> bool:
        """It waits no more: admitted, gone or refused. False: it did not wait."""
        waiting = self._by_id.pop(request, None)
        if waiting is None:
            return False
        self._by_turn.remove(waiting)
        return True

    def in_vain(self, now_ms: int) -> tuple[str, ...]:
        """Who has waited for `longest_ms` by now, who came first first. They leave."""
        last = now_ms - self._rules.longest_ms
        found = []
        for waiting in self._by_id.values():
            if waiting.since_ms > last:
                break
            found.append(waiting.request)
        for request in found:
            self.leave(request)
        return tuple(found)

    @property
    def ends_ms(self) -> int | None:
        """When the next one has waited in vain; None: nobody waits."""
        oldest = next(iter(self._by_id.values()), None)
        return None if oldest is None else oldest.since_ms + self._rules.longest_ms
