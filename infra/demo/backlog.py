"""Why the demo's latencies have to do with tokens: requests of who has an SLA wait for its allocation."""

from __future__ import annotations

from collections.abc import Iterable

from infra.workloads import Request


class Backlog:
    """A queue of tokens for each tenant that waits; of others' requests nothing is remembered. Calls may come from two threads."""

    def __init__(self, tenants: Iterable[str]) -> None:
        self._rates = dict.fromkeys(tenants, 0.0)
        self._left: dict[str, tuple[int, float]] = {}

    @property
    def tenants(self) -> Iterable[str]:
        """Those that wait."""
        return self._rates.keys()

    def serve(self, tenant: str, tokens_per_s: float) -> None:
        """From now on a tenant's tokens are served at this rate; 0: it isn't known, and nobody waits."""
        self._rates[tenant] = tokens_per_s

    def wait_ms(self, request: Request) -> int:
        """How long a request waits for those before it, milliseconds; later ones wait for it, too. They come in order of time."""
        per_ms = self._rates.get(request.tenant, 0.0) / 1000
        if not per_ms:
            return 0
        at_ms, left = self._left.get(request.tenant, (request.at_ms, 0.0))
        left = max(0.0, left - per_ms * (request.at_ms - at_ms))
        self._left[request.tenant] = (request.at_ms, left + request.tokens)
        return round(left / per_ms)
