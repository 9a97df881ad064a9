"""The sink as a process on a real broker and ClickHouse: it ends at each step, starts again, and the tables are exact."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from databases import drop

from schemas.dead_letters import DeadLetter, Problem
from schemas.facts import CommandRefused, MeterMarked, Reason, UsageUnrouted
from schemas.journal import ClockTick, MeterMark
from schemas.model import Event
from streams.clickhouse import connect
from streams.codecs import encode
from streams.partitioning import home_partition
from streams.settings import Settings
from streams.ticks import TICK_HEADER

pytestmark = pytest.mark.kafka

PARTITIONS = 2
NOW = 1_800_000_000_000
WORKER = Path(__file__).parent / "sink_worker.py"
CRASHED = 9


class World:
    """A broker's topics and a database of this test, and a sink between them."""

    def __init__(self, broker: str, clickhouse: str, home: Path) -> None:
        from confluent_kafka import Producer
        from confluent_kafka.admin import AdminClient, NewTopic

        name = f"s{uuid.uuid4().hex[:8]}"
        self.settings = Settings(
            kafka=broker, clickhouse=clickhouse, clickhouse_database=name, topic_prefix=f"{name}.", home=home,
            sink_batch="200ms", sink_batch_rows=60, session_timeout="6s",
        )  # fmt: skip
        config = {"bootstrap.servers": broker}
        limit = {"message.timestamp.type": "LogAppendTime", "max.message.bytes": str(12 << 20)}
        topics = [NewTopic(self.topic(kind), PARTITIONS, 1, config=limit) for kind in self.kinds]
        admin = AdminClient(config)
        for future in admin.create_topics(topics).values():
            future.result(timeout=30)
        self._producer = Producer(config | {"message.max.bytes": 12 << 20, "linger.ms": 5})
        self._log = (home / "sink.log").open("wb")
        self.process: subprocess.Popen[bytes] | None = None

    kinds = ("usage", "latency", "admissions", "journal", "facts", "dead-letters")

    def topic(self, kind: str) -> str:
        return self.settings.topic(kind)

    def publish(self, kind: str, partition: int, *values: bytes, headers: tuple[tuple[str, bytes], ...] = ()) -> None:
        for value in values:
            self._producer.produce(self.topic(kind), value, partition=partition, headers=list(headers))
            self._producer.poll(0)
        assert self._producer.flush(30) == 0

    def start(self, **crash: Any) -> subprocess.Popen[bytes]:
        environment = os.environ | self.settings.as_environment()
        spec = json.dumps({"crash": crash} if crash else {})
        self.process = subprocess.Popen([sys.executable, str(WORKER), spec], env=environment, stdout=self._log, stderr=self._log)
        return self.process

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._log.close()
        drop(self.client, self.settings.clickhouse_database)

    @property
    def client(self) -> Client:
        return connect(self.settings)

    def ask(self, sql: str) -> list[Any]:
        return list(self.client.query(sql.replace("DB", self.settings.clickhouse_database)).result_rows)

    def until(self, condition: Callable[[], bool], seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert self.process is not None
            assert self.process.poll() is None, self.log()
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.1)

    def until_landed(self, **ends: int) -> None:
        """Wait until each partition of the topics has landed up to these offsets."""
        self.until(lambda: "landed" in {name for (name,) in self.ask("SELECT name FROM system.tables WHERE database = 'DB'")})
        wanted = {
            (self.topic(kind.replace("_", "-")), partition, end) for kind, end in ends.items() for partition in range(PARTITIONS)
        }
        self.until(lambda: wanted <= set(self.ask("SELECT topic, partition, through FROM DB.landed")))

    def log(self) -> str:
        return Path(self._log.name).read_text(errors="replace")

    def assignments(self) -> int:
        """How many there have been, of all sinks together."""
        return Path(self._log.name).read_text(errors="replace").count('{"what": "assigned"')


@pytest.fixture
def world(broker: str, clickhouse: str, tmp_path: Path) -> Iterator[World]:
    made = World(broker, clickhouse, tmp_path)
    yield made
    made.close()


def tenants(partition: int) -> list[str]:
    """Some that are at home in a partition."""
    return [name for name in (f"tenant-{n}" for n in range(20)) if home_partition(name.encode(), PARTITIONS) == partition]


def usage(number: int, tenant: str) -> bytes:
    fields = {"id": f"e{number}", "source": "s", "time": int(time.time() * 1000), "tenant": tenant, "pool": "p"}
    return json.dumps(fields | {"input_tokens": number, "output_tokens": 1}).encode()


def tick(number: int) -> bytes:
    return encode(ClockTick(tick=number, tick_ms=1000, meter_partitions=PARTITIONS, grace_ticks=5))


def facts(first: int, last: int) -> list[bytes]:
    """Three facts of each journal record: one without a table, one of one row, one of three rows."""
    made: list[Event] = []
    for offset in range(first, last):
        made += [
            MeterMarked(pool="", journal_offset=offset, fact_index=0, meter_topic="usage", meter_partition=0, tick=offset),
            CommandRefused(
                pool="p", journal_offset=offset, fact_index=1, command="pool", command_id=f"c{offset}", tenant="",
                reason=Reason.PERIOD_FIXED, detail="d",
            ),
            UsageUnrouted(
                pool="x", journal_offset=offset, fact_index=2, meter_topic="usage", meter_partition=0, tick=offset, chunk=0,
                tenant=["a", "b", "c"], requests=[1, 1, 1], input_tokens=[1, 2, 3], cached_input_tokens=[0, 0, 0],
                output_tokens=[offset, 1, 1],
            ),
        ]  # fmt: skip
    return [encode(fact) for fact in made]


def test_exact_through_a_crash_at_every_step(world: World) -> None:
    steps = [
        {"at": "before insert", "table": "usage_events", "nth": 2},
        {"at": "after insert", "table": "refusals"},
        {"at": "after insert", "table": "usage_events", "nth": 2},
        {"at": "before landed", "nth": 4},
        {"at": "after landed", "nth": 3},
    ]
    counted = 0
    for turn, crash in enumerate(steps):
        for partition in range(PARTITIONS):
            at_home = tenants(partition)
            numbers = range(turn * 200, turn * 200 + 200)
            world.publish("usage", partition, *(usage(n, at_home[n % len(at_home)]) for n in numbers))
            # One of another partition, and one that was sent here; a tick, what the door refuses, and an event again.
            world.publish("usage", partition, usage(turn, tenants(1 - partition)[0]))
            world.publish("usage", partition, usage(turn, f"{turn} moved"), headers=(("bourse-forwarded", b"t/9/9"),))
            world.publish("usage", partition, tick(turn), headers=(TICK_HEADER,))
            world.publish("usage", partition, b'{"id": ', usage(turn * 200, at_home[turn * 200 % len(at_home)]))
            # An engine that began again: half of what is there, then more.
            world.publish("facts", partition, *facts(max(0, turn * 10 - 5), turn * 10 + 10))
            world.publish(
                "journal", partition, *(encode(MeterMark(meter_topic="usage", meter_partition=0, tick=n)) for n in range(50))
            )
            counted += 200
        process = world.start(**crash)
        assert process.wait(60) == CRASHED, world.log()
    world.start()
    last_fact = sum(len(facts(max(0, turn * 10 - 5), turn * 10 + 10)) for turn in range(len(steps))) - 1
    world.until_landed(usage=205 * len(steps) - 1, facts=last_fact, journal=50 * len(steps) - 1)

    # Moved events bear the same tenant, source and id in both partitions: one event.
    assert world.ask("SELECT count(), uniqExact(tenant, source, id) FROM DB.usage_events") == [(counted + len(steps),) * 2]
    sums = sum(2 * sum(range(turn * 200, turn * 200 + 200)) + turn for turn in range(len(steps)))
    assert world.ask("SELECT sum(input_tokens) FROM DB.usage_events") == [(sums,)]
    decided = 10 * len(steps)
    for suffix in ("", "_landed"):
        assert world.ask(f"SELECT partition, count() FROM DB.refusals{suffix} GROUP BY 1 ORDER BY 1") == [
            (0, decided),
            (1, decided),
        ]
        assert world.ask(f"SELECT partition, count() FROM DB.unrouted_usage{suffix} GROUP BY 1 ORDER BY 1") == [
            (0, 3 * decided),
            (1, 3 * decided),
        ]
        assert world.ask(f"SELECT count() FROM DB.journal{suffix}") == [(50 * len(steps) * PARTITIONS,)]
    assert world.ask("SELECT sum(output_tokens) FROM DB.unrouted_usage") == [(PARTITIONS * (sum(range(decided)) + 2 * decided),)]


def test_dead_letters_of_any_size_land_byte_for_byte(world: World) -> None:
    payloads = [b"", bytes(range(256)) * 20_000, b"\xff\xfe", b"x" * (8 << 20)]
    letters = [
        DeadLetter(
            source_topic="t", source_partition=0, source_offset=n, source_time=NOW, reason=Problem.TOO_LARGE, detail="d",
            key=b"\xff\x00", payload=payload, null_payload=n == 0,
        )
        for n, payload in enumerate(payloads)
    ]  # fmt: skip
    # Written twice, as by a meter that crashed before it declared the offset safe.
    for letter in [*letters, *letters[:2]]:
        world.publish("dead-letters", 0, encode(letter))
    world.start()
    world.until(lambda: bool(world.ask("SELECT name FROM system.tables WHERE database = 'DB' AND name = 'landed'")))
    world.until(lambda: world.ask("SELECT through FROM DB.landed WHERE topic LIKE '%dead-letters'") == [(5,)])
    found = world.client.query(
        f"SELECT source_offset, null_payload, key, payload FROM {world.settings.clickhouse_database}.dead_letters ORDER BY 1",
        query_formats={"String": "bytes"},
    ).result_rows
    assert found == [(n, n == 0, b"\xff\x00", payload) for n, payload in enumerate(payloads)]


def test_a_fact_of_a_newer_release_stops_the_sink_and_says_where(world: World) -> None:
    known = facts(0, 1)
    world.publish("facts", 0, *known, b"\xc3\x01" + b"newer fp" + b"body")
    process = world.start()
    assert process.wait(60) == 1, world.log()
    where = f"{world.topic('facts')}/0@{len(known)}"
    assert f"{where}: unknown schema fingerprint" in world.log()


def test_two_sinks_share_the_partitions_and_one_leaves(world: World) -> None:
    """A rebalance under load, and what the lag is seen by: the offsets that the group commits."""
    first, total = world.start(), 0

    def publish_more() -> None:
        nonlocal total
        for partition in range(PARTITIONS):
            at_home = tenants(partition)
            world.publish("usage", partition, *(usage(n, at_home[n % len(at_home)]) for n in range(total, total + 300)))
        total += 300

    publish_more()
    world.until(lambda: world.assignments() == 1)
    second = world.start()
    publish_more()
    world.until(lambda: world.assignments() == 3)  # the first again, and the second
    publish_more()
    first.terminate()
    publish_more()
    assert first.wait(30) == 0, world.log()
    world.until_landed(usage=total - 1)
    assert world.ask("SELECT partition, count() FROM DB.usage_events GROUP BY 1 ORDER BY 1") == [(0, total), (1, total)]
    second.terminate()
    assert second.wait(30) == 0, world.log()
    assert committed(world) == {0: total, 1: total}


def committed(world: World) -> dict[int, int]:
    from confluent_kafka import Consumer, TopicPartition

    consumer = Consumer({"bootstrap.servers": world.settings.kafka_bootstrap, "group.id": world.settings.topic("sink")})
    try:
        found = consumer.committed([TopicPartition(world.topic("usage"), n) for n in range(PARTITIONS)], timeout=30)
    finally:
        consumer.close()
    return {each.partition: each.offset for each in found}
