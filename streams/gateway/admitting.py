"""What every kind of gateway does with a request: admit it by its tenant's limits, write it down, settle it once.

`bourse gateway` passes requests on itself (streams/gateway/exchange.py); `bourse ext-authz` decides for gateways of others
(streams/gateway/beside.py). Both hold the same parts and call the same three functions.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from starlette.types import Scope

from processors.waiting import Class
from schemas.access import ApiKey
from schemas.published import Tier
from streams.api_keys import ApiKeys
from streams.gateway.answers import Code, Failure, Headers, allowance_headers
from streams.gateway.arriving import Refuse, Rules, shown_key
from streams.gateway.asked import Asked, Lowered
from streams.gateway.counting import Counting
from streams.gateway.desk import Desk, Need
from streams.gateway.metered import Metered
from streams.gateway.metrics import Metrics
from streams.gateway.write_ahead import Begun, Ended

log = logging.getLogger(__name__)

_CLASSES = {"low": Class.LOW, "normal": Class.NORMAL, "high": Class.HIGH}
_TIERS = {Lowered.SPOT: Tier.SPOT, Lowered.PREEMPTIBLE: Tier.PREEMPTIBLE, None: None}
MILLION = 1_000_000


@dataclass(slots=True, kw_only=True)
class Parts:
    """All that a gateway decides by and writes to; one in a process.

    Attributes:
        rules: how requests are treated.
        keys: whose requests they are.
        desks: of each pool.
        metered: where what they used is written down.
        count: how texts are counted.
        now_ms: milliseconds since 1970 that never run backwards.
        metrics: what is told of it.
        closing: it was asked to end, and takes nothing new.
    """

    rules: Rules
    keys: ApiKeys
    desks: Mapping[str, Desk]
    metered: Metered
    count: Counting
    now_ms: Callable[[], int]
    metrics: Metrics
    closing: bool = False
    _names: int = 0
    _life: str = field(default_factory=lambda: f"{time.time_ns():x}")

    def name(self) -> str:
        """An id that no other request has, in this process or an earlier one."""
        self._names += 1
        return f"{self._life}-{self._names:x}"

    def standing(self, scope: Scope) -> Headers:
        """`x-ratelimit-*` of whoever shows a key, where a request's pool is not known.

        Of those that the key opens it is the one in which the tenant has least left, but something to use at all. Nothing of who
        shows no key.
        """
        key = shown_key(self.keys, scope)
        if not isinstance(key, ApiKey):
            return []
        found = [desk.allowance(key.tenant) for pool, desk in self.desks.items() if key.opens(pool)]
        known = [left for left in found if left is not None]
        of_some_use = [left for left in known if left.requests and left.tokens] or known
        least = min(of_some_use, key=lambda left: (left.tokens_left, left.requests_left), default=None)
        return allowance_headers(least)

    @property
    def not_ready(self) -> str | None:
        """Why nothing can be decided; None: it can."""
        if self.closing:
            return "the gateway ends"
        without = [pool for pool, desk in self.desks.items() if not desk.ready]
        return f"no limits of pool {', '.join(without)} yet" if without else None

    @property
    def in_hand(self) -> int:
        """Requests that run or wait."""
        return sum(desk.in_flight + desk.waiting for desk in self.desks.values())

    def take(self) -> None:
        """Asked before anything of a request is looked at.

        Raises:
            Refuse: it comes too late.
        """
        if self.closing:
            raise Refuse(
                Failure(503, Code.CLOSING, "this gateway ends: try again, at another or its successor", retry_after_ms=1000)
            )


@dataclass(slots=True, kw_only=True)
class Wanted:
    """A request whose key, body and model are good.

    Attributes:
        name: its id.
        tenant: whose it is.
        pool: whose capacity it wants.
        asked: what it asks for.
        came_ms: milliseconds since 1970.
    """

    name: str
    tenant: str
    pool: str
    asked: Asked
    came_ms: int


def need_of(parts: Parts, wanted: Wanted, priority: bytes | None, stop: Callable[[], None]) -> Need:
    """What it needs, as its desk wants to know it.

    Args:
        parts: of the gateway.
        wanted: the request.
        priority: what its client says of it: low, normal or high; all else is normal.
        stop: called when its capacity is reclaimed.
    """
    asked = wanted.asked
    weight = (asked.input_tokens + asked.most_output) * parts.rules.weights.get(asked.model, MILLION) // MILLION
    class_ = (priority or b"normal").decode("latin-1").strip().lower()
    return Need(
        request=wanted.name,
        tenant=wanted.tenant,
        input_tokens=asked.input_tokens,
        most_output=asked.most_output,
        weight=weight,
        class_=_CLASSES.get(class_, Class.NORMAL),
        lowered=_TIERS[asked.lowered],
        stop=stop,
    )


def write_down(parts: Parts, wanted: Wanted) -> Failure | None:
    """That a request which was admitted goes on now. A failure: it must not, and there is nothing to end."""
    asked = wanted.asked
    try:
        parts.metered.begin(
            Begun(wanted.name, wanted.tenant, wanted.pool, asked.model, wanted.came_ms, asked.input_tokens, asked.most_output)
        )
    except OSError as full:
        log.error("a request is refused, as it can't be written down: %s", full)  # noqa: TRY400  a full disk, no mistake of ours
        return Failure(503, Code.NOT_RECORDED, "the gateway can't record usage now", retry_after_ms=1000)
    return None


def write_end(parts: Parts, ended: Ended) -> None:
    """What a request came to, after its desk has settled it."""
    try:
        parts.metered.end(ended)
    except OSError as full:
        log.error("what request %s came to is written down later: %s", ended.request, full)  # noqa: TRY400  a full disk
    parts.metrics.ended(ended)
