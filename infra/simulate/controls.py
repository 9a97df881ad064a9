"""Who may run: the baselines of the overload experiment, behind the interface that token pools (pools.py) have too."""

from __future__ import annotations

from collections.abc import Sequence as Rows
from typing import NamedTuple, Protocol

from infra.simulate.batching import Batching
from infra.simulate.replica import Replica
from infra.simulate.workloads import Request


class Answer(NamedTuple):
    """What a client hears.

    Attributes:
        replica: the index of the replica that takes the request; None: refused.
        retry_ms: of a refusal, when to try again; None: never.
        stop: numbers of running requests that make room.
    """

    replica: int | None
    retry_ms: int | None = None
    stop: tuple[int, ...] = ()


class Control(Protocol):
    """Decides over requests. Times are milliseconds and never run backwards."""

    def admit(self, now_ms: int, request: Request) -> Answer:
        """A request's first or later try."""

    def ended(self, now_ms: int, request: Request, input_tokens: int, output_tokens: int) -> None:
        """An admitted request left its replica: completed, stopped or lost with it. What it really used."""

    def tick(self, now_ms: int, replicas: int) -> None:
        """A second has passed; so many replicas are alive."""


class Uncontrolled:
    """`none`: everything goes to the replica at once and waits in its queue."""

    def __init__(self, replicas: list[Replica]) -> None:
        self._replicas = replicas

    def admit(self, now_ms: int, request: Request) -> Answer:  # noqa: ARG002  the interface of all controls
        """Always, to the replica with the fewest requests."""
        return Answer(least_loaded(self._replicas))

    def ended(self, now_ms: int, request: Request, input_tokens: int, output_tokens: int) -> None:
        """Nothing was reserved."""

    def tick(self, now_ms: int, replicas: int) -> None:
        """Nothing changes with time."""


class Dedicated(Uncontrolled):
    """`dedicated`: every tenant has a replica of its own, and everything goes to it at once. As many GPUs as tenants."""

    def admit(self, now_ms: int, request: Request) -> Answer:  # noqa: ARG002  the interface of all controls
        """Always, to the tenant's replica."""
        return Answer(request.tenant)


class RateLimit(Uncontrolled):
    """`rate_limit`: requests per second and tenant, as gateways do it: a bucket whose unit is a request, whatever its size.

    A bucket holds `burst_s` seconds of the tenant's rate, at least one request.
    """

    def __init__(self, replicas: list[Replica], rates: list[float], burst_s: float = 10.0) -> None:
        super().__init__(replicas)
        self._rates = rates
        self._depth = [max(1.0, rate * burst_s) for rate in rates]
        self._level = list(self._depth)
        self._at_ms = [0] * len(rates)

    def admit(self, now_ms: int, request: Request) -> Answer:
        """If the tenant's bucket holds a request; else when it will."""
        tenant = request.tenant
        rate = self._rates[tenant]
        level = min(self._depth[tenant], self._level[tenant] + (now_ms - self._at_ms[tenant]) * rate / 1000)
        self._at_ms[tenant] = now_ms
        self._level[tenant] = level
        if level < 1:
            return Answer(None, int((1 - level) / rate * 1000) + 1)
        self._level[tenant] = level - 1
        return super().admit(now_ms, request)


def least_loaded(replicas: Rows[Batching]) -> int:
    """The index of the living replica with the fewest requests in flight, the first of equals."""
    return min((replica.in_flight, index) for index, replica in enumerate(replicas) if not replica.failed)[1]
