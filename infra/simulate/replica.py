"""A modelled vLLM replica (batching.py) in simulated time: a discrete event at each step's end."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import simpy

from infra.simulate.batching import Batching, Sequence
from infra.simulate.machine import Machine


class Replica(Batching):
    """One replica and its queue, driven by `env`, whose time is in microseconds."""

    __slots__ = ("_env", "_wake")

    def __init__(self, env: simpy.Environment, machine: Machine, tenants: int) -> None:
        super().__init__(machine, tenants)
        self._env = env
        self._wake = env.event()
        env.process(self._run())

    def submit(self, sequence: Sequence) -> None:
        """As in `Batching`; who has nothing to do begins."""
        super().submit(sequence)
        self._rouse()

    def stop(self, sequence: Sequence) -> None:
        """As in `Batching`; of a request that waits while nothing runs, at once."""
        super().stop(sequence)
        self._rouse()

    def _rouse(self) -> None:
        if not self._wake.triggered:
            self._wake.succeed()

    def _run(self) -> Generator[simpy.Event, Any, None]:
        while not self.failed:
            duration = self.begin()
            if duration is None:
                self._wake = self._env.event()
                yield self._wake
                continue
            yield self._env.timeout(duration)
            if not self.failed:
                self.finish(int(self._env.now))
