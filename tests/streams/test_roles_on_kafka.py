"""Meter, intake and clock on a real broker: bad records around good ones, kill -9, two clocks, a clock that is ahead."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Message, Producer, TopicPartition
from offsets import end_of

from schemas.dead_letters import DeadLetter
from schemas.journal import ClockTick, MeterMark, UsageSums
from schemas.market import OrderCommand, TurnedAway
from schemas.model import Event
from schemas.published import PoolCommand, ProfileCommand
from streams.codecs import decode, encode
from streams.look_back import look_back
from streams.partitioning import home_partition
from streams.roles.intake import SLICE_RECORDS
from streams.settings import Settings
from streams.signatures import generate, sign
from streams.ticks import is_tick
from streams.topics import ensure_topics

pytestmark = pytest.mark.kafka

PARTITIONS = 2
TICK_MS = 200
TICK = [("bourse-kind", b"tick")]
ENOUGH_S = 60.0


class Bourse:
    """Topics of their own, and workers on them."""

    def __init__(self, bootstrap: str, home: Path) -> None:
        self.settings = Settings(
            home=home,
            kafka=bootstrap,
            topic_prefix=f"{uuid.uuid4().hex[:8]}.",
            partitions=PARTITIONS,
            tick_ms=TICK_MS,
            session_timeout="6s",
        )
        ensure_topics(self.settings)
        self.home = home
        self.workers: dict[str, subprocess.Popen[bytes]] = {}
        self._producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 1, "log_level": 0})

    def start(self, role: str, name: str, **faults: Any) -> None:
        self.home.mkdir(exist_ok=True, parents=True)
        ready = self.settings.run_dir / f"{name}.ready"
        with (self.home / f"{name}.log").open("ab") as log:
            self.workers[name] = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("role_worker.py")), role, name, json.dumps(faults)],
                cwd=Path(__file__).parents[2],
                env={**os.environ, **self.settings.as_environment(), "PYTHONPATH": str(Path(__file__).parents[2])},
                stdout=log,
                stderr=log,
            )
        pid = str(self.workers[name].pid)
        self.until(lambda: ready.exists() and ready.read_text() == pid, f"{name} is not ready")

    def kill(self, name: str) -> None:
        self.workers[name].kill()
        self.workers.pop(name).wait()

    def close(self) -> None:
        for name in list(self.workers):
            self.kill(name)

    def until(self, condition: Callable[[], Any], what: str) -> Any:
        deadline = time.monotonic() + ENOUGH_S
        while not (found := condition()):
            logs = "\n".join(path.read_text(errors="replace")[-3000:] for path in self.home.glob("*.log"))
            for name, worker in self.workers.items():
                assert worker.poll() is None, f"{name} ended: {logs}"
            assert time.monotonic() < deadline, f"{what}: {logs}"
            time.sleep(0.05)  # between two looks, not instead of one
        return found

    def publish(self, topic: str, partition: int, value: bytes | None, headers: Any = None, key: bytes | None = None) -> None:
        self._producer.produce(self.settings.topic(topic), value=value, partition=partition, headers=headers, key=key)

    def flush(self) -> None:
        assert self._producer.flush(30) == 0

    def tick(self, number: int | None = None, topic: str = "usage") -> int:
        """One tick to every partition, as the clock would write it now."""
        self.flush()
        number = number or time.time_ns() // 1_000_000 // TICK_MS
        value = encode(ClockTick(tick=number, tick_ms=TICK_MS, meter_partitions=PARTITIONS, grace_ticks=5))
        for partition in range(PARTITIONS):
            self.publish(topic, partition, value, TICK)
        self.flush()
        return number

    def messages(self, topic: str) -> list[Message]:
        """All that stands in a topic now, partition by partition."""
        consumer = Consumer({"bootstrap.servers": self.settings.kafka_bootstrap, "group.id": "reader", "enable.auto.commit": False})
        found: list[Message] = []
        try:
            name = self.settings.topic(topic)
            for partition in range(1 if topic == "clock" else PARTITIONS):
                end = end_of(consumer, name, partition)
                consumer.assign([TopicPartition(name, partition, 0)])
                while end and (not found or found[-1].partition() != partition or (found[-1].offset() or 0) < end - 1):
                    message = consumer.poll(30)
                    assert message is not None
                    assert message.error() is None
                    found.append(message)
        finally:
            consumer.close()
        return found

    def events(self, topic: str) -> list[tuple[int, Event]]:
        """(partition, event) of an internal topic."""
        return [(message.partition() or 0, decode(message.value() or b"")) for message in self.messages(topic)]

    def marked(self, meter: str = "usage") -> int:
        """The lowest tick that every meter of a topic has marked in every partition of the journal."""
        highest: Counter[tuple[int, int]] = Counter()
        for at, said in self.events("journal"):
            if isinstance(said, MeterMark) and said.meter_topic == meter:
                highest[at, said.meter_partition] = max(highest[at, said.meter_partition], said.tick)
        return min((highest[at, of] for at in range(PARTITIONS) for of in range(PARTITIONS)), default=0)

    def sums(self) -> Counter[tuple[str, str]]:
        """Requests of each (pool, tenant); reports with the same identity are the same, and count once."""
        reports: dict[tuple[Any, ...], UsageSums] = {}
        for at, said in self.events("journal"):
            if isinstance(said, UsageSums):
                assert at == home_partition(said.pool.encode(), PARTITIONS)
                identity = (said.meter_topic, said.meter_partition, said.tick, said.pool, said.chunk)
                assert reports.setdefault(identity, said) == said
        total: Counter[tuple[str, str]] = Counter()
        for said in reports.values():
            for tenant, requests in zip(said.tenant, said.requests, strict=True):
                total[said.pool, tenant] += requests
        return total

    def committed(self, role: str, topic: str, partition: int) -> tuple[int, str]:
        consumer = Consumer({"bootstrap.servers": self.settings.kafka_bootstrap, "group.id": self.settings.topic(role)})
        try:
            (found,) = consumer.committed([TopicPartition(self.settings.topic(topic), partition)], timeout=30)
        finally:
            consumer.close()
        return found.offset, found.metadata or ""


@pytest.fixture
def bourse(broker: str, tmp_path: Path) -> Iterator[Bourse]:
    running = Bourse(broker, tmp_path / "home")
    yield running
    running.close()


def usage(name: str, tenant: str, pool: str = "p", **more: Any) -> bytes:
    now = time.time_ns() // 1_000_000
    event = {"id": name, "source": "s", "time": now, "tenant": tenant, "pool": pool, "input_tokens": 3, "output_tokens": 4}
    return json.dumps(event | more).encode()


def test_a_meter_counts_each_event_once_whatever_is_around_it_and_however_often_it_is_killed(bourse: Bourse) -> None:
    tenants = ["a", "b", "c", "ü"]
    meant: Counter[tuple[str, str]] = Counter()
    bad = [b"{", None, usage("x", ""), usage("x", "a", input_tokens=-1), b"\xc3\x01 but not Avro", usage("x", "a", time=0)]
    bourse.start("meter", "meter-1")
    for round_ in range(3):
        for number in range(400):
            tenant, pool = tenants[number % 4], f"p{number % 3}"
            meant[pool, tenant] += 1
            value = usage(f"{round_}-{number}", tenant, pool)
            home = home_partition(tenant.encode(), PARTITIONS)
            # Most at home, with their key; some without a key anywhere; some twice, also in another partition.
            bourse.publish("usage", home if number % 5 else 1 - home, value, key=tenant.encode() if number % 5 else None)
            if number % 7 == 0:
                bourse.publish("usage", number % 2, value)
            if number % 50 == 0:
                bourse.publish("usage", number % PARTITIONS, bad[number // 50 % len(bad)])
            if number % 100 == 99:
                bourse.tick()
        if round_ < 2:
            bourse.kill("meter-1")
            bourse.start("meter", "meter-1")
    bourse.publish("usage", 0, usage("wrong key", "a"), key=b"b")

    def all_counted() -> bool:
        last = bourse.tick()
        bourse.until(lambda: bourse.marked() >= last, "the tick is not marked")
        return bourse.sums().total() >= meant.total()

    bourse.until(all_counted, "not all was counted")
    assert bourse.sums() == meant
    letters = {
        (said.source_partition, said.source_offset): said
        for _, said in bourse.events("dead-letters")
        if isinstance(said, DeadLetter)
    }
    assert len(letters) == 3 * 8 + 1
    assert Counter(said.payload for said in letters.values())[b"{"] == 3 * 2
    assert any("key" in said.detail for said in letters.values())

    def noted() -> bool:
        offset, note = bourse.committed("meter", "usage", 0)
        if not note:
            return False
        # confluent-kafka reads a note to the next zero byte in memory, which may stand behind the note's end.
        said, _ = json.JSONDecoder().raw_decode(note)
        return bool(said["tick"] >= bourse.marked() and offset > said["window"])

    bourse.until(noted, "nothing was declared")


def test_a_meter_whose_offset_was_moved_remembers_what_stands_before_it(bourse: Bourse) -> None:
    tenant = next(name for name in "abcdef" if home_partition(name.encode(), PARTITIONS) == 0)
    for name in "12":
        bourse.publish("usage", 0, usage(name, tenant))
    bourse.tick()
    moved = Consumer({"bootstrap.servers": bourse.settings.kafka_bootstrap, "group.id": bourse.settings.topic("meter")})
    moved.commit(offsets=[TopicPartition(bourse.settings.topic("usage"), 0, 3)], asynchronous=False)
    moved.close()
    bourse.start("meter", "meter-1")
    for name in "123":
        bourse.publish("usage", 0, usage(name, tenant))

    def counted() -> Any:
        last = bourse.tick()
        bourse.until(lambda: bourse.marked() >= last, "the tick is not marked")
        return bourse.sums()

    assert bourse.until(counted, "nothing was counted") == {("p", tenant): 1}


def test_looking_back_finds_the_offset_by_append_time(bourse: Bourse) -> None:
    for number in range(20):
        bourse.publish("usage", 0, b"%d" % number)
        bourse.flush()
    times = [message.timestamp()[1] for message in bourse.messages("usage")]
    client, topic = bourse.settings.kafka_client_config(), bourse.settings.topic("usage")
    for offset, span in [(20, 0), (20, 5), (11, 3), (11, 10**9), (1, 0)]:
        expected = next(at for at, appended in enumerate(times) if appended >= times[offset - 1] - span)
        assert look_back(client, topic, 0, offset, span) == expected
    assert look_back(client, topic, 0, 0, 5) == 0
    assert look_back(client, topic, 1, 0, 5) == 0
    assert look_back(client, topic, 0, 30, 10**9) == 0


def pool(name: str, **more: Any) -> bytes:
    return json.dumps({"type": "pool", "id": f"set-{name}", "pool": name, "capacity": 100} | more).encode()


def profile(number: int, of: str = "p") -> bytes:
    command = {"type": "profile", "id": str(number), "pool": of, "tenant": "a", "base": number, "elasticity": "2.5"}
    return json.dumps(command).encode()


def test_intake_writes_valid_commands_to_their_pool_in_order_and_the_others_to_dead_letters(bourse: Bourse) -> None:
    for name in ("p", "pool"):
        home = home_partition(name.encode(), PARTITIONS)
        bourse.publish("profiles", home, pool(name), key=name.encode())
        for number in range(50):
            bourse.publish("profiles", home, profile(number, name), key=name.encode())
            if number % 10 == 0:
                bourse.publish(
                    "profiles", home, [b"{", None, pool(""), pool(name, capacity=-1), pool(name, type="x")][number // 10]
                )
    bourse.tick(topic="profiles")
    bourse.publish("profiles", 0, b"no tick", TICK)
    bourse.publish("orders", 0, pool("p"))
    bourse.flush()
    bourse.start("intake", "intake-1")
    ends = {0: 58, 1: 57}
    bourse.until(lambda: all(bourse.committed("intake", "profiles", at)[0] == end for at, end in ends.items()), "not all is safe")
    bourse.until(lambda: bourse.committed("intake", "orders", 0)[0] == 1, "not all is safe")

    journal = bourse.events("journal")
    for name in ("p", "pool"):
        home = home_partition(name.encode(), PARTITIONS)
        of_pool = [
            said for at, said in journal if at == home and isinstance(said, PoolCommand | ProfileCommand) and said.pool == name
        ]
        assert isinstance(of_pool[0], PoolCommand)
        assert [said.base for said in of_pool[1:] if isinstance(said, ProfileCommand)] == list(range(50))
        assert len(of_pool) == 51
    # A tenant, unlike an operator, is told of what it may not publish.
    (away,) = (said for at, said in journal if isinstance(said, TurnedAway) and at == home_partition(b"p", PARTITIONS))
    assert (away.pool, away.reason, away.field) == ("p", "malformed", "type")
    assert len(journal) == 103
    letters = [said for _, said in bourse.events("dead-letters") if isinstance(said, DeadLetter)]
    assert Counter(said.reason.value for said in letters) == {"malformed": 5, "invalid": 7}
    assert sum(said.null_payload for said in letters) == 2
    # The same again, as after a crash before the commit: the engine drops the ids; nothing else may change.
    bourse.kill("intake-1")
    bourse.publish("profiles", 0, profile(99))
    bourse.flush()
    bourse.start("intake", "intake-1")
    bourse.until(lambda: len(bourse.events("journal")) == 104, "the command did not arrive")


def test_intake_passes_signed_orders_in_order_and_turns_forged_ones_away_in_their_place(bourse: Bourse) -> None:
    private, _ = generate()
    orders: list[OrderCommand] = []
    for number in range(2 * SLICE_RECORDS + 50):
        order = OrderCommand(id=str(number), pool="p", tenant="a", period=5, side="buy", qty=1 + number, price=1, seq=number)
        orders.append(sign(order, private))
    forged = orders[7].model_copy(update={"qty": 10**6})
    home = home_partition(b"p", PARTITIONS)
    for place, order in enumerate(orders):
        bourse.publish("orders", home, encode(order))
        if place == SLICE_RECORDS:
            bourse.publish("orders", home, encode(forged))
    bourse.flush()
    bourse.start("intake", "intake-1")
    bourse.until(lambda: bourse.committed("intake", "orders", home)[0] == len(orders) + 1, "not all is safe")
    journal = [said for at, said in bourse.events("journal") if at == home]
    away = journal.pop(SLICE_RECORDS + 1)
    assert journal == orders
    assert isinstance(away, TurnedAway)
    assert (away.tenant, away.id, away.reason, away.source_offset) == ("a", "7", "signature_wrong", SLICE_RECORDS + 1)


TICKED = ("usage", "latency", "admissions", "orders", "profiles", "journal")


def ticks(bourse: Bourse, topic: str) -> dict[int, list[tuple[int, int]]]:
    """Partition -> (number, append time) of each tick, in order."""
    found: dict[int, list[tuple[int, int]]] = {partition: [] for partition in range(PARTITIONS)}
    for message in bourse.messages(topic):
        if is_tick(message.headers() or []):
            said = decode(message.value() or b"")
            assert isinstance(said, ClockTick)
            assert (said.tick_ms, said.meter_partitions) == (TICK_MS, PARTITIONS)
            found[message.partition() or 0].append((said.tick, message.timestamp()[1]))
    return found


def test_a_clock_ticks_to_everyone_at_every_boundary_never_ahead_and_without_drift(bourse: Bourse) -> None:
    bourse.start("clock", "clock-1")
    bourse.until(lambda: all(len(some) >= 15 for topic in TICKED for some in ticks(bourse, topic).values()), "too few ticks")
    for topic in TICKED:
        for some in ticks(bourse, topic).values():
            numbers = [number for number, _ in some]
            assert numbers == sorted(set(numbers))
            assert all(number * TICK_MS <= appended for number, appended in some)
            # The machine may be busy; a clock that drifted would be late by more with every tick.
            assert min(appended - number * TICK_MS for number, appended in some[5:]) < TICK_MS
    bourse.until(lambda: bourse.committed("clock", "clock", 0)[0] > 0, "the clock does not declare what it has read")


def test_two_clocks_at_once_do_no_harm(bourse: Bourse) -> None:
    """Each in a group of its own: both own the partition, as when one was paused and does not know yet that it has lost it."""
    bourse.start("meter", "meter-1")
    bourse.start("clock", "clock-1")
    bourse.start("clock", "clock-2", group=f"{bourse.settings.topic_prefix}second")
    meant = Counter[tuple[str, str]]()
    for number in range(200):
        bourse.publish("usage", number % PARTITIONS, usage(str(number), f"t{number % 9}"))
        meant["p", f"t{number % 9}"] += 1
        if number % 20 == 0:
            bourse.flush()
            seen = bourse.marked()
            bourse.until(lambda seen=seen: bourse.marked() > seen, "no further tick")
    bourse.flush()
    bourse.until(lambda: bourse.sums().total() >= meant.total(), "not all was counted")
    assert bourse.sums() == meant
    written = [number for number, _ in ticks(bourse, "usage")[0]]
    assert len(written) > len(set(written)), "both clocks ticked"
    marks = Counter(
        (at, said.meter_partition, said.tick)
        for at, said in bourse.events("journal")
        if isinstance(said, MeterMark) and said.meter_topic == "usage"
    )
    assert set(marks.values()) == {1}, "each tick is reported once"


def test_a_clock_that_is_ahead_of_the_broker_says_so_and_waits_for_it(bourse: Bourse) -> None:
    bourse.start("clock", "clock-1", ahead_ms=1500)
    bourse.until(lambda: all(len(some) >= 10 for some in ticks(bourse, "usage").values()), "no tick came through")
    for topic in TICKED:
        for some in ticks(bourse, topic).values():
            assert all(number * TICK_MS <= appended for number, appended in some)
    probes = [decode(message.value() or b"") for message in bourse.messages("clock")]
    assert len(probes) > len({said.tick for said in probes if isinstance(said, ClockTick)}), "the first tick was tried again"
    assert "ahead of the broker's" in (bourse.home / "clock-1.log").read_text()
