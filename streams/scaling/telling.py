"""A pool's scale as JSON."""

from __future__ import annotations

from typing import Any

from processors.sharing.state import DIMENSIONS
from schemas.outputs import Scale


def shown(scale: Scale) -> dict[str, Any]:
    """What `/scale/{pool}` answers, of the engine's web view and of `bourse autoscaler`; `at` in milliseconds since 1970."""
    return {
        "pool": scale.pool,
        "replicas": scale.replicas,
        "wanted": scale.wanted,
        "reason": scale.reason,
        "at": scale.at,
        "promised": scale.promised_replicas,
        "needed": {name: getattr(scale, f"needed_{name}") for name in DIMENSIONS},
        "utilisation": utilisation(scale),
    }


def utilisation(scale: Scale) -> dict[str, float | None]:
    """Of each dimension, what is used of what there is; null where there is nothing."""
    pairs = ((name, getattr(scale, f"used_{name}"), getattr(scale, f"capacity_{name}")) for name in DIMENSIONS)
    return {name: used / capacity if capacity else None for name, used, capacity in pairs}
