"""A market on a running system, as its tenants see it. Most trade periods far enough ahead that none of them opens meanwhile."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from system import System

from streams.client import TenantClient
from streams.codecs import decode

POOL = "gpu/a"
"""With a slash: it has to be told apart in keys of topics and in addresses."""
TENANTS = ("ann", "bob", "cyd", "dee")
BASE, MONEY = 1_000, 10**9
AHEAD = 20
"""Periods of four seconds."""
SOON_S = 60.0


@dataclass(frozen=True)
class Market:
    """A running system, and where the tenants' keys are."""

    system: System
    keys: Path

    def client(self, tenant: str, **options: Any) -> TenantClient:
        return TenantClient(tenant, pool=POOL, key=self.keys / f"{tenant}.key", settings=self.system.settings, **options)

    def present(self) -> int:
        return int(self.system.web("/pools/gpu%2Fa/period")["open_period"] or 0)

    def newest(self, topic: str) -> dict[bytes, Any]:
        """Key -> newest value of a compacted topic; a key whose value is a tombstone is not there."""
        kept: dict[bytes, Any] = {}
        for record in self.system.read(topic):
            kept[record.key()] = record.value()
        return {key: decode(value) for key, value in kept.items() if value is not None}


@dataclass
class Said:
    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        return dict(json.loads(self.out))
