"""Snapshots: resuming anywhere is like never having stopped, and a crash while one is written leaves the old one or the new one."""

import asyncio
import json

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from journal_world import World, mark, pool, profile, state_bytes, tick, usage
from simulation import Simulation
from token_pool_simulation import TokenPoolSimulation

from processors import snapshot
from processors.engine import fold
from processors.snapshot import CHUNK_COMMANDS, CHUNK_SLOTS, PoolDump, SnapshotFormatError, dump_pool, load_partition, load_pool
from processors.state import SEEN_COMMANDS, PartitionState
from processors.tenants import COLUMNS
from streams.snapshots import SnapshotStore

SEEDS = st.integers(0, 2**32 - 1)


class Crash(Exception):  # noqa: N818  what happens to the process
    """The process dies here."""


class Table(dict):
    """A table whose process dies before write number `dies_at`; counts writes."""

    def __init__(self, *held, dies_at=None):
        super().__init__(*held)
        self.dies_at, self.writes = dies_at, 0

    def __setitem__(self, key, value):
        if self.writes == self.dies_at:
            raise Crash
        self.writes += 1
        super().__setitem__(key, value)


async def acknowledged():
    """All that was written is durable."""


def write(store, state, next_offset, ours=True):
    return asyncio.run(store.write(state, next_offset, acknowledged, lambda: ours))


def restored(table):
    state, next_offset = SnapshotStore(0, table).load()
    return state_bytes(state), next_offset


def copied(state):
    """Through bytes and back."""
    table = {}
    assert write(SnapshotStore(0, table), state, 1)
    return SnapshotStore(0, table).load()[0]


@pytest.mark.parametrize("worlds", [Simulation, TokenPoolSimulation])
@settings(max_examples=25, deadline=None)
@given(SEEDS, st.lists(st.integers(0, 300), max_size=8))
def test_resuming_anywhere_is_like_never_having_stopped(worlds, seed, stops):
    records = list(enumerate(worlds(seed, steps=200).records()))
    state, resumed = PartitionState(), PartitionState()
    for offset, record in records:
        if offset in stops:
            resumed = copied(resumed)
            assert state_bytes(resumed) == state_bytes(state)
        assert fold(resumed, record, offset) == fold(state, record, offset)
    assert state_bytes(copied(resumed)) == state_bytes(state)


def test_what_is_derived_is_rebuilt():
    here = World()
    here.tick(8)
    here.take(pool(), profile("a1", "a", base=600), profile("b1", "b", base=300))
    there = World()
    there.state = copied(here.state)
    assert there.pool().promised == 900
    assert there.pool().tenants.slots == {"a": 0, "b": 1}
    (refused,) = there.take(profile("c1", "c", base=101))
    assert refused.detail == "base: 101 and the 900 promised to other tenants exceed the capacity 1000"


def test_a_new_state_and_an_empty_pool_survive():
    assert state_bytes(copied(PartitionState())) == state_bytes(PartitionState())
    here = World()
    here.take(pool())
    assert state_bytes(copied(here.state)) == state_bytes(here.state)


def test_a_snapshot_of_another_format_is_not_read(monkeypatch):
    here = World()
    here.take(pool(), profile("a1", "a"))
    table = Table()
    write(SnapshotStore(0, table), here.state, 2)
    monkeypatch.setattr(snapshot, "FORMAT", 3)
    assert restored(table) == (state_bytes(PartitionState()), 0)
    with pytest.raises(SnapshotFormatError, match="format: 1, this version reads 3"):
        load_partition(b'{"format":1}')


def test_a_snapshot_of_other_columns_is_not_read():
    here = World()
    here.take(pool(), profile("a1", "a"))
    dump = dump_pool(here.pool())
    head = json.loads(dump.header)
    other = PoolDump(json.dumps({**head, "columns": head["columns"][:-1]}).encode(), dump.chunks, dump.market)
    with pytest.raises(SnapshotFormatError, match="columns: "):
        load_pool(other)
    assert head["columns"] == list(COLUMNS)


# The store


def life(tenants=3 * CHUNK_SLOTS):
    """States of one partition one after the other, each with the next offset, in which few chunks change."""
    here = World()
    here.tick(8)
    here.take(pool("p1", capacity=10**9, policy="max_min"), pool("q1", pool="other/0"))
    here.take(*(profile(f"{number}", f"tenant {number:05}", base=10) for number in range(tenants)))
    here.run(9, 10)
    yield here.state, here.journal[-1][0] + 1
    here.take(usage(11, {"tenant 00007": 5, "new": 1}))
    yield here.state, here.journal[-1][0] + 1
    here.take(profile("b", f"tenant {CHUNK_SLOTS:05}", base=3), profile("c", "x", pool="other/0"))
    yield here.state, here.journal[-1][0] + 1
    here.take(mark(11), tick(11), usage(11, {"tenant 00009": 5}, partition=1))
    yield here.state, here.journal[-1][0] + 1


def test_a_crash_between_any_two_writes_leaves_the_old_snapshot_or_the_new_one():
    table = Table()
    old = restored(table)
    for state, next_offset in life():
        new = (state_bytes(state), next_offset)
        store = SnapshotStore(0, Table(table))
        store.load()
        write(store, state, next_offset)
        writes = store.table.writes
        for dies_at in range(writes):
            crashed = Table(table, dies_at=dies_at)
            store = SnapshotStore(0, crashed)
            store.load()
            with pytest.raises(Crash):
                write(store, state, next_offset)
            # The marker is the last write: up to it the old snapshot counts, whole.
            assert restored(crashed) == old
            # The next owner goes on from there, and may crash as well, at another place.
            again = Table(crashed, dies_at=(dies_at + 1) % writes)
            store = SnapshotStore(0, again)
            store.load()
            with pytest.raises(Crash):
                write(store, state, next_offset)
            assert restored(again) == old
            again.dies_at = None
            store = SnapshotStore(0, again)
            store.load()
            assert write(store, state, next_offset)
            assert restored(again) == new
        table = Table(table)
        store = SnapshotStore(0, table)
        store.load()
        assert write(store, state, next_offset)
        old = restored(table)
        assert old == new


def test_one_store_writes_snapshot_after_snapshot_and_only_what_changed():
    table = Table()
    store = SnapshotStore(0, table)
    counts = []
    for state, next_offset in life():
        before = table.writes
        assert write(store, state, next_offset)
        counts.append(table.writes - before)
        assert restored(table) == (state_bytes(state), next_offset)
    # The marker, one chunk of command ids (where commands came), and the changed ones of 3 or 4 chunks of tenants.
    assert counts == [5, 3, 4, 2]


def test_a_snapshot_of_a_partition_that_was_lost_does_not_count():
    states = life(tenants=3)
    table = Table()
    store = SnapshotStore(0, table)
    state, next_offset = next(states)
    write(store, state, next_offset)
    old = restored(table)
    state, next_offset = next(states)
    assert not write(store, state, next_offset, ours=False)
    assert restored(table) == old
    assert write(store, state, next_offset)
    assert restored(table) == (state_bytes(state), next_offset)


def test_partitions_do_not_touch_each_other():
    table = Table()
    states = life(tenants=3)
    first, second = SnapshotStore(1, table), SnapshotStore(11, table)
    write(first, *next(states))
    kept = state_bytes(SnapshotStore(1, table).load()[0])
    write(second, *next(states))
    assert state_bytes(SnapshotStore(1, table).load()[0]) == kept


def _keys(table, part):
    return [key for key in table if part in key.decode()]


SPOILED = {
    "another chunk": lambda packed: zstandard.ZstdCompressor().compress(b"another chunk"),
    "no zstd": lambda packed: b"\x00" * 16,
    "cut": lambda packed: packed[: len(packed) // 2],
    "gone": None,
}


@pytest.mark.parametrize("part", ["pool/llm/1/", "commands/0/", "pool/other/0/0/"])
@pytest.mark.parametrize("how", SPOILED)
def test_a_spoiled_chunk_means_folding_from_the_beginning(part, how, caplog):
    table = Table()
    store = SnapshotStore(0, table)
    for state, next_offset in list(life(tenants=CHUNK_SLOTS + 1))[-1:]:
        write(store, state, next_offset)
    for key in _keys(table, part):
        table.update({key: SPOILED[how](table[key])}) if SPOILED[how] else table.pop(key)
    assert restored(table) == (state_bytes(PartitionState()), 0)
    assert "is folded from its beginning" in caplog.text


def test_a_frozen_owner_that_writes_late_spoils_nothing_unseen():
    """It wakes with an old snapshot in mind and writes chunks to the places that the new owner's marker names."""
    table = Table()
    states = life(tenants=CHUNK_SLOTS + 1)
    state, next_offset = next(states)
    frozen = SnapshotStore(0, table)
    write(frozen, state, next_offset)
    frozen_state = copied(state)
    owner = SnapshotStore(0, table)
    owner.load()
    for later, later_offset in states:
        write(owner, later, later_offset)
    valid = {(state_bytes(later), later_offset), (state_bytes(PartitionState()), 0)}
    here = World()
    here.state = frozen_state
    here.take(usage(11, {"tenant 00001": 99}), profile("frozen", "tenant 00002"))
    assert not write(frozen, frozen_state, next_offset + 2, ours=False)
    assert restored(table) in valid


def test_every_record_stays_below_a_megabyte():
    """What brokers take by default; with the longest names and full columns, which don't compress, and all command ids."""
    here = World()
    here.take(pool(capacity=2**53))
    names = [f"{number:05}" + "\U00010000" * 30 for number in range(CHUNK_SLOTS)]
    here.take(*(profile(name[:9], name) for name in names))
    tenants = here.pool().tenants
    for at, column in enumerate(COLUMNS):
        tenants[column][:] = [hash((at, number)) >> 1 for number in range(CHUNK_SLOTS)]
    for number in range(SEEN_COMMANDS - len(here.state.commands)):
        here.state.commands[(number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128).to_bytes(16, "big")] = None
    table = Table()
    write(SnapshotStore(0, table), here.state, 1)
    assert max(map(len, table.values())) < 1_000_000
    assert len(_keys(table, "commands/")) == -(-SEEN_COMMANDS // CHUNK_COMMANDS)
    assert state_bytes(copied(here.state)) == state_bytes(here.state)
