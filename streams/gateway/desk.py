"""A gateway's desk for one pool: who may run now, who waits, who is stopped; by the rules of processors/admission and waiting.

Everything happens in one event loop, between two awaits nothing changes but what this file does. What is admitted is in `running`
until `settle`, whatever becomes of it, so that nothing stays in flight.

A request that its tenant's own limit refuses waits in the tenant's room (processors/waiting.py). Whose turn it is there is asked
again when one of the tenant's requests ends, when limits change, and when refill will have made room. The pool's refusal is not
waited for: what the pool has free is everybody's, and a queue for it would hold up who has a right. But who has a right waits for
it: a reserved tenant that the pool refuses has more running here than its right, or a part of its right is at another gateway; what
waits is reported as wanted here, and the part comes.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from processors.admission import NOTHING, Admission, Admitted, Allowance, Mistake, Refused, Rejected, Used, Whose
from processors.entitlement import RESERVED, TIERS, TenantLimits
from processors.waiting import Class, NotTaken, Rules, WaitingRoom
from schemas.published import Tier
from streams.gateway.answers import Code, Failure, refusal
from streams.leases import PoolLeases
from streams.limits import PoolLimits

HALF_A_TICK = (Mistake.KEPT_ABOVE_CAPACITY, Mistake.PROMISED_ABOVE_CAPACITY)
"""Why limits are not taken of which a part is still under way: those in force go on until it is here."""
AGAIN_MS = 100
"""When whose turn it is is asked again where nobody knows when it will fit."""


class DeskError(Exception):
    """Admission was called wrongly: a mistake of the gateway's."""


@dataclass(frozen=True, slots=True)
class Need:
    """What a request needs, and how it may be treated.

    Attributes:
        request: its id.
        tenant: whose it is.
        input_tokens: counted or estimated.
        most_output: reserved besides.
        weight: tokens times the model's weight, for its turn.
        class_: what its client said of it.
        lowered: it is content with less than its tenant's tier.
        stop: called when its capacity is reclaimed; it must then end soon, and be settled.
    """

    request: str
    tenant: str
    input_tokens: int
    most_output: int
    weight: int
    class_: Class
    lowered: Tier | None
    stop: Callable[[], None]


@dataclass(slots=True)
class Tally:
    """One tenant's requests since the last report (schemas/published.py, AdmissionEvent)."""

    admitted: int = 0
    admitted_tokens: int = 0
    stopped: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    refused_tokens: int = 0
    refused_kv_blocks: int = 0
    peak_kv_blocks: int = 0
    peak_concurrency: int = 0

    def told(self) -> dict[str, int]:
        """Fields of the event."""
        return {
            "admitted": self.admitted,
            "stopped": self.stopped,
            **self.refused,
            "refused_tokens": self.refused_tokens,
            "refused_kv_blocks": self.refused_kv_blocks,
            "peak_kv_blocks": self.peak_kv_blocks,
            "peak_concurrency": self.peak_concurrency,
        }


class Wanting(NamedTuple):
    """What requests that wait need together."""

    requests: int
    tokens: int
    kv_blocks: int


@dataclass(slots=True)
class _Waits:
    need: Need
    answer: asyncio.Future[Failure | None]


class Desk:
    """Of one pool, in one gateway.

    Args:
        pool: its id.
        rules: how requests wait.
        burst_ms: how much of a rate may be spent at once; a request must fit into it.
        now_ms: milliseconds since 1970 that never run backwards.
    """

    def __init__(self, pool: str, rules: Rules, burst_ms: int, now_ms: Callable[[], int]) -> None:
        self.pool = pool
        self._rules = rules
        self._burst_ms = burst_ms
        self._now_ms = now_ms
        self._admission: Admission | None = None
        self._closed = ""
        self._block_tokens = 1
        self._limits: Mapping[str, TenantLimits] = {}
        self._running: dict[str, Need] = {}
        self._rooms: dict[str, WaitingRoom] = {}
        self._waiting: dict[str, _Waits] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._tallies: dict[str, Tally] = {}

    @property
    def in_flight(self) -> int:
        """Requests that were admitted and not settled."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """Requests that wait for their tenants' limits."""
        return len(self._waiting)

    @property
    def ready(self) -> bool:
        """Whether there are limits to decide by."""
        return self._admission is not None and not self._closed

    def limit(self, limits: PoolLimits | PoolLeases) -> None:
        """These limits are in force from now on. A lease is a part of larger ones: what it grows by fills with time.

        Raises:
            DeskError: they can't be meant.
        """
        if self._admission is None:
            self._block_tokens = limits.kv_block_tokens
            self._admission = Admission(
                limits.capacity,
                kv_block_tokens=limits.kv_block_tokens,
                burst_ms=self._burst_ms,
                knots=limits.knots,
                leased=isinstance(limits, PoolLeases),
            )
        refused = self._admission.set_limits(self._now_ms(), limits.tenants, limits.capacity)
        if refused is not None and refused.mistake not in HALF_A_TICK:
            raise DeskError(refused)
        self._limits = limits.tenants
        self._closed = ""
        for tenant in tuple(self._rooms):
            self._next(tenant)

    def close(self, why: str) -> None:
        """Nothing is admitted until there are limits again; what runs goes on."""
        self._closed = why
        for tenant in tuple(self._rooms):
            self._next(tenant)

    async def ask(self, need: Need) -> Failure | None:
        """None: it runs, and must be settled. It may have waited; who is cancelled meanwhile waits no more."""
        room = self._rooms.get(need.tenant)
        behind = room is not None and room.before(need.weight, need.class_, self._now_ms())
        decided = None if behind else self._admit(need)
        if isinstance(decided, Admitted):
            return None
        if isinstance(decided, Failure):
            return decided
        if decided is not None and not self._may_wait(need, decided):
            return self._refuse(need, decided)
        return await self._wait(need, decided)

    def settle(self, request: str, input_tokens: int, output_tokens: int) -> None:
        """A request has ended: it pays what it used, and whoever waits for it is asked."""
        need = self._running.pop(request)
        settled = self._rule.settle(self._now_ms(), request, input_tokens, output_tokens)
        if isinstance(settled, Rejected):
            raise DeskError(settled)
        if need.tenant in self._rooms:
            self._next(need.tenant)

    def allowance(self, tenant: str) -> Allowance | None:
        """What the tenant has left; None: nobody knows yet."""
        return None if self._admission is None else self._admission.allowance(tenant) or NOTHING

    def held(self, tenant: str) -> Used | None:
        """What the tenant uses now."""
        return None if self._admission is None else self._admission.used(tenant)

    def waits(self) -> dict[str, Wanting]:
        """What waits now, by tenant."""
        found: dict[str, Wanting] = {}
        for waits in self._waiting.values():
            need = waits.need
            tokens = need.input_tokens + need.most_output
            before = found.get(need.tenant, Wanting(0, 0, 0))
            found[need.tenant] = Wanting(
                before.requests + 1, before.tokens + tokens, before.kv_blocks + -(-tokens // self._block_tokens)
            )
        return found

    def take_tallies(self) -> dict[str, Tally]:
        """What happened since this was asked last, by tenant; of those of whom nothing did, and who run nothing, there is none."""
        taken, self._tallies = self._tallies, {}
        for need in self._running.values():
            self._look(need.tenant)
        return dict(sorted(taken.items()))

    def _admit(self, need: Need) -> Admitted | Refused | Failure:
        """Asks once, and does what follows if it is admitted."""
        if self._admission is None or self._closed:
            self._tally(need.tenant).refused["refused_unknown"] += 1
            told = self._closed or f"the limits of pool {self.pool} are not known yet"
            return Failure(503, Code.NO_LIMITS, told, retry_after_ms=1000)
        decided = self._admission.admit(
            self._now_ms(), need.tenant, need.request, need.input_tokens, need.most_output, lowered=need.lowered
        )
        if isinstance(decided, Rejected):
            if decided.mistake is not Mistake.UNKNOWN_TENANT:
                raise DeskError(decided)
            self._count(need, "refused_own_throughput")
            return Failure(429, Code.RATE_LIMIT, f"{need.tenant} may use nothing of pool {self.pool}")
        if isinstance(decided, Admitted):
            self._running[need.request] = need
            tally = self._tally(need.tenant)
            tally.admitted += 1
            tally.admitted_tokens += need.input_tokens + need.most_output
            self._look(need.tenant)
            for request in decided.stop:
                stopped = self._running[request]
                self._tally(stopped.tenant).stopped += 1
                stopped.stop()
        return decided

    def _may_wait(self, need: Need, refused: Refused) -> bool:
        """Whether what is missing is its tenant's own: its limit's, or, if it is reserved, its right's."""
        if refused.never or refused.whose is Whose.OWN:
            return not refused.never
        limits = self._limits.get(need.tenant)
        return limits is not None and need.lowered is None and TIERS.index(limits.tier) in RESERVED

    async def _wait(self, need: Need, refused: Refused | None) -> Failure | None:
        now, room = self._now_ms(), self._rooms.setdefault(need.tenant, WaitingRoom(self._rules))
        if isinstance(room.enter(now, need.request, need.weight, need.class_), NotTaken):
            return self._turned_away(need, refused, f"{len(room)} requests wait already")
        waits = _Waits(need, asyncio.get_running_loop().create_future())
        self._waiting[need.request] = waits
        self._ask_again(need.tenant, AGAIN_MS if refused is None else _again_ms(refused))
        try:
            async with asyncio.timeout(self._rules.longest_ms / 1000):
                return await waits.answer
        except TimeoutError:
            if _answered(waits):
                return waits.answer.result()
            return self._turned_away(need, refused, f"it waited {self._rules.longest_ms} ms")
        except asyncio.CancelledError:
            if _answered(waits) and waits.answer.result() is None:
                self.settle(need.request, 0, 0)  # admitted in the very moment in which its client went
            raise
        finally:
            self._leave(need)

    def _leave(self, need: Need) -> None:
        """It waits no more, and who comes after it may have its turn."""
        self._waiting.pop(need.request, None)
        room = self._rooms.get(need.tenant)
        if room is not None and room.leave(need.request):
            self._next(need.tenant)

    def _next(self, tenant: str) -> None:
        """Asks for whose turn it is, one after the other, for as long as they fit."""
        room = self._rooms[tenant]
        while room.first is not None:
            waits = self._waiting[room.first.request]
            if waits.answer.done():  # cancelled a moment ago: its client has gone, or it has waited too long
                room.leave(waits.need.request)
                continue
            decided = self._admit(waits.need)
            if isinstance(decided, Refused) and self._may_wait(waits.need, decided):
                self._ask_again(tenant, _again_ms(decided))
                return
            room.leave(waits.need.request)
            if isinstance(decided, Refused):
                decided = self._refuse(waits.need, decided)
            waits.answer.set_result(None if isinstance(decided, Admitted) else decided)
        del self._rooms[tenant]
        if (timer := self._timers.pop(tenant, None)) is not None:
            timer.cancel()

    def _ask_again(self, tenant: str, in_ms: int) -> None:
        """At the latest: an earlier moment that is set already stays, or those who keep coming would put it off for ever."""
        loop, timer = asyncio.get_running_loop(), self._timers.get(tenant)
        if timer is not None:
            if timer.when() <= loop.time() + in_ms / 1000:
                return
            timer.cancel()
        self._timers[tenant] = loop.call_later(in_ms / 1000, self._turn, tenant)

    def _turn(self, tenant: str) -> None:
        self._timers.pop(tenant, None)
        if tenant in self._rooms:
            self._next(tenant)

    def _turned_away(self, need: Need, refused: Refused | None, why: str) -> Failure:
        """It waited in vain, or could not even wait."""
        if refused is None:
            self._count(need, "refused_own_throughput")
            return Failure(
                429, Code.RATE_LIMIT, f"requests of {need.tenant} that came before it wait still: {why}", retry_after_ms=1000
            )
        failure = self._refuse(need, refused)
        return Failure(
            failure.status, failure.code, f"{failure.message}; {why}", retry_after_ms=failure.retry_after_ms, more=failure.more
        )

    def _refuse(self, need: Need, refused: Refused) -> Failure:
        self._count(need, f"refused_{refused.whose}_{refused.dimension.name.lower()}")
        return refusal(refused, need.tenant, self.pool)

    def _count(self, need: Need, why: str) -> None:
        tally, tokens = self._tally(need.tenant), need.input_tokens + need.most_output
        tally.refused[why] += 1
        tally.refused_tokens += tokens
        tally.refused_kv_blocks += -(-tokens // self._block_tokens)

    def _tally(self, tenant: str) -> Tally:
        tally = self._tallies.get(tenant)
        if tally is None:  # making one for each call takes longer than what is done with it
            tally = self._tallies[tenant] = Tally()
        return tally

    def _look(self, tenant: str) -> None:
        """What the tenant holds now may be the most of the interval: when one is admitted, and as it begins. Less is no more."""
        held = self._rule.used(tenant)
        if held is not None:
            tally = self._tally(tenant)
            tally.peak_kv_blocks = max(tally.peak_kv_blocks, held.kv)
            tally.peak_concurrency = max(tally.peak_concurrency, held.concurrency)

    @property
    def _rule(self) -> Admission:
        if self._admission is None:
            raise DeskError("a request before there are limits")
        return self._admission


def _again_ms(refused: Refused) -> int:
    """When to ask again. The pool knows when it has something free, not when a right has."""
    return AGAIN_MS if refused.whose is Whose.POOL or refused.retry_after_ms is None else refused.retry_after_ms


def _answered(waits: _Waits) -> bool:
    """Whether it was decided about; a wait that is given up cancels its future."""
    return waits.answer.done() and not waits.answer.cancelled()
