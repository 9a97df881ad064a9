"""How soon an order that was published is settled on `facts`, at 1,000 orders/s, beside two bare hops through the same Kafka.

Run alone: `python tests/benchmarks/bench_orders.py HOST:PORT`. The system by default settings: clock, meter, intake and engine
(nothing lands: ClickHouse would only take the processor from both sides), each a process of its own. Orders are signed beforehand
and published at an even pace; a settlement is seen when a consumer has its bytes. The baseline does with the same bytes at the
same pace what Kafka and aiokafka ask for at least: two processes that each take what comes and send it on, with acks=all.
Wall-clock times: run it on a machine that does nothing else. `load` is the machine's load average when the row was measured.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

sys.path.insert(0, str(Path(__file__).parents[1] / "e2e"))  # the harness that starts a whole system

from system import ROLES, System, until
from trading import BASE, POOL, TENANTS, Flow, market, private_key

from schemas.avro import avro_fingerprint, parsed
from schemas.market import TenantCommand
from schemas.market_facts import Settlements, Trades
from schemas.model import Event
from schemas.published import PoolCommand
from streams.client import CommandPublisher
from streams.codecs import MAGIC, decode, encode
from streams.partitioning import home_partition
from streams.settings import Settings

Row = dict[str, object]

PER_S = 1_000
SECONDS = 20
WARM_UP = 0.2
"""Share of the orders that are published before those that count."""
GOAL_MS = 50.0
PERIOD_S = 5
AHEAD, INSTRUMENTS = 20, 3
"""Forward periods are traded, which stay open for all of the run, while others open and close."""

DEFAULTS = {name: Settings.model_fields[name].default for name in ("tick_ms", "partitions", "snapshot_every", "session_timeout")}
WITHOUT_SINK = {role: int(role != "sink") for role in ROLES}


def run(bootstrap: str, seconds: int = SECONDS) -> list[Row]:
    """Rows of {name, value, unit, baseline, baseline_value, ratio, goal, met, load, rate}."""
    count = seconds * PER_S
    bare, bare_load = _bare(bootstrap, count)
    ours, load = _system(bootstrap, count)
    rows = []
    for share, name in ((0.5, "p50"), (0.99, "p99")):
        value, baseline = _quantile(ours, share) * 1000, _quantile(bare, share) * 1000
        rows.append(
            {
                "name": f"order published to settled on facts, {name}, {PER_S:,} orders/s",
                "value": value,
                "unit": "ms",
                "baseline": "two bare hops",
                "baseline_value": baseline,
                "ratio": value / baseline,
                "goal": GOAL_MS if name == "p99" else None,
                "met": value <= GOAL_MS if name == "p99" else None,
                "load": load,
                "baseline_load": bare_load,
                "settled": len(ours),
            }
        )
    return rows


def _quantile(values: Iterable[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


@contextmanager
def _reading(bootstrap: str, topic: str, partition: int, note: Callable[[bytes, float], None]) -> Iterator[None]:
    """Tells of each record that a partition gets from now on when it came in, in a thread of its own."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "bench", "enable.auto.commit": False})
    target = TopicPartition(topic, partition)
    _, target.offset = consumer.get_watermark_offsets(target, timeout=30)
    consumer.assign([target])
    end = threading.Event()

    def read() -> None:
        while not end.is_set():
            message = consumer.poll(0.05)
            if message is not None and message.error() is None:
                note(message.value(), time.monotonic())

    thread = threading.Thread(target=read, name="reader")
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()
        consumer.close()


def _publish(bootstrap: str, topic: str, partition: int, records: Sequence[bytes]) -> list[float]:
    """At an even pace; when each was handed to the producer."""
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", "enable.idempotence": True, "linger.ms": 0})
    published = []
    begun = time.monotonic()
    for number, data in enumerate(records):
        due = begun + number / PER_S
        while (left := due - time.monotonic()) > 0:
            producer.poll(0)
            time.sleep(min(left, 0.001))
        published.append(time.monotonic())
        producer.produce(topic, key=POOL.encode(), value=data, partition=partition)
    assert producer.flush(60) == 0
    return published


# The system


def _system(bootstrap: str, count: int) -> tuple[list[float], float]:
    """Seconds from publication to settlement of each order that traded at once, but for those of the warm-up."""
    keys = {tenant: private_key(1, tenant) for tenant in TENANTS}
    with (
        tempfile.TemporaryDirectory() as home,
        System(Path(home), kafka=bootstrap, clickhouse="http://127.0.0.1:1", workers=WITHOUT_SINK, **DEFAULTS) as system,
    ):
        settings = system.settings
        with CommandPublisher(settings) as publisher:
            for command in market(_terms(), keys):
                publisher.publish(command)
        until(lambda: system.web(f"/pools/{POOL}")["open_period"] is not None, PERIOD_S + 60, "the first period")
        commands = _commands(keys, system.web(f"/pools/{POOL}")["open_period"], count)
        watch = _Watch(commands)
        partition = home_partition(POOL.encode(), settings.partitions)
        with _reading(bootstrap, settings.topic("facts"), partition, watch.note):
            published = _publish(bootstrap, settings.topic("orders"), partition, [encode(command) for command in commands])
            load = os.getloadavg()[0]
            until(lambda: watch.done, 60, "the last order decided")
    return [at - published[number] for number, at in watch.settled.items() if number >= count * WARM_UP], load


def _terms() -> PoolCommand:
    return PoolCommand(id="p", pool=POOL, capacity=len(TENANTS) * BASE, period_s=PERIOD_S)


def _commands(keys: dict[str, Any], present: int, count: int) -> list[TenantCommand]:
    """Half rest, 40 % trade at once, 10 % are cancels."""
    flow = Flow(1, keys, kinds=(50, 40, 10, 0, 0))
    return [flow.next(present + AHEAD + number % INSTRUMENTS) for number in range(count)]


class _Watch:
    """Sees settlements on `facts`: when that of each order came that traded when it came."""

    def __init__(self, commands: Sequence[TenantCommand]) -> None:
        self.settled: dict[int, float] = {}
        self.done = False
        self._number = {command.id: number for number, command in enumerate(commands)}
        self._last = commands[-1].id.encode()
        self._taker = -1

    def note(self, data: bytes, now: float) -> None:
        """One fact. The settlements of a record's trades come right behind them."""
        if data.startswith(_TRADES):
            trades = decode(data)
            assert isinstance(trades, Trades)
            self._taker = self._number[(trades.buy_order if trades.taker[0] == "buy" else trades.sell_order)[0]]
        elif data.startswith(_SETTLEMENTS):
            self.settled.setdefault(self._taker, now)
        elif self._last in data:
            self.done = True


def _mark(model: type[Event]) -> bytes:
    """What a record of this type begins with."""
    return MAGIC + avro_fingerprint(parsed(model))


_TRADES, _SETTLEMENTS = _mark(Trades), _mark(Settlements)


# Two bare hops


def _bare(bootstrap: str, count: int) -> tuple[list[float], float]:
    """Seconds from publication until the record has come through two processes that only pass it on."""
    keys = {tenant: private_key(1, tenant) for tenant in TENANTS}
    records = [encode(command) for command in _commands(keys, 1_000_000, count)]
    topics = [f"bench-{uuid.uuid4().hex[:8]}-{hop}" for hop in range(3)]
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for made in admin.create_topics([NewTopic(topic, 1, 1) for topic in topics]).values():
        made.result(timeout=30)
    arrived: list[float] = []
    with ExitStack() as stack:
        for source, target in pairwise(topics):
            stack.enter_context(_relay(bootstrap, source, target))
        stack.enter_context(_reading(bootstrap, topics[-1], 0, lambda _, now: arrived.append(now)))
        published = _publish(bootstrap, topics[0], 0, records)
        load = os.getloadavg()[0]
        until(lambda: len(arrived) == count, 60, "all records through both hops")
    passed = [then - at for at, then in zip(published, arrived, strict=True)]
    return passed[int(count * WARM_UP) :], load


@contextmanager
def _relay(bootstrap: str, source: str, target: str) -> Iterator[None]:
    root = str(Path(__file__).parents[2])
    command = [sys.executable, __file__, bootstrap, "relay", source, target]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": root})
    assert child.stdout is not None
    try:
        if child.stdout.readline() != "ready\n":
            raise RuntimeError(f"a relay from {source} did not start")
        yield
    finally:
        child.kill()
        child.wait()


def relay(bootstrap: str, source: str, target: str) -> None:
    """In a process of its own: every record of `source` on to `target`, for ever."""

    async def pass_on() -> None:
        import aiokafka

        consumer = aiokafka.AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
        producer = aiokafka.AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True)
        await consumer.start()
        await producer.start()
        place = aiokafka.TopicPartition(source, 0)
        consumer.assign([place])
        await consumer.seek_to_beginning(place)
        print("ready", flush=True)
        while True:
            for records in (await consumer.getmany(timeout_ms=1000)).values():
                for record in records:
                    await producer.send(target, record.value, record.key, 0)

    asyncio.run(pass_on())


if __name__ == "__main__":
    if len(sys.argv) > 2 and sys.argv[2] == "relay":
        relay(sys.argv[1], *sys.argv[3:])
    for figure in run(sys.argv[1], *map(int, sys.argv[2:])):
        print(json.dumps(figure, ensure_ascii=False))
