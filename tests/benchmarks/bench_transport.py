"""What the transport costs: reading, sending, latency and start, each against what it replaces, on the same broker and topic.

Run alone: `python tests/benchmarks/bench_transport.py HOST:PORT`. Every figure comes from a process of its own. Rates are events
per processor second of that process (both of its threads), best of a few runs: neighbours on the machine disturb them less
than the clock.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

PARTITIONS = 4
EVENTS = 400_000
EVENT_BYTES = 90  # a usage event in Avro
PLAIN_EVENTS = 20_000  # what the plain agent is measured on: it takes a tenth of a millisecond and more for each
SENDS = 50_000
LATENCIES = 600
PUBLISHED_PER_S = 200
REPEATS = 2

Row = dict[str, object]


def run(bootstrap: str, repeats: int = REPEATS) -> list[Row]:
    """Rows of {name, value, unit, baseline, baseline_value, ratio, goal, met}."""
    topic = _loaded_topic(bootstrap)
    ours, plain, alone = (_best_rate(mode, bootstrap, topic, repeats) for mode in ("ours", "plain", "getmany"))
    fast, slow = (_best_rate(mode, bootstrap, topic, repeats) for mode in ("send_all", "topic_send"))
    late, late_alone = (_latency(mode, bootstrap) for mode in ("ours_latency", "getmany_latency"))
    begun, begun_plain = (min(_child(mode, bootstrap, topic)["started"] for _ in range(repeats)) for mode in ("ours", "plain"))
    return [
        _row("read through Faust", ours, "events/s", "plain Faust agent with a table", plain, goal=10.0),
        _row("read through Faust", ours, "events/s", "aiokafka getmany alone", alone, goal=0.5),
        _row("send, acknowledged", fast, "records/s", "Faust topic.send", slow, goal=None),
        _row("published to agent, p50", late[0], "ms", "aiokafka getmany alone", late_alone[0], goal=None),
        _row("published to agent, p99", late[1], "ms", "aiokafka getmany alone", late_alone[1], goal=None),
        _row("process start to first batch", begun, "s", "plain Faust agent with a table", begun_plain, goal=None),
    ]


def _row(name: str, value: float, unit: str, baseline: str, baseline_value: float, *, goal: float | None) -> Row:
    ratio = value / baseline_value
    return {
        "name": name,
        "value": round(value, 3),
        "unit": unit,
        "baseline": baseline,
        "baseline_value": round(baseline_value, 3),
        "ratio": round(ratio, 3),
        "goal": None if goal is None else f">= {goal}",
        "met": None if goal is None else ratio >= goal,
    }


def _best_rate(mode: str, bootstrap: str, topic: str, repeats: int) -> float:
    return max(_child(mode, bootstrap, topic)["rate"] for _ in range(repeats))


def _latency(mode: str, bootstrap: str) -> tuple[float, float]:
    """(p50, p99) in milliseconds, at a low rate."""
    topic = _topic(bootstrap)
    child = _start(mode, bootstrap, topic)
    assert child.stdout is not None
    assert json.loads(child.stdout.readline())["ready"]
    _publish(bootstrap, topic, LATENCIES, lambda _: b"%.6f" % time.time(), every_s=1 / PUBLISHED_PER_S)
    delays = sorted(json.loads(child.stdout.readline())["delays"])
    child.wait()
    return delays[len(delays) // 2] * 1000, delays[len(delays) * 99 // 100] * 1000


def _topic(bootstrap: str, name: str | None = None) -> str:
    from confluent_kafka.admin import AdminClient, NewTopic

    name = name or f"bench-{uuid.uuid4().hex[:8]}"
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(name, PARTITIONS, 1)])[name].result(timeout=30)
    return name


def _loaded_topic(bootstrap: str) -> str:
    topic = _topic(bootstrap)
    _publish(bootstrap, topic, EVENTS, lambda n: b"%0*d" % (EVENT_BYTES, n))
    return topic


def _publish(bootstrap: str, topic: str, count: int, value: Callable[[int], bytes], every_s: float = 0.0) -> None:
    from confluent_kafka import Producer

    producer = Producer(
        {"bootstrap.servers": bootstrap, "linger.ms": 0 if every_s else 20, "queue.buffering.max.messages": 1_000_000}
    )
    begun = time.monotonic()
    for n in range(count):
        producer.produce(topic, key=b"t%d" % (n % 1000), value=value(n), partition=n % PARTITIONS)
        while every_s and time.monotonic() < begun + n * every_s:
            producer.poll(max(0.0, begun + n * every_s - time.monotonic()))
    producer.flush()


def _start(mode: str, bootstrap: str, topic: str) -> subprocess.Popen[str]:
    command = [sys.executable, __file__, bootstrap, mode, topic, str(time.time())]
    root = str(Path(__file__).parents[2])
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": root}
    )


def _child(mode: str, bootstrap: str, topic: str) -> dict[str, float]:
    child = _start(mode, bootstrap, topic)
    out, errors = child.communicate(timeout=600)
    assert child.returncode == 0, errors[-3000:]
    return dict(json.loads(out.splitlines()[-1]))


# --- in the child ----------------------------------------------------------------------------------------------------


class Meter:
    """Counts events from the second delivery on, and ends the process after the last one."""

    def __init__(self, count: int, spawned: float) -> None:
        self.left, self.counted, self.spawned = count, 0, spawned
        self.begun: tuple[float, float] | None = None

    def saw(self, events: int) -> None:
        if self.begun is None:
            self.started = time.time() - self.spawned
            self.begun = (time.perf_counter(), time.process_time())
        else:
            self.counted += events
        self.left -= events
        if self.left <= 0:
            wall, processor = time.perf_counter() - self.begun[0], time.process_time() - self.begun[1]
            finish(rate=self.counted / processor, wall_rate=self.counted / wall, started=self.started)


def finish(**figures: object) -> None:
    print(json.dumps(figures), flush=True)
    os._exit(0)  # the figures are all that this process was for


def _app(bootstrap: str, *, stock: bool) -> Any:
    from faust.transport.drivers import TRANSPORTS

    from streams.app import build_app

    app = build_app(f"bench-{uuid.uuid4().hex[:8]}", brokers=bootstrap, datadir=Path(mkdtemp()), changelog_partitions=PARTITIONS)
    if stock:
        TRANSPORTS.aliases["bourse"] = "faust.transport.drivers.aiokafka:Transport"
    return app


def ours(bootstrap: str, topic: str, spawned: float) -> None:
    from streams.app import run_app
    from streams.transport import consumer_of

    app, meter = _app(bootstrap, stock=False), Meter(EVENTS, spawned)

    @app.agent(app.topic(topic))
    async def agent(stream: Any) -> None:
        seen = 0
        async for batch in stream:
            for record in batch.records:
                seen += len(record.value)
            consumer_of(app).declare_safe(batch.tp, batch.last + 1, generation=batch.generation)
            meter.saw(len(batch.records))

    run_app(app, loglevel="ERROR")


def plain(bootstrap: str, topic: str, spawned: float) -> None:
    from streams.app import run_app

    app, meter = _app(bootstrap, stock=True), Meter(PLAIN_EVENTS, spawned)
    table = app.Table("seen", default=int, key_type=str, value_type=int, partitions=PARTITIONS)
    app.conf.value_serializer = "json"
    _topic(bootstrap, f"{app.conf.id}-seen-changelog")

    @app.agent(app.topic(topic, key_type=str, value_type=bytes, value_serializer="raw"))
    async def agent(stream: Any) -> None:
        async for key, value in stream.items():
            table[key] += len(value)
            meter.saw(1)

    run_app(app, loglevel="ERROR")


def getmany(bootstrap: str, topic: str, spawned: float) -> None:
    meter = Meter(EVENTS, spawned)

    async def consume() -> None:
        consumer = await _bare_consumer(bootstrap, topic)
        seen = 0
        while True:
            for records in (await consumer.getmany(timeout_ms=1000, max_records=5000)).values():
                for record in records:
                    seen += len(record.value)
                meter.saw(len(records))

    asyncio.run(consume())


def ours_latency(bootstrap: str, topic: str, _: float) -> None:
    from streams.app import run_app

    app, delays = _app(bootstrap, stock=False), list[float]()

    @app.agent(app.topic(topic))
    async def agent(stream: Any) -> None:
        async for batch in stream:
            _note(delays, batch.records)

    @app.task
    async def ready() -> None:
        print(json.dumps({"ready": True}), flush=True)

    run_app(app, loglevel="ERROR")


def getmany_latency(bootstrap: str, topic: str, _: float) -> None:
    async def consume() -> None:
        consumer, delays = await _bare_consumer(bootstrap, topic), list[float]()
        print(json.dumps({"ready": True}), flush=True)
        while True:
            for records in (await consumer.getmany(timeout_ms=1000)).values():
                _note(delays, records)

    asyncio.run(consume())


def _note(delays: list[float], records: Any) -> None:
    now = time.time()
    delays.extend(now - float(record.value) for record in records)
    if len(delays) >= LATENCIES:
        finish(delays=delays)


async def _bare_consumer(bootstrap: str, topic: str) -> Any:
    import aiokafka

    consumer = aiokafka.AIOKafkaConsumer(
        topic, bootstrap_servers=bootstrap, group_id=f"bench-{uuid.uuid4().hex[:8]}", auto_offset_reset="earliest"
    )
    await consumer.start()
    return consumer


def send_all(bootstrap: str, _topic_read: str, _: float) -> None:
    from streams.transport import Outgoing
    from streams.transport import send_all as send

    async def burst(app: Any, topic: str) -> None:
        value = b"v" * EVENT_BYTES
        for first in range(0, SENDS, 5000):
            await (await send(app, [Outgoing(topic, n % PARTITIONS, b"k", value) for n in range(first, first + 5000)]))

    _measure_sends(bootstrap, burst)


def topic_send(bootstrap: str, _topic_read: str, _: float) -> None:
    async def burst(app: Any, name: str) -> None:
        topic, value = app.topic(name, value_serializer="raw"), b"v" * EVENT_BYTES
        for first in range(0, SENDS, 5000):
            sent = [await topic.send(key=b"k", value=value, partition=n % PARTITIONS) for n in range(first, first + 5000)]
            await asyncio.gather(*sent)

    _measure_sends(bootstrap, burst)


def _measure_sends(bootstrap: str, burst: Callable[[Any, str], Any]) -> None:
    async def measure() -> None:
        app, topic = _app(bootstrap, stock=False), _topic(bootstrap)
        await app.producer.start()
        begun = time.process_time()
        await burst(app, topic)
        finish(rate=SENDS / (time.process_time() - begun))

    asyncio.run(measure())


MODES = {mode.__name__: mode for mode in (ours, plain, getmany, ours_latency, getmany_latency, send_all, topic_send)}

if __name__ == "__main__":
    if len(sys.argv) == 2:
        print(json.dumps(run(sys.argv[1]), indent=1))
    else:
        MODES[sys.argv[2]](sys.argv[1], sys.argv[3], float(sys.argv[4]))
