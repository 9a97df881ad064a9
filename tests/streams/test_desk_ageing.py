"""Nothing starves at a desk: the bound that processors/waiting.py states, with a clock that is played and with real requests."""

from __future__ import annotations

import asyncio
import random
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from gateway_world import limits, world
from played_time import PlayedTime

from processors.admission import KNOTS
from processors.entitlement import Capacity
from processors.waiting import Class, Rules
from streams.gateway.desk import Desk, Need
from streams.limits import PoolLimits

CHAT = "/v1/chat/completions"
RULES = Rules(length=6, longest_ms=60_000, head_start_ms=300, heaviest=1_000)


class Line:
    """Requests of one tenant that has one slot: when each came, and when it was let in."""

    def __init__(self, desk: Desk, now_ms: Any) -> None:
        self.desk, self.now_ms = desk, now_ms
        self.came: dict[str, int] = {}
        self.admitted: dict[str, int] = {}

    async def one(self, name: str, weight: int, class_: Class, runs_ms: int) -> None:
        self.came[name] = self.now_ms()
        need = Need(name, "ann", 1, 1, weight, class_, None, lambda: None)
        if await self.desk.ask(need) is None:
            self.admitted[name] = self.now_ms()
            await asyncio.sleep(runs_ms / 1000)
            self.desk.settle(name, 1, 1)

    def check(self, length: int, head_start_ms: int) -> None:
        for name, let_in_ms in self.admitted.items():
            late_ms = self.came[name] + head_start_ms
            before = [other for other, other_ms in self.admitted.items() if other_ms < let_in_ms]
            assert not [other for other in before if self.came[other] > late_ms], f"{name} is overtaken by who came too late"
            left = [other for other in before if self.admitted[other] > late_ms]
            assert len(left) <= length, f"{name} has waited for its head start, and then for more than a room full"


@pytest.mark.parametrize("seed", range(3))
def test_nobody_is_overtaken_by_who_comes_a_head_start_later(seed: int) -> None:
    """A low and light request among heavy and high ones that never cease: in virtual time, at random."""
    chance, time_ = random.Random(seed), PlayedTime()
    desk = Desk("llm", RULES, 1_000, lambda: time_.now_ms)
    line = Line(desk, lambda: time_.now_ms)

    async def play() -> None:
        desk.limit(PoolLimits(Capacity(10**6, 10**4, 100), 16, KNOTS, {"ann": limits(slots=1)}))
        tasks = []
        for number in range(1_000):
            weight = chance.choice([1, 10, 500, 1_000, 9_999])
            class_ = chance.choices([Class.LOW, Class.NORMAL, Class.HIGH], (1, 2, 6))[0]
            tasks.append(asyncio.create_task(line.one(f"r{number}", weight, class_, chance.randint(5, 60))))
            await asyncio.sleep(chance.randint(0, 50) / 1000)
        await asyncio.gather(*tasks)

    time_.play(play())
    overtaken = sum(
        any(line.admitted[other] < line.admitted[name] for other in line.admitted if line.came[other] > line.came[name])
        for name in line.admitted
    )
    assert overtaken > 50, "the costlier do go first, within the bound"
    line.check(RULES.length, RULES.head_start_ms)
    assert desk.in_flight == desk.waiting == 0


def test_a_real_light_request_of_low_class_is_served_within_its_head_start(tmp_path: Path) -> None:
    """Heavy ones of a high class come without end, through the gateway's HTTP."""
    with world(tmp_path, waiting=RULES) as made:
        made.limit({"ann": limits(slots=1)})
        began, came = time.monotonic(), dict[str, int]()

        def ask(name: str, most: int, priority: str) -> None:
            came[name] = round((time.monotonic() - began) * 1000)
            said = [{"role": "user", "content": name}]
            body = {"model": "m", "messages": said, "max_tokens": most, "metadata": {"seconds": 0.06}}
            with made.client() as client:
                client.post(CHAT, json=body, headers={"x-bourse-priority": priority})

        with ThreadPoolExecutor(16) as pool:
            for number in range(5):
                pool.submit(ask, f"heavy{number}", 9_999, "high")
            made.until(lambda: made.desk.waiting == 4, "four wait")
            pool.submit(ask, "light", 1, "low")
            made.until(lambda: made.desk.waiting >= 4 and "light" in came, "it waits")
            for number in range(5, 16):
                pool.submit(ask, f"heavy{number}", 9_999, "high")
                time.sleep(0.06)
        order = [name for body in made.upstream.asked for name in came if f'"{name}"'.encode() in body]
        assert "light" in order
        before = order[: order.index("light")]
        late_ms = came["light"] + RULES.head_start_ms + 100  # threads begin late
        assert [name for name in before if came[name] > late_ms] == []
        assert [name for name in came if came[name] > late_ms], "there were such"
        made.settled()
