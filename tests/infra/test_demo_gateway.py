"""The demo's gateway where something is missing or wrong: what it then serves, reports and tells."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from limits_topic import POOL, Told, capacity, limit, publish

from infra.demo import gateway as demo
from infra.demo.gateway import Gateway
from infra.workloads import Request
from schemas.outputs import output_key
from schemas.published import AdmissionEvent
from streams import tailing
from streams.codecs import decode
from streams.errors import Unavailable
from streams.outbox import PublishFailed
from streams.partitioning import home_partition
from streams.settings import Settings
from streams.topics import ensure_topics

PARTITIONS = 2
SMALL, LARGE = (10, 0, 20), (5_000, 0, 20)

Play = Callable[..., Gateway]


@pytest.fixture
def settings(broker: str, tmp_path: Path) -> Settings:
    settings = Settings(home=tmp_path, kafka=broker, topic_prefix=f"g{uuid.uuid4().hex[:8]}.", partitions=PARTITIONS)
    ensure_topics(settings)
    return settings


@pytest.fixture
def play(settings: Settings) -> Iterator[Play]:
    """A gateway that is asked (tenant, tokens) one after the other, under limits that stand in the topic."""
    begun: list[Gateway] = []

    def start(*asked: tuple[str, tuple[int, int, int]], told: tuple[Told, ...] = (), every_ms: int = 10) -> Gateway:
        publish(settings, *told)
        requests = [Request(at * every_ms, tenant, *tokens) for at, (tenant, tokens) in enumerate(asked)]
        begun.append(Gateway(settings, POOL, "gw", lambda: requests))
        begun[-1].start()
        return begun[-1]

    yield start
    for gateway in begun:
        gateway._stopping.set()
        gateway._thread.join()


def ended(gateway: Gateway) -> dict[str, int]:
    """When all has been asked."""
    gateway._thread.join(60)
    return gateway.finish()


def reported(settings: Settings, many: int) -> list[AdmissionEvent]:
    consumer = Consumer({**settings.kafka_client_config(), "group.id": "test", "log_level": 0})
    consumer.assign([TopicPartition(settings.topic("admissions"), number, 0) for number in range(PARTITIONS)])
    found = consumer.consume(many, 30)
    consumer.close()
    return [decode(message.value()) for message in found]


def test_what_has_no_limits_yet_and_what_is_too_large_is_refused_and_reported(settings: Settings, play: Play) -> None:
    gateway = play(("ann", SMALL), ("ben", SMALL), ("ann", LARGE), ("ann", SMALL), told=(capacity(1), limit(1, "ann")))
    counts = ended(gateway)
    assert counts == {"usage": 2, "latency": 2, "admission": 2}
    assert (gateway.admitted, gateway.refused) == (Counter(ann=2), Counter(ann=1, ben=1))
    told = {event.tenant: event for event in reported(settings, 2)}
    assert (told["ann"].admitted, told["ann"].refused_own_kv, told["ann"].refused) == (2, 1, 1)
    assert (told["ben"].admitted, told["ben"].refused_own_throughput, told["ben"].refused_tokens) == (0, 1, 10 + 64)


def test_without_limits_it_tells_where_to_look(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "LIMITS_READY_S", 0.3)
    with pytest.raises(Unavailable, match=r"no limits of pool llm came in 0 s: see `bourse status`"):
        ended(play(("ann", SMALL)))


def test_without_kafka_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tailing, "ANSWER_S", 0.3)
    gateway = Gateway(Settings(home=tmp_path, kafka="127.0.0.1:9"), POOL, "gw", list)
    gateway.start()
    with pytest.raises(Unavailable, match=r"Kafka at 127\.0\.0\.1:9 does not answer"):
        ended(gateway)


def test_limits_that_cannot_be_read_are_told_with_their_place(settings: Settings, play: Play) -> None:
    producer = Producer({**settings.kafka_client_config(), "acks": "all", "log_level": 0})
    home = home_partition(POOL.encode(), PARTITIONS)
    producer.produce(settings.topic("limits"), b"\xc3\x01 of a newer release", output_key(POOL, "ann"), home)
    assert producer.flush(60) == 0
    with pytest.raises(Unavailable, match=rf"topic {settings.topic('limits')}, partition {home}, offset 0: unknown schema"):
        ended(play(("ann", SMALL)))


def test_what_fails_when_a_request_ends_is_told_and_asks_no_more(play: Play) -> None:
    """Its end comes by a timer: nobody waits for it."""
    asked = [("ann", SMALL)] * 500
    gateway = play(*asked, told=(capacity(1), limit(1, "ann")), every_ms=100)
    gateway._usage.close()
    with pytest.raises(PublishFailed, match="the publisher is closed"):
        ended(gateway)
    assert gateway.admitted["ann"] < 100
