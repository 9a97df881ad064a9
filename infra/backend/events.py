"""What a stream tells of a generation while it runs."""

from __future__ import annotations

from infra.backend.replicas import Generation, Outcome
from infra.backend.shapes import Shape

LONGEST_WRITE = 1 << 16
"""Bytes of events at once: who reads slowly has no more than this in memory, and the transport's buffer; what waits is a
number."""


class Events:
    """Follows a generation, token by token of each choice."""

    def __init__(self, generation: Generation, shape: Shape) -> None:
        """From its beginning."""
        generation.watch()
        self._generation = generation
        self._shape = shape
        self._told = [0] * len(generation.choices)
        self._open = list(range(len(generation.choices)))
        self._opened = False

    @property
    def all_told(self) -> bool:
        """Every choice has ended, and that was told."""
        return not self._open

    def since(self) -> bytes:
        """Events of what was made since the last call, or as much of it as goes into a write; nothing: there was nothing."""
        events = bytearray()
        for choice in list(self._open):
            self._tokens(choice, events)
            if self._told[choice] == self._generation.made(choice) and self._generation.is_done(choice):
                self._open.remove(choice)
                if self._generation.outcome is Outcome.ANSWERED:
                    events += self._shape.ended(choice)
        return bytes(events)

    def _tokens(self, choice: int, events: bytearray) -> None:
        made = self._generation.made(choice)
        while self._told[choice] < made and len(events) < LONGEST_WRITE:
            if not self._opened:
                events += self._shape.opening()
                self._opened = True
            events += self._shape.token(choice, self._told[choice])
            self._told[choice] += 1
