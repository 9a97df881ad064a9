"""The engine's web view, as the demo asks it."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import httpx

from schemas.published import ProfileCommand
from streams.errors import Unavailable
from streams.settings import Settings

POOL_READY_S = 90.0
"""How long the engine may take to hold the demo's pool: it does from the next period on."""
LOOK_EVERY_S = 0.5


@dataclass(slots=True)
class Engine:
    """The engine's web view; remembers its last answer, as the engine may be restarting."""

    settings: Settings
    last: dict[str, Any] | None = None

    def pools(self) -> list[str]:
        """Names of the pools there are."""
        return list(self._get("/pools") or {})

    def pool(self, name: str) -> dict[str, Any] | None:
        """The pool as it is now, or as it was when the engine last answered."""
        self.last = self._get(f"/pools/{name}") or self.last
        return self.last

    def wait_for(self, name: str, profiles: Iterable[ProfileCommand]) -> None:
        """Returns when a period of the pool is open in which every profile holds.

        Raises:
            Unavailable: it takes too long.
        """
        deadline = time.monotonic() + POOL_READY_S
        bases = {profile.tenant: profile.base for profile in profiles}
        while time.monotonic() < deadline:
            pool = self._get(f"/pools/{name}")
            if pool is not None and pool["open_period"] is not None and {t["tenant"]: t["base"] for t in pool["tenants"]} == bases:
                return
            time.sleep(LOOK_EVERY_S)
        raise Unavailable(f"the engine does not hold pool {name} after {POOL_READY_S:.0f} s: see `bourse status` and the logs")

    def _get(self, path: str) -> dict[str, Any] | None:
        try:
            answer = httpx.get(self.settings.engine_web_url() + path, timeout=5)
        except httpx.HTTPError:
            return None
        found = answer.json() if answer.status_code == httpx.codes.OK else None
        return found if isinstance(found, dict) else None
