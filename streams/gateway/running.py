"""A gateway put together from settings: keys and limits that it follows, where it measures, what it reports each second."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from starlette.applications import Starlette

from processors.waiting import Rules as WaitingRules
from schemas.gateways import LEASE_MS
from streams.api_keys import ApiKeys
from streams.client import AdmissionPublisher
from streams.collector import relax_collector, spare_present_objects
from streams.errors import Unavailable
from streams.gateway.admitting import Parts
from streams.gateway.app import gateway_app
from streams.gateway.arriving import Rules
from streams.gateway.counting import Counting
from streams.gateway.desk import Desk
from streams.gateway.exchange import Gate
from streams.gateway.leased import FailSafe, Leased
from streams.gateway.metered import Metered
from streams.gateway.metrics import Metrics
from streams.gateway.upstream import Upstream
from streams.leases import REPORT_MS, SOON_MS
from streams.settings import Settings

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Choices:
    """What an operator chooses for a gateway.

    Attributes:
        name: of this gateway; the source of its events, and of its files. No other may have it.
        rules: how requests are treated.
        waiting: how they wait for their tenants' limits.
        count: how texts are counted.
        burst_ms: how much of a rate may be spent at once.
        directory: of its write-ahead files.
        fail_safe: what is admitted while Kafka or the engine is away for longer than a lease.
        lease_ms: for how long leases hold.
    """

    name: str
    rules: Rules
    waiting: WaitingRules
    count: Counting
    burst_ms: int
    directory: Path
    fail_safe: FailSafe = field(default_factory=FailSafe)
    lease_ms: int = LEASE_MS


def parts_of(settings: Settings, choices: Choices) -> Parts:
    """What such a gateway decides by and writes to; `going` starts what follows Kafka.

    Raises:
        WriteAheadError: another gateway of this name runs, or its files are damaged.
        OSError: they can't be written.
    """
    opening_ms = time.time_ns() // 1_000_000 - time.monotonic_ns() // 1_000_000

    def now_ms() -> int:
        """Milliseconds since 1970 that never run backwards, as admission wants them."""
        return opening_ms + time.monotonic_ns() // 1_000_000

    desks = {pool: Desk(pool, choices.waiting, choices.burst_ms, now_ms) for pool in sorted(choices.rules.pools)}
    parts = Parts(
        rules=choices.rules,
        keys=ApiKeys(settings),
        desks=desks,
        metered=Metered(settings, choices.name, choices.directory),
        count=choices.count,
        now_ms=now_ms,
        metrics=Metrics(),
    )
    parts.metrics.watch(desks)
    return parts


def build(
    settings: Settings, choices: Choices, upstream: Upstream, metrics_at: tuple[str, int] | None = None
) -> tuple[Starlette, Parts]:
    """The application of a gateway that passes requests on, and its parts; everything else begins with it and ends with it.

    Args:
        settings: how to reach Kafka.
        choices: of the operator.
        upstream: who answers.
        metrics_at: host and port for Prometheus; None: it is told nothing.

    Raises:
        UserError: nobody can listen at `metrics_at`.
        WriteAheadError: another gateway of this name runs, or its files are damaged.
        OSError: they can't be written.
    """
    gate = Gate.in_front_of(upstream, parts_of(settings, choices))
    metrics = gate.metrics.serve(*metrics_at) if metrics_at else None

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[dict[str, object]]:
        async with AsyncExitStack() as ending:
            if metrics is not None:
                log.info("metrics at port %d", metrics[0])
                ending.push_async_callback(asyncio.to_thread, metrics[1])
            await upstream.start()
            ending.push_async_callback(upstream.close)
            await ending.enter_async_context(going(settings, choices, gate))
            yield {"failed": gate.metrics.failed}

    return gateway_app(gate, lambda: gate.not_ready, lifespan), gate


@asynccontextmanager
async def going(settings: Settings, choices: Choices, parts: Parts) -> AsyncIterator[None]:
    """While this is open the parts follow Kafka and tell it what they did.

    Raises:
        Unavailable: Kafka does not answer at the start.
    """
    async with AsyncExitStack() as ending:
        parts.metered.start()
        ending.push_async_callback(asyncio.to_thread, parts.metered.close)
        await parts.keys.start()
        ending.push_async_callback(parts.keys.close)
        admissions = AdmissionPublisher(settings, source=choices.name, max_wait=timedelta(0))
        ending.push_async_callback(asyncio.to_thread, _close, admissions)
        leases = [
            Leased(settings, desk, choices.name, fail_safe=choices.fail_safe, lease_ms=choices.lease_ms, now_ms=parts.now_ms)
            for desk in parts.desks.values()
        ]
        for lease in leases:
            ending.push_async_callback(lease.leave)
        reports = _Reports(parts, dict(zip(parts.desks, leases, strict=True)), admissions, choices.name)
        ending.callback(reports.tell)  # of the last part of a second
        tasks = [asyncio.create_task(reports.each_second()), *(asyncio.create_task(lease.follow()) for lease in leases)]
        ending.push_async_callback(_stop, *tasks)
        for task in tasks:
            task.add_done_callback(_told)
        relax_collector()
        spare_present_objects()  # or all requests wait for 0.1 s now and then
        yield


class _Reports:
    """What was wanted, to the engine; what was admitted and refused, one event for each tenant."""

    def __init__(self, parts: Parts, leases: Mapping[str, Leased], admissions: AdmissionPublisher, name: str) -> None:
        self._parts, self._leases, self._admissions = parts, leases, admissions
        self._prefix, self._number, self._told_ms = f"{name}-{time.time_ns():x}", 0, parts.now_ms()

    async def each_second(self) -> None:
        """Or sooner, if a lease came or requests wait."""
        while True:
            self.tell()
            await asyncio.sleep(SOON_MS / 1000)
            if not any(lease.has_news for lease in self._leases.values()):
                await asyncio.sleep((REPORT_MS - SOON_MS) / 1000)
            self._parts.keys.check()

    def tell(self) -> None:
        """Of the time since this was called last."""
        now = self._parts.now_ms()
        for pool, desk in self._parts.desks.items():
            tallies = desk.take_tallies()
            self._leases[pool].report(tallies)
            for tenant, tally in tallies.items():
                self._number += 1
                fields = {"id": f"{self._prefix}-{self._number}", "time": now, "tenant": tenant, "pool": pool}
                try:
                    self._admissions.publish(fields, interval_ms=now - self._told_ms, **tally.told())
                except Unavailable as away:
                    log.warning("what was admitted in a second is not told: %s", away)
        self._told_ms = now
        with suppress(OSError):  # each request that is refused for it says so
            self._parts.metered.write_owed()


async def _stop(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _told(task: asyncio.Task[None]) -> None:
    """A gateway that can't follow what it decides by must not go on as if it could: its process ends, and is started again."""
    if not task.cancelled() and (failure := task.exception()) is not None:
        log.critical("the gateway stops: %s", failure, exc_info=None if isinstance(failure, Unavailable) else failure)
        signal.raise_signal(signal.SIGINT)


def _close(admissions: AdmissionPublisher) -> None:
    try:
        admissions.close()
    except Unavailable as lost:
        log.warning("the last reports of admission are lost: %s", lost)
