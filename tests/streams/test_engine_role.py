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
    """Facts that were handed to the producer, call by call; `on_call` happens while a call waits. `told` is what went elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.told = []
        self.on_call = nothing

    async def take(self, app: object, records: list) -> None:
        if records and records[0].topic != "facts":
            self.told.append((len(self), list(records)))
            return
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
    return Engine(
        app,
        {},
        journal="journal",
        facts="facts",
        limits="limits",
        market="market",
        leases="leases",
        scaling="scaling",
        snapshot_every_ms=NEVER_MS,
    )


def batch(world: World, start: int = 0) -> Batch:
    records = [SimpleNamespace(offset=offset, value=encode(record)) for offset, record in world.journal[start:]]
    return Batch("journal", 0, records, generation=1)


async def take_and_tell(engine: Engine, of: Batch) -> None:
    """As `take`, until the engine has told what changed."""
    await engine.take(of)
    for task in engine._app._futures.copy():
        await task


def own(engine: Engine) -> dict[TP, int]:
    return asyncio.run(engine.assigned({JOURNAL: Committed(None)}))


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """How long facts are collected depends on the machine; here only their size counts."""
    monkeypatch.setattr(role_module, "PORTION_S", 3600.0)


def test_facts_wait_no_longer_than_their_time(engine, world, sent, monkeypatch):
    monkeypatch.setattr(role_module, "PORTION_S", 0.0)
    own(engine)
    asyncio.run(engine.take(batch(world)))
    assert sent.values == [encode(fact) for fact in world.facts]
    assert all(len({decode(record.value).journal_offset for record in call}) <= 1 for call in sent)


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


def test_limits_are_told_after_the_facts(engine, world, sent):
    own(engine)
    asyncio.run(take_and_tell(engine, batch(world)))
    ((facts_before, records),) = sent.told
    assert facts_before == len(sent) == 1
    assert all(record.topic == "limits" and record.partition == 0 for record in records)
    limits = {told.tenant: told for told in (decode(record.value) for record in records)}
    assert {name: told.tokens for name, told in limits.items()} == {
        name: world.value(name, "base_given") + world.value(name, "surplus") for name in ("a", "b")
    }
    assert {told.journal_offset for told in limits.values()} == {world.journal[-1][0]}


def test_what_changed_is_told_by_whoever_owns_the_partition(engine, world, sent):
    async def lost_and_owned_again():
        await engine.assigned({JOURNAL: Committed(None)})
        await engine.take(batch(world))
        await engine.revoked({JOURNAL})  # before anything was told
        await engine._telling
        assert not sent.told
        await engine.assigned({JOURNAL: Committed(None)})
        await take_and_tell(engine, batch(world))

    asyncio.run(lost_and_owned_again())
    assert len(sent.told) == 1
