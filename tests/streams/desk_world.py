"""A gateway's desk with a clock that is played, and those who come to it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from played_time import PlayedTime

from processors.admission import KNOTS
from processors.entitlement import Capacity, TenantLimits
from processors.waiting import Class, Rules
from schemas.published import Tier
from streams.gateway.answers import Failure
from streams.gateway.desk import Desk, Need
from streams.limits import PoolLimits

LOW, NORMAL, HIGH = Class
LONGEST_MS = 2_000
RULES = Rules(length=3, longest_ms=LONGEST_MS, head_start_ms=300, heaviest=1_000)
CAPACITY = Capacity(100_000, 10_000, 100)
RATE = 1_000
"""Tokens per second, and, as bursts are of one second, tokens at once."""


class Counter:
    """A desk with those who come to it: what became of each, and when."""

    def __init__(self, rules: Rules = RULES) -> None:
        self.time = PlayedTime()
        self.desk = Desk("llm", rules, 1_000, lambda: self.time.now_ms)
        self.admitted: dict[str, int] = {}
        self.refused: dict[str, Failure] = {}
        self.stopped: list[str] = []
        self.asking: dict[str, asyncio.Task[None]] = {}

    def limit(self, tenants: dict[str, TenantLimits], capacity: Capacity = CAPACITY) -> None:
        self.desk.limit(PoolLimits(capacity, 16, KNOTS, tenants))

    async def come(
        self,
        name: str,
        most: int = 1,
        *,
        tenant: str = "ann",
        weight: int = 0,
        class_: Class = NORMAL,
        lowered: Tier | None = None,
    ) -> None:
        """It asks, and a moment later is admitted, refused, or waits."""

        async def ask() -> None:
            need = Need(name, tenant, 1, most - 1, weight, class_, lowered, lambda: self.stopped.append(name))
            refused = await self.desk.ask(need)
            if refused is None:
                self.admitted[name] = self.time.now_ms
            else:
                self.refused[name] = refused

        self.asking[name] = asyncio.create_task(ask())
        await self.moment()

    @staticmethod
    async def moment() -> None:
        """All that can happen now happens."""
        for _ in range(10):
            await asyncio.sleep(0)

    async def until(self, ms: int) -> None:
        await asyncio.sleep((ms - self.time.now_ms) / 1000)
        await self.moment()

    async def end(self, name: str, used: int = 1) -> None:
        self.desk.settle(name, used, 0)
        await self.moment()

    def play(self, story: Callable[[], Awaitable[None]]) -> None:
        """Afterwards nothing waits, and nothing that was set is left."""

        async def whole() -> None:
            await story()
            for task in self.asking.values():
                task.cancel()
            ended = await asyncio.gather(*self.asking.values(), return_exceptions=True)
            assert not [each for each in ended if isinstance(each, Exception)], "who goes away goes, and no more"
            assert self.desk.waiting == 0
            assert not self.desk._rooms
            assert not self.desk._timers
            assert not self.desk.waits()

        self.time.play(whole())
