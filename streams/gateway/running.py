"""A gateway put together from settings: keys and limits that it follows, where it measures, what it reports each second."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from starlette.applications import Starlette

from processors.waiting import Rules as WaitingRules
from streams.api_keys import ApiKeys
from streams.client import AdmissionPublisher
from streams.errors import Unavailable
from streams.gateway.app import gateway_app
from streams.gateway.arriving import Rules
from streams.gateway.asked import Counting
from streams.gateway.desk import Desk
from streams.gateway.exchange import Gate
from streams.gateway.metered import Metered
from streams.gateway.metrics import Metrics
from streams.gateway.upstream import Upstream
from streams.limits import LimitsTail
from streams.settings import Settings

log = logging.getLogger(__name__)

REPORT_S = 1.0


@dataclass(frozen=True, slots=True)
class Choices:
    """What an operator chooses for a gateway.

    Attributes:
        name: of this gateway; the source of its events, and of its files. No other may have it.
        rules: how requests are treated.
        waiting: how they wait for their tenants' limits.
        upstream: who answers them.
        count: how texts are counted.
        burst_ms: how much of a rate may be spent at once.
        directory: of its write-ahead files.
    """

    name: str
    rules: Rules
    waiting: WaitingRules
    upstream: Upstream
    count: Counting
    burst_ms: int
    directory: Path


def build(settings: Settings, choices: Choices) -> Starlette:
    """The application; everything else begins with it and ends with it.

    Raises:
        WriteAheadError: another gateway of this name runs, or its files are damaged.
        OSError: they can't be written.
    """
    opening_ms = time.time_ns() // 1_000_000 - time.monotonic_ns() // 1_000_000

    def now_ms() -> int:
        """Milliseconds since 1970 that never run backwards, as admission wants them."""
        return opening_ms + time.monotonic_ns() // 1_000_000

    desks = {pool: Desk(pool, choices.waiting, choices.burst_ms, now_ms) for pool in sorted(choices.rules.pools)}
    gate = Gate(
        rules=choices.rules,
        keys=ApiKeys(settings),
        desks=desks,
        metered=Metered(settings, choices.name, choices.directory),
        upstream=choices.upstream,
        count=choices.count,
        now_ms=now_ms,
        metrics=Metrics(),
    )
    gate.metrics.watch(desks)

    def ready() -> str | None:
        without = [pool for pool, desk in desks.items() if not desk.ready]
        return f"no limits of pool {', '.join(without)} yet" if without else None

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as ending:
            await gate.upstream.start()
            ending.push_async_callback(gate.upstream.close)
            ending.push_async_callback(asyncio.to_thread, gate.metered.close)
            await gate.keys.start()
            ending.push_async_callback(gate.keys.close)
            admissions = AdmissionPublisher(settings, source=choices.name)
            ending.push_async_callback(asyncio.to_thread, _close, admissions)
            async with asyncio.TaskGroup() as tasks:
                following = [tasks.create_task(_follow(settings, desk), name=f"limits of {desk.pool}") for desk in desks.values()]
                following.append(tasks.create_task(_report(gate, admissions, choices.name), name="reports"))
                yield
                for task in following:
                    task.cancel()

    return gateway_app(gate, ready, lifespan)


async def _follow(settings: Settings, desk: Desk) -> None:
    """Limits are in force as soon as they are read."""
    tail = LimitsTail(settings, desk.pool)
    try:
        await tail.start()
        async for limits in tail.limits():
            if limits is not None and limits.tenants:
                desk.limit(limits)
    finally:
        await tail.close()


async def _report(gate: Gate, admissions: AdmissionPublisher, name: str) -> None:
    """What was admitted and refused, each second, one event for each tenant of which there is something to tell."""
    life, reports, reported_ms = time.time_ns(), 0, gate.now_ms()
    while True:
        await asyncio.sleep(REPORT_S)
        gate.keys.check()
        now = gate.now_ms()
        for pool, desk in gate.desks.items():
            for tenant, tally in desk.take_tallies().items():
                reports += 1
                admissions.publish(
                    id=f"{name}-{life:x}-{reports}",
                    time=now,
                    tenant=tenant,
                    pool=pool,
                    interval_ms=now - reported_ms,
                    **tally.told(),
                )
        reported_ms = now


def _close(admissions: AdmissionPublisher) -> None:
    try:
        admissions.close()
    except Unavailable as lost:
        log.warning("the last reports of admission are lost: %s", lost)
