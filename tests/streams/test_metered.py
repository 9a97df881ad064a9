"""Measured once: what ends is published, also by the next process, and also if Kafka was away meanwhile."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from pathlib import Path

import psutil
import pytest
from confluent_kafka import Consumer
from confluent_kafka.admin import AdminClient, NewTopic

from schemas.published import LatencyEvent, UsageEvent
from streams.codecs import decode
from streams.gateway.metered import Metered
from streams.gateway.write_ahead import LOST, Begun, Ended
from streams.settings import Settings

pytestmark = pytest.mark.kafka

ENOUGH_S = 60
NOW = time.time_ns() // 1_000_000


@pytest.fixture
def settings(bootstrap: str, tmp_path: Path) -> Settings:
    made = Settings(home=tmp_path, kafka=bootstrap, topic_prefix=f"m{uuid.uuid4().hex[:8]}.")
    topics = [NewTopic(made.topic(name), 1, 1) for name in ("usage", "latency")]
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    for topic in admin.create_topics(topics).values():
        topic.result(timeout=30)
    return made


def read(settings: Settings, topic: str, most: int) -> list[UsageEvent | LatencyEvent]:
    consumer = Consumer(
        {**settings.kafka_client_config(), "group.id": uuid.uuid4().hex, "auto.offset.reset": "earliest", "log_level": 0}
    )
    consumer.subscribe([settings.topic(topic)])
    found: list[UsageEvent | LatencyEvent] = []
    deadline = time.monotonic() + ENOUGH_S
    while len(found) < most and time.monotonic() < deadline:
        for message in consumer.consume(100, 0.2):
            event = decode(message.value() or b"")
            assert isinstance(event, UsageEvent | LatencyEvent)
            found.append(event)
    consumer.close()
    return found


def started(settings: Settings, directory: Path) -> Metered:
    metered = Metered(settings, "gate-1", directory / "wal")
    metered.start()
    return metered


def publishers() -> list[psutil.Process]:
    """Those of this process's gateways; one that was killed has no command any more."""
    running = (child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE)
    return [child for child in running if "streams.gateway.publishing" in child.cmdline()]


def begin(metered: Metered, name: str) -> None:
    metered.begin(Begun(name, "ann", "llm", "llama", NOW, 100, 50))


def end(metered: Metered, name: str) -> None:
    metered.end(Ended(name, "ann", "llm", "llama", NOW + 9, 100, 7, 3, "reported", 9, 4, 1, "ok"))


def test_what_ended_is_published_and_what_never_did_is_settled_by_the_next_process(settings: Settings, tmp_path: Path) -> None:
    metered = started(settings, tmp_path)
    for name in ("a", "b", "lost"):
        begin(metered, name)
    end(metered, "a")
    end(metered, "b")
    deadline = time.monotonic() + ENOUGH_S
    while not metered.told_all:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert not metered.close(patience_s=0), "one runs still, and its process ends"
    again = started(settings, tmp_path)
    assert again.lost == 1
    assert again.close(ENOUGH_S)
    third = started(settings, tmp_path)
    assert third.close(ENOUGH_S)
    usage = read(settings, "usage", 3)
    assert [(event.id, event.source, event.output_tokens, event.basis) for event in usage if isinstance(event, UsageEvent)] == [
        ("a", "gate-1", 7, "reported"),
        ("b", "gate-1", 7, "reported"),
        (LOST, "gate-1", 50, "reserved"),
    ]
    assert [event.id for event in read(settings, "latency", 2)] == ["a", "b"], "how long a lost one took nobody knows"


def test_a_publisher_that_is_killed_is_started_again_and_ends_with_its_gateway(settings: Settings, tmp_path: Path) -> None:
    metered = started(settings, tmp_path)
    for number in range(40):
        begin(metered, f"r{number}")
        end(metered, f"r{number}")
        if number in (0, 20):
            (publisher,) = publishers()
            publisher.kill()
            deadline = time.monotonic() + ENOUGH_S
            while publishers() in ([], [publisher]):
                assert time.monotonic() < deadline
                time.sleep(0.02)
    assert metered.close(ENOUGH_S)
    assert {event.id for event in read(settings, "usage", 40)} == {f"r{number}" for number in range(40)}
    assert publishers() == []


def test_kafka_away_costs_nothing_that_was_measured(settings: Settings, tmp_path: Path) -> None:
    away = settings.model_copy(update={"kafka": "127.0.0.1:1"})
    metered = started(away, tmp_path)
    names = [f"r{number}" for number in range(50)]
    for name in names:
        begin(metered, name)
        end(metered, name)
    assert not metered.close(patience_s=0.5), "Kafka has not got it all"
    back = started(settings, tmp_path)
    assert back.close(ENOUGH_S)
    assert Counter(event.id for event in read(settings, "usage", 50)) == Counter(names)
