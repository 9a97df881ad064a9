"""State of a pool's scaling. Only pools of which an operator has ever said that they shall be scaled have it."""

from dataclasses import dataclass
from typing import NamedTuple

from processors.autoscale import NEVER, Memory, ScalingSettings
from processors.entitlement import Capacity

THOUSAND = 1000

SMOOTHED_MS = 30_000
"""Rates of tokens are averages over about this time: usage comes in lumps, as requests end."""


class Rates(NamedTuple):
    """Thousandths of a token per second, averaged.

    Attributes:
        served: to all tenants.
        elastic: of it, to tenants without reservation.
        unserved: what those were refused within their own limits. Who tries again counts again: that something is missing is
            known, how much is not; `max_step` bounds what follows from it.
    """

    served: int = 0
    elastic: int = 0
    unserved: int = 0

    def towards(self, now: "Rates", elapsed_ms: int) -> "Rates":
        """The averages after so much time at other rates."""
        part = min(elapsed_ms, SMOOTHED_MS)
        return Rates(*(before + (new - before) * part // SMOOTHED_MS for before, new in zip(self, now, strict=True)))


NO_RATES = Rates()

NOTHING_ASKED = Memory(0)


class Told(NamedTuple):
    """What of the last decision is compared with the next: a change of any of it is told.

    Attributes:
        replicas: that there were.
        reason: of schemas/scaling.py.
        promised: replicas for what is promised.
        needed: of each dimension.
    """

    replicas: int
    reason: str
    promised: int
    needed: Capacity


@dataclass(slots=True)
class Scaling:
    """What a scaled pool has besides its tenants' columns, which are those of a token pool.

    Attributes:
        settings: None: it is not scaled any more.
        memory: of the rule.
        told: None: nothing yet.
        told_ms: when that was.
        rates: of tokens.
        forecast_period: the period whose forecasts were summed; NEVER: none.
        forecast: of tenants without reservation, tokens in that period.
    """

    settings: ScalingSettings | None = None
    memory: Memory = NOTHING_ASKED
    told: Told | None = None
    told_ms: int = NEVER
    rates: Rates = NO_RATES
    forecast_period: int = NEVER
    forecast: int = 0
