"""A pool's scaling as plain values, and back: for snapshots and state hashes."""

from typing import Any

from processors.autoscale import Memory, ScalingSettings
from processors.entitlement import Capacity
from processors.scaling.state import Rates, Scaling, Told


def dump_scaling(scaling: Scaling) -> dict[str, Any]:
    """All of it, for the pool's header."""
    return {
        "settings": scaling.settings,
        "memory": scaling.memory,
        "told": scaling.told,
        "told_ms": scaling.told_ms,
        "rates": scaling.rates,
        "forecast_period": scaling.forecast_period,
        "forecast": scaling.forecast,
    }


def load_scaling(fields: dict[str, Any]) -> Scaling:
    """The inverse of `dump_scaling`, of what JSON has made of it."""
    settings, told = fields["settings"], fields["told"]
    return Scaling(
        settings=None if settings is None else ScalingSettings(*settings),
        memory=Memory(*fields["memory"]),
        told=None if told is None else _told(*told),
        told_ms=fields["told_ms"],
        rates=Rates(*fields["rates"]),
        forecast_period=fields["forecast_period"],
        forecast=fields["forecast"],
    )


def _told(replicas: int, reason: str, promised: int, needed: list[int]) -> Told:
    return Told(replicas, reason, promised, Capacity(*needed))
