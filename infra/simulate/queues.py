"""Tenants whose allocated tokens limit their rate: what the SLA loop meets, period after period.

Each is a queue of one server that works off the tenant's tokens of a period (60 s) evenly. Requests arrive at random times with
random sizes; a request's latency is its wait behind earlier work, its own work, and what the backend takes whatever the tokens.
A tenant that does not queue has the backend's time alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

PERIOD_MS = 60_000


@dataclass
class QueueTenant:
    """One tenant.

    Attributes:
        base: tokens per period.
        floor: of it, contracted.
        sla_ms: −1: none.
        tier: a code of processors/entitlement.py.
        load: offered tokens, of its base.
        backend_ms: what the backend takes.
        noise: of that, a standard deviation of its logarithm.
        queues: whether its tokens limit it.
        backlog: tokens of requests that wait.
    """

    base: int
    floor: int = 0
    sla_ms: int = -1
    tier: int = 2
    load: float = 0.5
    backend_ms: float = 50.0
    noise: float = 0.0
    queues: bool = True
    backlog: float = 0.0

    def serve(self, allocated: int, mean_requests: int, random: np.random.Generator) -> tuple[npt.NDArray[np.int64], int]:
        """A period with so many tokens: its requests' latencies in milliseconds, and the tokens that it used."""
        number = int(random.poisson(mean_requests))
        times = np.sort(random.uniform(0, PERIOD_MS, number))
        work = random.uniform(0.5, 1.5, number) * self.load * self.base / mean_requests
        backend = self.backend_ms * np.exp(self.noise * random.standard_normal(number))
        if not self.queues:
            return backend.astype(np.int64), min(int(work.sum()), allocated)
        rate = max(allocated, 1) / PERIOD_MS
        backlog, now, done, waits = self.backlog, 0.0, 0.0, []
        for at, tokens in zip(times.tolist(), work.tolist(), strict=True):
            worked = min(backlog, (at - now) * rate)
            done, backlog, now = done + worked, backlog - worked + tokens, at
            waits.append(backlog / rate)
        worked = min(backlog, (PERIOD_MS - now) * rate)
        self.backlog = backlog - worked
        return (np.array(waits) + backend).astype(np.int64), int(done + worked)
