"""Anything at all through a gateway's parts: streams cut anywhere, garbage, bodies of any JSON, a desk in any order of calls."""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from processors.admission import KNOTS
from processors.entitlement import Capacity, Quota, TenantLimits
from processors.waiting import Class
from processors.waiting import Rules as WaitingRules
from schemas.published import Tier
from streams.gateway.answers import Failure
from streams.gateway.asked import MOST_TOKENS, Asked, BadBody, Kind, read
from streams.gateway.counting import estimated
from streams.gateway.desk import Desk, Need
from streams.gateway.usage import Events, Measured
from streams.limits import PoolLimits

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=9,
)
FIELDS = ["model", "messages", "prompt", "input", "stream", "stream_options", "max_tokens", "max_completion_tokens", "n", "best_of"]
FIELDS += ["max_output_tokens", "service_tier", "background", "tools", "n_predict"]
LIKELY: dict[str, Any] = {"model": "m", "messages": [], "prompt": "p", "input": [1, 2], "stream": True}
bodies = st.dictionaries(st.sampled_from(FIELDS), json_values, max_size=5).map(lambda wild: {**LIKELY, **wild})


@settings(max_examples=80, deadline=None)
@given(kind=st.sampled_from(list(Kind)), fields=bodies | json_values, spaces=st.sampled_from([None, 1]))
@example(kind=Kind.COMPLETIONS, fields={**LIKELY, "prompt": ["a"] * 4_096, "n": 1_024, "max_tokens": 2**31}, spaces=None)
@example(kind=Kind.CHAT, fields={**LIKELY, "stream_options": None, "x": 10**400}, spaces=None)
@example(kind=Kind.CHAT, fields={**LIKELY, "stream_options": {"include_usage": None, "continuous": 1.5}}, spaces=1)
def test_any_json_is_refused_in_words_or_costs_what_events_can_tell(kind: Kind, fields: Any, spaces: int | None) -> None:
    body = json.dumps(fields, indent=spaces).encode()
    try:
        asked = read(kind, body, count=estimated, default_output=50)
    except BadBody:
        return
    assert 1 <= asked.input_tokens <= len(body)
    assert (asked.most_output == 0) == (kind is Kind.EMBEDDINGS)
    assert asked.most_output <= MOST_TOKENS
    passed = json.loads(asked.body)
    if asked.streams and kind in (Kind.CHAT, Kind.COMPLETIONS):
        assert passed.pop("stream_options")["include_usage"] is True
        fields.pop("stream_options", None)
    assert passed == fields


def asking(kind: Kind, *, wants_usage: bool = False, most: int = 1_000) -> Asked:
    return Asked(kind, "m", 7, 900, most, most, streams=True, wants_usage=wants_usage, lowered=None, body=b"")


def event(said: object, end: str) -> bytes:
    return f"data: {json.dumps(said)}{end}{end}".encode()


def choices(**delta: object) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta}]}


SAID: list[object] = [
    choices(content="a"),
    choices(role="assistant", content=""),
    choices(tool_calls=[{"function": {"arguments": "{"}}]),
    {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 4}},
    {"choices": [], "usage": None},
    {"type": "response.output_text.delta", "delta": "a"},
    {"type": "response.completed", "response": {"usage": {"input_tokens": 5, "output_tokens": 6}}},
    [1],
    None,
]
events = st.builds(event, st.sampled_from(SAID), st.sampled_from(["\n", "\r\n"])) | st.sampled_from(
    [b": ping\n\n", b"data: [DONE]\n\n", b"\n", b"\r\n", b"event: x\ndata: {}\n\n", b"data: {\ndata: }\n\n", b"\r", b"garbage"]
)
streams = st.lists(events | st.binary(max_size=9), max_size=9).map(b"".join)


@settings(max_examples=120, deadline=None)
@given(stream=streams, cuts=st.lists(st.integers(0, 600), max_size=12), wants_usage=st.booleans())
@example(stream=event(SAID[3], "\r\n") + b"\n" + event(SAID[0], "\n"), cuts=[3, 60, 61, 62, 63, 64, 65, 66, 67], wants_usage=False)
def test_a_stream_that_is_cut_anywhere_is_the_same_stream(stream: bytes, cuts: list[int], wants_usage: bool) -> None:
    def through(*parts: bytes) -> tuple[bytes, Measured]:
        measured = Measured()
        passing = Events(asking(Kind.CHAT, wants_usage=wants_usage), measured)
        return b"".join(map(passing.take, parts)) + passing.rest(), measured

    places = [0, *sorted(cuts), len(stream)]
    parts = [stream[begin:end] for begin, end in pairwise(places)]
    whole = through(stream)
    assert through(*parts) == whole
    assert through(*(stream[at : at + 1] for at in range(len(stream)))) == whole
    if wants_usage or b"usage" not in stream:
        assert whole[0] == stream


class Play:
    """Clients of one desk that ask, wait, run, go away and are stopped, while limits change, in virtual milliseconds."""

    SLOTS = 6

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.desk = Desk("llm", WaitingRules(length=4, longest_ms=30, head_start_ms=10, heaviest=100), 1_000, self._now_ms)
        self.running: dict[str, int] = dict.fromkeys("abc", 0)
        self.slots = dict.fromkeys("abc", 0)
        self.outcomes: dict[str, int] = {}
        self.clients: list[asyncio.Task[None]] = []

    def _now_ms(self) -> int:
        return int(asyncio.get_running_loop().time() * 1000)

    def limit(self) -> None:
        tiers = dict(zip("abc", (Tier.GUARANTEED, Tier.ELASTIC, Tier.PREEMPTIBLE), strict=True))
        self.slots = {"a": self.random.randint(1, 3), "b": self.random.randint(0, 4), "c": self.random.randint(1, 6)}
        limits = {
            tenant: TenantLimits(tiers[tenant], (Quota(10**4, 10**6, 0), Quota(100, 10**5, 0), Quota(slots, 0, 0)))
            for tenant, slots in self.slots.items()
            if self.random.random() < 0.95
        }
        self.desk.limit(PoolLimits(Capacity(10**6, 10**4, self.SLOTS), 16, KNOTS, limits))

    async def client(self, name: str, tenant: str) -> None:
        task = asyncio.current_task()
        assert task is not None
        stopped = False

        def stop() -> None:
            nonlocal stopped
            stopped = True
            task.cancel()

        most = self.random.choice([1, 50, 500])
        need = Need(name, tenant, 10, most, 10 + most, self.random.choice(list(Class)), None, stop)
        admitted = False
        try:
            refused = await self.desk.ask(need)
            admitted = refused is None
            if isinstance(refused, Failure):
                self._count(str(refused.code))
                return
            self.running[tenant] += 1
            assert self.desk.in_flight >= sum(self.running.values())
            await asyncio.sleep(self.random.choice([0, 0.001, 0.004]))
            self._count("ran")
        except asyncio.CancelledError:
            task.uncancel()
            self._count("stopped" if stopped else "gone")
        finally:
            if admitted:
                self.running[tenant] -= 1
                self.desk.settle(name, 10, self.random.randint(0, most))
                if self.random.random() < 0.3:
                    self._one_goes()  # perhaps one that was admitted by this very settlement, and does not know it yet

    def _one_goes(self) -> None:
        if going := [each for each in self.clients if not each.done() and each is not asyncio.current_task()]:
            self.random.choice(going).cancel()

    def _in_flight(self) -> Counter[str]:
        return Counter(need.tenant for need in self.desk._running.values())

    def _count(self, what: str) -> None:
        self.outcomes[what] = self.outcomes.get(what, 0) + 1

    async def whole(self, steps: int) -> None:
        self.limit()
        clients = self.clients
        for step in range(steps):
            chance = self.random.random()
            if chance < 0.7:
                clients.append(asyncio.create_task(self.client(f"r{step}", self.random.choice("abc"))))
            elif chance < 0.8:
                self._one_goes()
            elif chance < 0.85:
                self.limit()
                # what runs above a smaller limit ends first
                while any(running > self.slots[tenant] for tenant, running in self._in_flight().items()):  # noqa: ASYNC110  time is played
                    await asyncio.sleep(0.001)
            if self.random.random() < 0.5:
                await asyncio.sleep(0.0005 * self.random.randint(0, 3))
            for tenant, running in self._in_flight().items():
                assert running <= self.slots[tenant], tenant
            assert self.desk.waiting <= 3 * 4
        async with asyncio.timeout(5):
            ended = await asyncio.gather(*clients, return_exceptions=True)
        never_began = sum(isinstance(each, asyncio.CancelledError) for each in ended)
        assert [each for each in ended if each is not None and not isinstance(each, asyncio.CancelledError)] == []
        assert sum(self.outcomes.values()) == len(clients) - never_began


@pytest.mark.parametrize("seed", range(6))
def test_a_desk_in_any_order_of_calls_leaves_nobody_and_nothing(seed: int) -> None:
    problems: list[dict[str, Any]] = []

    async def play() -> Play:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: problems.append(context))
        playing = Play(seed)
        async with asyncio.timeout(30):  # what is never settled is waited for in vain
            await playing.whole(400)
        return playing

    playing = asyncio.run(play())
    desk = playing.desk
    assert not problems
    assert desk.in_flight == desk.waiting == sum(playing.running.values()) == 0
    assert not desk._rooms
    assert not desk._timers
    assert desk._admission is not None
    assert desk._admission.in_flight == 0
    assert playing.outcomes["ran"] > 50
    assert set(playing.outcomes) - {"ran", "gone", "stopped"}, "some were refused"
    assert all(re.fullmatch(r"[a-z_]+", what) for what in playing.outcomes)
