"""Meters that crash at any record and overlap, over simulated logs: each event counts once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from meter_log import START, TICK_MS, Headers, Record, event, meter, surroundings, tick_value

from processors.metering import MeterNote
from schemas.journal import MeterMark, UsageSums
from streams.codecs import decode
from streams.roles.meter_partition import MeterPartition, Safe, load_note
from streams.ticks import TICK_HEADER
from streams.transport import Outgoing


@dataclass
class Owner:
    """A running meter of a partition, and what it has sent that no broker has acknowledged yet."""

    meter: MeterPartition
    position: int
    unsent: list[Outgoing | Safe] = field(default_factory=list)


class System:
    """P partitions of usage, their meters, the journal, and a group's committed offsets. Nothing is real but the meters."""

    def __init__(self, partitions: int, window: int) -> None:
        self.around = surroundings(partitions, window)
        self.logs: list[list[Record]] = [[] for _ in range(partitions)]
        self.journal: list[Outgoing] = []
        self.committed: list[tuple[int, str]] = [(0, "")] * partitions
        self.owners = [self.start(partition) for partition in range(partitions)]
        self.now = START

    def append(self, partition: int, value: bytes | None, headers: Headers = (), key: bytes | None = None) -> None:
        log = self.logs[partition]
        self.now += 1
        log.append(Record(len(log), self.now, key, value, headers))

    def tick(self, ahead: int, partitions: Sequence[int]) -> None:
        self.now = (self.now // TICK_MS + ahead) * TICK_MS
        for partition in partitions:
            self.append(partition, tick_value(self.now // TICK_MS), [TICK_HEADER])

    def start(self, partition: int) -> Owner:
        offset, text = self.committed[partition]
        note = load_note(text, TICK_MS) or MeterNote()
        ends = len(self.logs[partition])
        return Owner(meter(self.around, partition, note, resume_at=offset, again_below=ends), note.window)

    def read(self, partition: int, owner: Owner, records: int) -> None:
        batch = self.logs[partition][owner.position : owner.position + records]
        for portion in owner.meter.fold(batch):
            owner.unsent += portion.outgoing
            owner.unsent += [portion.safe] if portion.safe else []
        owner.position += len(batch)

    def send(self, partition: int, owner: Owner, count: int) -> None:
        """The broker acknowledges; a commit follows when everything before it was acknowledged."""
        for sent in owner.unsent[:count]:
            if isinstance(sent, Safe):
                self.committed[partition] = max(self.committed[partition], tuple(sent))
            elif sent.topic == self.around.journal:
                self.journal.append(sent)
            elif sent.topic == self.around.topic:
                self.append(sent.partition, sent.value, sent.headers, sent.key)
        del owner.unsent[:count]

    def drain(self) -> None:
        """Everything is read and counted."""
        for _ in range(3):  # forwards, and ticks behind them
            for partition, owner in enumerate(self.owners):
                self.read(partition, owner, 10**6)
                self.send(partition, owner, 10**6)
            self.tick(1, range(len(self.logs)))

    def reports(self) -> dict[tuple[Any, ...], bytes | None]:
        """The journal as the engine takes it; two records with the same identity must be the same."""
        reports: dict[tuple[Any, ...], bytes | None] = {}
        for sent in self.journal:
            said = decode(sent.value or b"")
            assert isinstance(said, UsageSums | MeterMark)
            identity = (
                sent.partition,
                said.KIND,
                said.meter_partition,
                said.tick,
                *((said.pool, said.chunk) if isinstance(said, UsageSums) else ()),
            )
            assert reports.setdefault(identity, sent.value) == sent.value, identity
        return reports


def counted(reports: dict[tuple[Any, ...], bytes | None]) -> Counter[str]:
    total: Counter[str] = Counter()
    for value in reports.values():
        said = decode(value or b"")
        if isinstance(said, UsageSums):
            total.update(dict(zip(said.tenant, said.requests, strict=True)))
    return total


TENANTS = ["a", "b", "c", "d"]
partition_numbers = st.integers(0, 2)
actions = st.one_of(
    st.tuples(st.just("publish"), partition_numbers, st.sampled_from(TENANTS), st.integers(0, 25)),
    st.tuples(st.just("publish"), partition_numbers, st.sampled_from(TENANTS), st.integers(0, 25)),
    st.tuples(st.just("bad"), partition_numbers, st.just(""), st.just(0)),
    st.tuples(st.just("tick"), st.just(0), st.just(""), st.integers(1, 3)),
    st.tuples(st.just("tick to one"), partition_numbers, st.just(""), st.integers(1, 3)),
    st.tuples(st.just("late tick"), partition_numbers, st.just(""), st.integers(1, 3)),
    st.tuples(st.just("read"), partition_numbers, st.just(""), st.integers(1, 9)),
    st.tuples(st.just("read"), partition_numbers, st.just(""), st.integers(1, 9)),
    st.tuples(st.just("send"), partition_numbers, st.just(""), st.integers(1, 9)),
    st.tuples(st.just("send"), partition_numbers, st.just(""), st.integers(1, 9)),
    st.tuples(st.just("crash"), partition_numbers, st.just(""), st.just(0)),
    st.tuples(st.just("second owner"), partition_numbers, st.just(""), st.integers(1, 9)),
)
Script = list[tuple[str, int, str, int]]
script = st.lists(actions, min_size=20, max_size=120)


def play(system: System, some: Script, *, unique: bool) -> Counter[str]:  # noqa: C901  one case for each action
    """Act; returns how many events each tenant's backends meant."""
    meant: set[tuple[str, str]] = set()
    for number, (what, partition, tenant, amount) in enumerate(some):
        owner = system.owners[partition]
        match what:
            case "publish":
                name = str(number if unique else amount)
                meant.add((tenant, name))
                system.append(partition, event(name, tenant))
            case "bad":
                system.append(partition, b"{")
            case "tick":
                system.tick(amount, range(len(system.logs)))
            case "tick to one":
                system.tick(amount, [partition])
            case "late tick":
                system.append(partition, tick_value(system.now // TICK_MS - amount), [TICK_HEADER])
            case "read":
                system.read(partition, owner, amount)
            case "send":
                system.send(partition, owner, amount)
            case "crash":
                system.owners[partition] = system.start(partition)
            case "second owner" if not unique:
                second = system.start(partition)
                system.read(partition, second, amount)
                system.send(partition, second, amount)
    system.drain()
    return Counter(tenant for tenant, _ in meant)


def uninterrupted(system: System) -> dict[tuple[Any, ...], bytes | None]:
    """What meters say that read the same logs without a crash."""
    fresh = System(len(system.logs), system.around.window_ticks)
    for partition, owner in enumerate(fresh.owners):
        fresh.logs = system.logs
        fresh.read(partition, owner, 10**6)
        fresh.journal += [sent for sent in owner.unsent if isinstance(sent, Outgoing) and sent.topic == "x.journal"]
    return fresh.reports()


def said_until_last_read(system: System) -> dict[tuple[Any, ...], bytes | None]:
    for partition, owner in enumerate(system.owners):
        system.read(partition, owner, 10**6)
        system.send(partition, owner, 10**6)
    return system.reports()


slow = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])


@slow
@given(script)
def test_crashes_and_second_owners_change_nothing_that_is_said(some: Script) -> None:
    """Backends repeat themselves, meters crash anywhere and overlap: each event counts once; the journal is what it is without."""
    system = System(3, window=10**6)
    meant = play(system, some, unique=False)
    assert said_until_last_read(system) == uninterrupted(system)
    assert counted(system.reports()) == meant


@slow
@given(script, st.integers(1, 3))
def test_forwarding_again_counts_nothing_twice_even_when_the_window_has_passed(some: Script, window: int) -> None:
    system = System(3, window)
    meant = play(system, some, unique=True)
    assert said_until_last_read(system) == uninterrupted(system)
    assert counted(system.reports()) == meant


@slow
@given(script, st.integers(1, 4))
def test_with_a_short_window_the_journal_is_still_a_function_of_the_log(some: Script, window: int) -> None:
    system = System(3, window)
    play(system, some, unique=False)
    assert said_until_last_read(system) == uninterrupted(system)
