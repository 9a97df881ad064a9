"""The engine's role by itself: facts in order whatever the portions, and nothing decided for a partition that was lost.

Only the producer is replaced by a list: crashes and real topics are in tests/e2e.
"""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from faust.types import TP
from journal_world import World, pool, profile, usage

from streams.app import build_app
from streams.codecs import decode, encode
from streams.roles import engine as role_module
from streams.roles.engine import Engine
from streams.transport import Batch, Committed

NEVER_MS = 2**62
JOURNAL = TP("journal", 0)


@pytest.fixture
def world() -> World:
    world = World()
    world.take(pool(base_price=1), profile("1", "a", base=10), profile("2", "b"))
    for number in range(2, 30):
        world.take(usage(number, {"a": 5, "b": 7}))
        world.run(number, number)
    return world


async def nothing() -> None:
    """Happens."""


class Sent(list):
    """What was handed to the producer, call by call; `on_call` happens while a call waits."""

    def __init__(self) -> None:
        super().__init__()
        self.on_call = nothing

    async def take(self, app: object, records: list) -> None:
        self.append(list(records))
        await self.on_call()

    @property
    def values(self) -> list[bytes]:
        return [record.value for call in self for record in call]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Sent:
    sent = Sent()
    monkeypatch.setattr(role_module, "send_all", sent.take)
    return sent


@pytest.fixture
def engine(tmp_path) -> Engine:
    app = build_app("engine-role", brokers="127.0.0.1:9", datadir=tmp_path)
    return Engine(app, {}, journal="journal", facts="facts", limits="limits", market="market", snapshot_every_ms=NEVER_MS)


def batch(world: World, start: int = 0) -> Batch:
    records = [SimpleNamespace(offset=offset, value=encode(record)) for offset, record in world.journal[start:]]
    return Batch("journal", 0, records, generation=1)


def own(engine: Engine) -> dict[TP, int]:
    return asyncio.run(engine.assigned({JOURNAL: Committed(None)}))


@pytest.mark.parametrize("portion", [1, 500, role_module.PORTION_BYTES])
def test_facts_are_sent_in_their_order_in_portions(engine, world, sent, monkeypatch, portion):
    monkeypatch.setattr(role_module, "PORTION_BYTES", portion)
    assert own(engine) == {JOURNAL: 0}
    asyncio.run(engine.take(batch(world)))
    assert sent.values == [encode(fact) for fact in world.facts]
    assert all(record.topic == "facts" and record.partition == 0 for call in sent for record in call)
    assert (len(sent) == 1) == (portion > 500)
    offsets = [{decode(record.value).journal_offset for record in call} for call in sent]
    assert sum(map(len, offsets)) == len(set().union(*offsets))  # a record's facts stay together


def test_records_that_are_known_are_skipped(engine, world, sent):
    own(engine)
    asyncio.run(engine.take(batch(world)))
    asyncio.run(engine.take(batch(world, start=5)))
    assert sent.values == [encode(fact) for fact in world.facts]


def test_nothing_more_is_decided_when_the_partition_was_lost_meanwhile(engine, world, sent, monkeypatch):
    monkeypatch.setattr(role_module, "PORTION_BYTES", 1)
    own(engine)
    sent.on_call = lambda: engine.revoked({JOURNAL})
    asyncio.run(engine.take(batch(world)))
    assert len(sent) == 1
    asyncio.run(engine.take(batch(world)))  # and a batch that was on its way
    assert len(sent) == 1
