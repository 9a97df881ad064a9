"""The demo's gateway: which request of the token pool runs, by the rules of processors/admission under published limits.

It reads `limits`; it publishes what requests used and how long they took, and each second what it admitted and refused. In place of
a replica there is the time that one would take. One thread with an event loop of its own, in which everything happens.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from infra.demo.shared_pool import reserved_output
from infra.workloads import TPOT_MS, Request
from processors.admission import Admission, Admitted, Mistake, Refused, Rejected
from streams.client import AdmissionPublisher, LatencyPublisher, UsagePublisher
from streams.errors import Unavailable
from streams.gateway.desk import HALF_A_TICK, Tally
from streams.limits import LimitsTail, PoolLimits
from streams.settings import Settings

REPORT_S = 1.0
BURST_MS = 4_000
"""How much of a rate may be spent at once: each tenant's requests fit into it, and an overload of seconds is one."""
LIMITS_READY_S = 30.0

SERVED, STOPPED, CANCELLED = "ok", "stopped", "cancelled"


class GatewayError(Exception):
    """Admission was called wrongly: a mistake of the gateway's."""


@dataclass(frozen=True, slots=True)
class _Running:
    request: Request
    started_ms: int
    end: asyncio.TimerHandle


class Gateway:
    """Serves one pool.

    Attributes:
        source: names this gateway in every event.
        tokens: used so far, by tenant.
        admitted: requests, by tenant.
        refused: likewise.
        stopped: likewise; they had been admitted.
        at_ms: time of the play, of the latest request.
    """

    def __init__(self, settings: Settings, pool: str, source: str, requests: Callable[[], Iterable[Request]]) -> None:
        self.source = source
        self.tokens: Counter[str] = Counter()
        self.admitted: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.stopped: Counter[str] = Counter()
        self.at_ms = 0
        self._settings = settings
        self._pool = pool
        self._requests = requests
        self._usage = UsagePublisher(settings, source=source)
        self._latency = LatencyPublisher(settings, source=source)
        self._admissions = AdmissionPublisher(settings, source=source)
        self._admission: Admission | None = None
        self._block_tokens = 1
        self._running: dict[str, _Running] = {}
        self._tallies: dict[str, Tally] = {}
        self._reported_ms = self._reports = 0
        self._opening_ms = time.time_ns() // 1_000_000 - time.monotonic_ns() // 1_000_000
        self._stopping = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="gateway", daemon=True)

    def start(self) -> None:
        """Begins as soon as it has limits."""
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether more will be asked."""
        return self._thread.is_alive()

    @property
    def in_flight(self) -> int:
        """Requests that run."""
        return len(self._running)

    def finish(self) -> dict[str, int]:
        """Stops, cancels what runs, and waits for every acknowledgement: how many events of which kind.

        Raises:
            UndeliveredError: something was not acknowledged.
            PublishTimeout: Kafka was away for too long.
            Unavailable: Kafka does not answer, no limits came, or they can't be read.
        """
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()
        publishers: dict[str, UsagePublisher | LatencyPublisher | AdmissionPublisher] = {
            "usage": self._usage,
            "latency": self._latency,
            "admission": self._admissions,
        }
        with ExitStack() as closing:  # all of them, whatever one raises; what happened first is told, so it comes last
            closing.callback(self._tell_failure)
            for publisher in publishers.values():
                closing.callback(publisher.close)
        return {kind: publisher.delivered().acknowledged for kind, publisher in publishers.items()}

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception as failure:  # noqa: BLE001  raised again by finish(), in the thread that can tell of it
            self._failure = self._failure or failure

    def _tell_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _callback_failed(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """A request's end comes by a timer, to whose caller nothing could be raised."""
        self._failure = self._failure or context.get("exception") or GatewayError(context["message"])
        self._stopping.set()

    async def _serve(self) -> None:
        asyncio.get_running_loop().set_exception_handler(self._callback_failed)
        tail = LimitsTail(self._settings, self._pool)
        limited = asyncio.Event()
        following = asyncio.create_task(self._follow(tail, limited))
        try:
            await self._wait_for_limits(limited, following)
            await self._play(following)
            for request in list(self._running):
                self._end(request, CANCELLED)
            self._report()
        finally:
            following.cancel()
            await asyncio.wait({following})
            await tail.close()

    async def _wait_for_limits(self, limited: asyncio.Event, following: asyncio.Task[None]) -> None:
        waiting = asyncio.create_task(limited.wait())
        await asyncio.wait({waiting, following}, timeout=LIMITS_READY_S, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if following.done():
            following.result()
        if not limited.is_set():
            raise Unavailable(f"no limits of pool {self._pool} came in {LIMITS_READY_S:.0f} s: see `bourse status` and the logs")

    async def _follow(self, tail: LimitsTail, limited: asyncio.Event) -> None:
        """Limits are in force as soon as they are read."""
        await tail.start()
        async for limits in tail.limits():
            if limits is not None and limits.tenants:
                self._limit(limits)
                limited.set()

    def _limit(self, limits: PoolLimits) -> None:
        if self._admission is None:
            self._block_tokens = limits.kv_block_tokens
            self._admission = Admission(
                limits.capacity, kv_block_tokens=limits.kv_block_tokens, burst_ms=BURST_MS, knots=limits.knots
            )
        refused = self._admission.set_limits(self._now_ms(), limits.tenants, limits.capacity)
        if refused is not None and refused.mistake not in HALF_A_TICK:
            raise GatewayError(refused)

    async def _play(self, following: asyncio.Task[None]) -> None:
        """Asks each request when its time has come, and reports every second."""
        began = self._reported_ms = self._now_ms()
        for request in self._requests():
            while True:  # once at least: where requests come faster than they are decided, others get a turn, too
                left = max(began + request.at_ms - self._now_ms(), 0)
                await asyncio.sleep(min(left / 1000, REPORT_S / 10))
                if self._now_ms() - self._reported_ms >= REPORT_S * 1000:
                    self._report()
                if self._stopping.is_set():
                    return
                if not left:
                    break
            if following.done():
                following.result()
            self.at_ms = request.at_ms
            self._ask(request)

    def _ask(self, request: Request) -> None:
        now, most = self._now_ms(), reserved_output(request)
        name = f"{self.source}-{self.admitted.total() + self.refused.total()}"
        tally = self._tallies.setdefault(request.tenant, Tally())
        decided = self._rule.admit(now, request.tenant, name, request.input_tokens, most)
        match decided:
            case Admitted(stop):
                for other in stop:
                    self._end(other, STOPPED)
                self.admitted[request.tenant] += 1
                tally.admitted += 1
                end = asyncio.get_running_loop().call_later(request.latency_ms / 1000, self._end, name, SERVED)
                self._running[name] = _Running(request, now, end)
            case Refused():
                self._refuse(request, tally, f"refused_{decided.whose}_{decided.dimension.name.lower()}")
            case Rejected(Mistake.UNKNOWN_TENANT):  # its limits are not here yet, or it has none: it may use nothing
                self._refuse(request, tally, "refused_own_throughput")
            case Rejected():
                raise GatewayError(decided)
        self._look(request.tenant, tally)

    def _refuse(self, request: Request, tally: Tally, why: str) -> None:
        tokens = request.input_tokens + reserved_output(request)
        self.refused[request.tenant] += 1
        tally.refused[why] += 1
        tally.refused_tokens += tokens
        tally.refused_kv_blocks += -(-tokens // self._block_tokens)

    def _end(self, name: str, status: str) -> None:
        """A request has ended: what it really used is settled and published."""
        running, now = self._running.pop(name), self._now_ms()
        running.end.cancel()
        request, ran_ms = running.request, now - running.started_ms
        used, made = request.input_tokens, request.output_tokens
        if status != SERVED:
            made = min(made, max(0, ran_ms - request.ttft_ms) // TPOT_MS)
        settled = self._rule.settle(now, name, used, made)
        if isinstance(settled, Rejected):
            raise GatewayError(settled)
        if status == STOPPED:
            self.stopped[request.tenant] += 1
            self._tallies.setdefault(request.tenant, Tally()).stopped += 1
        self.tokens[request.tenant] += used + made
        of_request = {"id": name, "time": now, "tenant": request.tenant, "pool": self._pool, "request_id": name}
        self._usage.publish(of_request, input_tokens=used, output_tokens=made)
        self._latency.publish(of_request, latency_ms=ran_ms, ttft_ms=min(ran_ms, request.ttft_ms), tpot_ms=TPOT_MS, status=status)

    def _report(self) -> None:
        """What was admitted and refused since the last report, one event for each tenant of which there is something to tell."""
        now = self._now_ms()
        for tenant, tally in sorted(self._tallies.items()):
            if tally.happened:
                self._reports += 1
                self._admissions.publish(
                    id=f"{self.source}-{self._reports}",
                    time=now,
                    tenant=tenant,
                    pool=self._pool,
                    interval_ms=now - self._reported_ms,
                    **tally.told(),
                )
            self._tallies[tenant] = fresh = Tally()
            self._look(tenant, fresh)
        self._reported_ms = now

    def _look(self, tenant: str, tally: Tally) -> None:
        """What the tenant holds now may be the most of the interval."""
        held = self._rule.used(tenant)
        if held is not None:
            tally.peak_kv_blocks = max(tally.peak_kv_blocks, held.kv)
            tally.peak_concurrency = max(tally.peak_concurrency, held.concurrency)

    @property
    def _rule(self) -> Admission:
        if self._admission is None:
            raise GatewayError("a request before there are limits")
        return self._admission

    def _now_ms(self) -> int:
        """Milliseconds since 1970 that never run backwards, as admission wants them."""
        return self._opening_ms + time.monotonic_ns() // 1_000_000
