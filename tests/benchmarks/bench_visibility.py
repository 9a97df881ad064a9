"""How soon an event can be queried, and how soon an engine decides again after kill -9: the whole system with its default settings.

Run alone: `python tests/benchmarks/bench_visibility.py HOST:PORT http://HOST:PORT`. Wall-clock times: they are what a user waits
for, so run it on a machine that does nothing else.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psutil
from confluent_kafka import Consumer, TopicPartition

sys.path.insert(0, str(Path(__file__).parents[1] / "e2e"))  # the harness that starts a whole system

from system import ROLES, System, until

from schemas.fact import Fact
from schemas.published import PoolCommand, ProfileCommand, UsageEvent
from streams.client import CommandPublisher, UsagePublisher
from streams.codecs import decode
from streams.partitioning import home_partition
from streams.settings import Settings

Row = dict[str, object]

PROBES = 1_000
EVERY_S = 0.037
"""Between two events: 37 ms has no common measure with the sink's second, so that events meet it at every moment of it."""

TENANTS = 100_000
DEFAULTS = {name: Settings.model_fields[name].default for name in ("tick_ms", "sink_batch", "snapshot_every", "session_timeout")}
POOL = PoolCommand(id="bench", pool="bench", capacity=10**9, period_s=5)


def run(bootstrap: str, clickhouse_url: str, probes: int = PROBES, tenants: int = TENANTS) -> list[Row]:
    """Rows of {name, value, unit, baseline, baseline_value, ratio, goal, met}."""
    seen, acknowledged = _visibility(bootstrap, clickhouse_url, probes)
    small, large = (_recovery(bootstrap, clickhouse_url, count) for count in (1, tenants))
    many = f"engine of {tenants:,} tenants"
    return [
        _row(
            "published to visible in ClickHouse, p50", _quantile(seen, 0.5), "acknowledged by Kafka", _quantile(acknowledged, 0.5)
        ),
        _row(
            "published to visible in ClickHouse, p99", _quantile(seen, 0.99), "acknowledged by Kafka", _quantile(acknowledged, 0.99)
        ),
        _row(f"{many}: kill -9 to the next new fact", large["fact"], "engine of one tenant", small["fact"]),
        _row(f"{many}: kill -9 to the next closed period", large["period"], "engine of one tenant", small["period"]),
        _row(f"{many}: memory after recovery", large["mb"], "engine of one tenant", small["mb"], unit="MB"),
    ]


def _row(name: str, value: float, baseline: str, baseline_value: float, unit: str = "s") -> Row:
    return {
        "name": name,
        "value": value,
        "unit": unit,
        "baseline": baseline,
        "baseline_value": baseline_value,
        "ratio": value / baseline_value,
        "goal": None,
        "met": None,
    }


def _quantile(values: Iterable[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _visibility(bootstrap: str, clickhouse_url: str, probes: int) -> tuple[list[float], list[float]]:
    """Seconds from handing an event to the publisher to the query that shows it, and to its acknowledgement."""
    with (
        tempfile.TemporaryDirectory() as home,
        System(Path(home), kafka=bootstrap, clickhouse=clickhouse_url, **DEFAULTS) as system,
    ):
        published: list[float] = []
        acknowledged: list[float] = []
        visible: list[float] = []

        def on_delivery(event: UsageEvent, reason: str | None) -> None:
            assert reason is None, reason
            acknowledged.append(time.monotonic() - published[int(event.id)])

        def look() -> None:
            """One tenant's events stand in one partition and land in its order: a count says which of them can be seen."""
            count = system.value("SELECT count() FROM usage_events")
            now = time.monotonic()
            visible.extend(now - published[number] for number in range(len(visible), count))

        with UsagePublisher(system.settings, source="bench", on_delivery=on_delivery) as publisher:
            for number in range(probes):
                published.append(time.monotonic())
                publisher.publish(id=str(number), tenant="one", pool="bench", input_tokens=1, output_tokens=1)
                while time.monotonic() < published[-1] + EVERY_S:
                    look()
                    time.sleep(0.002)
        until(lambda: look() or len(visible) == probes, 60, "all events visible", every_s=0.002)
    return visible, acknowledged


def _recovery(bootstrap: str, clickhouse_url: str, tenants: int) -> dict[str, float]:
    """Seconds from kill -9 of a running engine until its facts go on: the first that is new, and the first closed period."""
    with tempfile.TemporaryDirectory() as home:
        only = {role: int(role != "sink") for role in ROLES}  # what lands is not measured here
        with System(Path(home), kafka=bootstrap, clickhouse=clickhouse_url, workers=only, **DEFAULTS) as system:
            with CommandPublisher(system.settings) as publisher:
                publisher.publish(POOL)
                for number in range(tenants):
                    publisher.publish(ProfileCommand(id=str(number), pool="bench", tenant=f"t{number}", base=100, elasticity="1.5"))
            until(lambda: _opened_tenants(system) == tenants, 300, "a period with all tenants")
            snapshot = sum(system.ends("engine-state-changelog").values())
            until(lambda: sum(system.ends("engine-state-changelog").values()) > snapshot, 120, "a snapshot")
            return _kill_and_watch(system)


def _opened_tenants(system: System) -> int:
    shown = system.web("/pools/bench")
    return 0 if shown["price"] is None else len(shown["tenants"])


def _kill_and_watch(system: System) -> dict[str, float]:
    """The engine's restart is its supervisor's: a worker of this system is started again 0.2 s after its death."""
    partition = home_partition(b"bench", system.settings.partitions)
    topic = system.settings.topic("facts")
    consumer = Consumer({**system.settings.kafka_client_config(), "group.id": "bench", "enable.auto.commit": False})
    try:
        end = system.ends("facts")["facts", partition]
        consumer.assign([TopicPartition(topic, partition, end)])
        system.kill("engine-1")
        began = time.monotonic()
        known = _last_fact(system, partition)
        found: dict[str, float] = {}
        while "period" not in found:
            message = consumer.poll(0.1)
            if message is None or message.error():
                continue
            fact = _fact(message.value())
            if (fact.journal_offset, fact.fact_index) > known:
                found.setdefault("fact", time.monotonic() - began)
                if fact.KIND == "period_closed":
                    found["period"] = time.monotonic() - began
    finally:
        consumer.close()
    system.until_ready()
    found["mb"] = psutil.Process(system.workers["engine-1"].pid).memory_info().rss / 1e6
    return found


def _last_fact(system: System, partition: int) -> tuple[int, int]:
    """Id of the last fact that the killed engine has published."""
    consumer = Consumer({**system.settings.kafka_client_config(), "group.id": "bench", "enable.auto.commit": False})
    try:
        end = system.ends("facts")["facts", partition]
        consumer.assign([TopicPartition(system.settings.topic("facts"), partition, end - 1)])
        message = until(lambda: consumer.poll(0.1), 30, "the last fact")
        fact = _fact(message.value())
        return fact.journal_offset, fact.fact_index
    finally:
        consumer.close()


def _fact(data: Any) -> Fact:
    fact = decode(data)
    assert isinstance(fact, Fact)
    return fact


if __name__ == "__main__":
    print(json.dumps(run(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])), indent=1))
