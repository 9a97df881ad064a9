"""Speed of metering through Faust, Avro decoded, repetitions dropped, sums reported, against the driver alone and a plain agent.

Run alone: `python tests/benchmarks/bench_metering.py HOST:PORT`. All ways read the same topic, each in a process of its own,
one after the other. Figures are events for each second of processor time, of all threads of the reader: one interpreter is what
a worker has, and neighbours on the machine disturb that less than the clock. Rows of wall-clock time stand beside them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

from confluent_kafka import Producer

from processors.metering import Meter, MeterName, MeterNote, UsageSheet
from schemas.journal import ClockTick
from schemas.published import UsageEvent
from streams.codecs import encode
from streams.settings import Settings
from streams.topics import ensure_topics

EVENTS = 300_000
TENANTS = 1_000
EVENTS_A_TICK = 50_000
TICK_MS = 1_000
REPEATS = 2
READ_S = 120.0
PLAIN_S = 20.0
"""The plain agent is stopped after this many seconds: it would take minutes for all events, at the same pace."""


def run(bootstrap: str, events: int = EVENTS, repeats: int = REPEATS, seconds: float = PLAIN_S) -> list[dict[str, object]]:
    """Rows of {name, value, unit, baseline, baseline_value, ratio, goal, met}."""
    with tempfile.TemporaryDirectory() as home:
        settings = Settings(home=Path(home), kafka=bootstrap, topic_prefix=f"bench-{uuid.uuid4().hex[:8]}.", tick_ms=TICK_MS)
        ensure_topics(settings)
        records = _publish(settings, events)
        best: dict[str, dict[str, float]] = {}
        for _ in range(repeats):
            for way in ("getmany", "getmany and decode", "metering"):
                _keep_best(best, way, _read(way, settings, records, READ_S))
        _keep_best(best, "plain agent", _read("plain agent", settings, records, seconds))
    return [
        *_against(best, "cpu_s", "events per processor second"),
        *_against(best, "wall_s", "events/s"),
        *_in_memory(events),
    ]


def _against(best: dict[str, dict[str, float]], clock: str, unit: str) -> list[dict[str, object]]:
    def row(way: str, baseline: str, goal: float | None) -> dict[str, object]:
        ratio = best[way][clock] / best[baseline][clock]
        return {
            "name": f"{way} through Faust" if way == "metering" else way,
            "value": round(best[way][clock]),
            "unit": unit,
            "baseline": baseline,
            "baseline_value": round(best[baseline][clock]),
            "ratio": round(ratio, 2),
            "goal": goal,
            "met": None if goal is None else ratio >= goal,
        }

    # FAUST.md's ceiling (86-109 k) is getmany with the events decoded: that is what the goals are against.
    return [
        row("metering", "plain agent", 10),
        row("metering", "getmany and decode", 0.5),
        row("metering", "getmany", None),
    ]


def _keep_best(best: dict[str, dict[str, float]], way: str, told: dict[str, float]) -> None:
    rates = best.setdefault(way, {})
    for clock in ("cpu_s", "wall_s"):
        rates[clock] = max(rates.get(clock, 0.0), told["events"] / told[clock])


def _publish(settings: Settings, events: int) -> int:
    """Events of 1,000 tenants under their keys, and a tick in every partition after each 50,000; how many records there are."""
    producer = Producer({**settings.kafka_client_config(), "linger.ms": 20, "queue.buffering.max.messages": 1_000_000})
    topic, now = settings.topic("usage"), time.time_ns() // 1_000_000
    first_tick = now // TICK_MS - events // EVENTS_A_TICK - 1
    for number in range(events):
        tenant = f"tenant-{number * 7919 % TENANTS:04}"
        event = UsageEvent(
            time=now,
            source="backend-7",
            id=f"01HZX3-{number:012}",
            tenant=tenant,
            pool="llama-70b",
            input_tokens=500 + number % 1000,
            output_tokens=200,
            model="llama-3-70b-instruct",
        )
        producer.produce(topic, value=encode(event), key=tenant)
        if (number + 1) % EVENTS_A_TICK == 0 or number + 1 == events:
            _tick(producer, settings, first_tick + number // EVENTS_A_TICK)
    assert producer.flush(60) == 0
    return events + -(-events // EVENTS_A_TICK) * settings.partitions


def _tick(producer: Producer, settings: Settings, number: int) -> None:
    assert producer.flush(60) == 0
    tick = ClockTick(tick=number, tick_ms=TICK_MS, meter_partitions=settings.partitions, grace_ticks=settings.grace_ticks)
    for partition in range(settings.partitions):
        producer.produce(settings.topic("usage"), value=encode(tick), partition=partition, headers=[("bourse-kind", b"tick")])
    assert producer.flush(60) == 0


def _read(way: str, settings: Settings, records: int, seconds: float) -> dict[str, float]:
    spec = {
        "way": way,
        "bootstrap": settings.kafka_bootstrap,
        "prefix": settings.topic_prefix,
        "partitions": settings.partitions,
        "events": records,
        "seconds": seconds,
    }
    script = Path(__file__).with_name("metering_reader.py")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    if way == "metering":
        _forget(settings)
    done = subprocess.run(
        [sys.executable, str(script), json.dumps(spec)], env=environment, capture_output=True, text=True, timeout=180, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    told: dict[str, float] = json.loads(done.stdout[done.stdout.index('{"events"') :])  # Faust has decorated what is before
    return told


def _forget(settings: Settings) -> None:
    """The meter's group starts at the beginning again."""
    from confluent_kafka.admin import AdminClient

    admin = AdminClient({**settings.kafka_client_config(), "log_level": 0})
    group = settings.topic("meter")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            admin.delete_consumer_groups([group])[group].result()
        except Exception as error:  # noqa: BLE001  the group does not exist yet, or its last member has not timed out
            if "GROUP_ID_NOT_FOUND" in str(error):
                return
            time.sleep(0.5)
        else:
            return
    raise AssertionError(f"{group} still has members")


def _in_memory(events: int) -> list[dict[str, object]]:
    """The fold alone, without decoding: what processors/metering.py says of itself."""
    some = [
        UsageEvent.model_construct(
            time=0,
            source="backend-7",
            id=f"01HZX3-{number:012}",
            tenant=f"tenant-{number * 7919 % 100_000:05}",
            pool="p",
            input_tokens=500,
            output_tokens=200,
            cached_input_tokens=0,
        )
        for number in range(events)
    ]
    meter = Meter(MeterName("usage", 0), UsageSheet(), 120, MeterNote())
    meter.resume()
    start = time.process_time()
    for at in range(0, events, 5_000):
        meter.observe(some[at : at + 5_000])
    counted = time.process_time()
    meter.tick(1, events)
    ticked = time.process_time()
    nothing = {"baseline": None, "baseline_value": None, "ratio": None}
    return [
        {
            "name": "observe an event (dedupe and sums, 100,000 tenants)",
            "value": round((counted - start) / events * 1e6, 2),
            "unit": "µs",
            **nothing,
            "goal": None,
            "met": None,
        },
        {
            "name": "report a tick of 100,000 tenants",
            "value": round(ticked - counted, 3),
            "unit": "s",
            **nothing,
            "goal": None,
            "met": None,
        },
    ]


if __name__ == "__main__":
    for found in run(sys.argv[1]):
        print(json.dumps(found, ensure_ascii=False))
