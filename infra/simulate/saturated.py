"""What a replica does when it never runs out of work: how an operator measures a pool's capacity, and how rates here are stated."""

from __future__ import annotations

from collections.abc import Sequence as Rows
from typing import NamedTuple

import simpy

from infra.simulate.batching import Sequence
from infra.simulate.machine import Machine
from infra.simulate.replica import Replica

ROUNDS = 12
"""Requests that are queued, in multiples of what can run at once."""


class Saturated(NamedTuple):
    """Per second, between a quarter and three quarters of the work done, so that neither start nor end count."""

    tokens: float
    requests: float


def saturated(machine: Machine, sizes: Rows[tuple[int, int]]) -> Saturated:
    """Serve requests of these (input, output) sizes, in turns, from a queue that is never empty."""
    env = simpy.Environment()
    replica = Replica(env, machine, 1)
    ends: list[tuple[float, int]] = []

    def ended(sequence: Sequence) -> None:
        ends.append((env.now, sequence.prompt + sequence.output))

    for number in range(ROUNDS * machine.sequences):
        asked, answered = sizes[number % len(sizes)]
        replica.submit(Sequence(0, asked, answered, ended))
    env.run()
    first, last = len(ends) // 4, 3 * len(ends) // 4
    seconds = (ends[last][0] - ends[first][0]) / 1e6
    return Saturated(sum(tokens for _, tokens in ends[first + 1 : last + 1]) / seconds, (last - first) / seconds)
