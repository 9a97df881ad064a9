"""Publishers on a real broker: what they say was acknowledged stands in the topic, whatever happens to the broker."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from offsets import end_of

from infra.embedded import EmbeddedBroker
from schemas.published import PoolCommand, ProfileCommand, UsageEvent
from streams.client import (
    CommandPublisher,
    Delivered,
    InvalidEvent,
    LatencyPublisher,
    PublishFailed,
    PublishTimeout,
    UndeliveredError,
    UsagePublisher,
)
from streams.codecs import decode
from streams.partitioning import home_partition
from streams.settings import Settings

pytestmark = pytest.mark.kafka

PARTITIONS = 4
A_REQUEST = {"tenant": "acme", "pool": "p", "input_tokens": 10, "output_tokens": 5}


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[EmbeddedBroker]:
    """One that may be killed; it starts again on the same port and data."""
    with EmbeddedBroker(tmp_path) as running:
        create(running.bootstrap, "bourse.usage")
        yield running


def create(bootstrap: str, *topics: str) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    made = admin.create_topics([NewTopic(topic, num_partitions=PARTITIONS, replication_factor=1) for topic in topics])
    for topic in topics:
        made[topic].result(timeout=30)
    # Every broker learns of a new topic a moment after its controller.
    deadline = time.monotonic() + 30
    while not all(len(admin.list_topics(topic, timeout=10).topics[topic].partitions) == PARTITIONS for topic in topics):
        assert time.monotonic() < deadline, f"{topics} did not appear"


def settings_for(bootstrap: str, tmp_path: Path, prefix: str = "bourse.") -> Settings:
    return Settings(home=tmp_path, kafka=bootstrap, topic_prefix=prefix)


@pytest.fixture
def settings(broker: str, tmp_path: Path, request: pytest.FixtureRequest) -> Settings:
    """Topics of this test's own on the session's broker."""
    prefix = f"{request.node.name[:40].replace('[', '-').replace(']', '')}-{time.monotonic_ns()}."
    create(broker, *(prefix + name for name in ("usage", "latency", "profiles")))
    return settings_for(broker, tmp_path, prefix)


def everything(bootstrap: str, topic: str) -> list[Message]:
    """All records of a topic, up to where it ends now."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "reader", "enable.auto.commit": False})
    try:
        ends = {partition: end_of(consumer, topic, partition) for partition in range(PARTITIONS)}
        consumer.assign([TopicPartition(topic, partition, 0) for partition in ends])
        found: list[Message] = []
        deadline = time.monotonic() + 60
        while len(found) < sum(ends.values()):
            assert time.monotonic() < deadline, f"{len(found)} of {sum(ends.values())} records read"
            for message in consumer.consume(10_000, timeout=1):
                if message.error():
                    raise KafkaException(message.error())
                found.append(message)
        return found
    finally:
        consumer.close()


def ids(messages: list[Message]) -> list[str]:
    return [decode(message.value() or b"").id for message in messages]  # type: ignore[attr-defined]  # these topics hold only events with an id


def test_what_lingers_is_sent_at_once_by_a_flush(settings: Settings) -> None:
    with UsagePublisher(settings, source="vllm-7", linger=timedelta(minutes=1)) as publisher:
        for sent in range(2):  # the first time it connects as well
            publisher.publish(A_REQUEST)
            time.sleep(0.5)
            assert publisher.delivered() == Delivered(sent, 0, 1)
            assert publisher.flush(timedelta(seconds=30)) == Delivered(sent + 1, 0, 0)


def test_events_stand_at_home_with_defaults_filled_in(settings: Settings, broker: str) -> None:
    tenants = ["acme", "büro", "x" * 128, "tenant-7"]
    before = time.time_ns() // 1_000_000
    with UsagePublisher(settings, source="vllm-7") as publisher:
        given = [publisher.publish(A_REQUEST, tenant=tenant) for tenant in tenants]
        publisher.publish(A_REQUEST, id="mine", source="other", time=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    found = {decode(m.value() or b""): m for m in everything(broker, settings.topic("usage"))}
    assert {event.id for event in found} == {*given, "mine"}  # type: ignore[attr-defined]  # usage events
    for event, message in found.items():
        assert isinstance(event, UsageEvent)
        assert message.key() == event.tenant.encode()
        assert message.partition() == home_partition(event.tenant.encode(), PARTITIONS)
        if event.id == "mine":
            assert (event.source, event.time) == ("other", 1767323045000)
        else:
            assert event.source == "vllm-7"
            assert before <= event.time <= time.time_ns() // 1_000_000


def test_json_and_latency_and_commands(settings: Settings, broker: str) -> None:
    with UsagePublisher(settings, source="s", encoding="json") as usage:
        usage.publish(A_REQUEST, id="u1", time=5)
    with LatencyPublisher(settings, source="s") as latency:
        latency.publish(tenant="acme", pool="p", latency_ms=120, id="l1")
    pool = PoolCommand(id="c1", pool="p", capacity=1000)
    profile = ProfileCommand(id="c2", pool="p", tenant="acme", base=10, elasticity="2.5")  # type: ignore[arg-type]  # a decimal as operators write it
    with CommandPublisher(settings) as commands:
        assert commands.publish(pool) == "c1"
        assert asyncio.run(commands.publish_async(profile)) == "c2"
    (message,) = everything(broker, settings.topic("usage"))
    said = json.loads(message.value() or b"")
    assert said["id"] == "u1"
    assert UsageEvent.model_validate(said) == UsageEvent(source="s", id="u1", time=5, **A_REQUEST)  # type: ignore[arg-type]  # a plain dict
    assert ids(everything(broker, settings.topic("latency"))) == ["l1"]
    held = everything(broker, settings.topic("profiles"))
    assert [decode(m.value() or b"") for m in held] == [pool, profile]
    assert {m.key() for m in held} == {b"p"}


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"input_tokens": -1}, "input_tokens"),
        ({"output_tokens": 2**53 + 1}, "output_tokens"),
        ({"tenant": ""}, "tenant"),
        ({"tenant": "a\nb"}, "tenant"),
        ({"cached_input_tokens": 11}, "cached_input_tokens"),
        ({"tokens": 3}, "tokens"),
        ({"time": datetime(2026, 1, 1)}, "time zone"),  # noqa: DTZ001  the naive time is the point
        ({"source": None}, "source"),
    ],
)
def test_invalid_events_are_refused_before_anything_is_sent(broker: str, tmp_path: Path, wrong: dict, named: str) -> None:
    with UsagePublisher(settings_for(broker, tmp_path), source="s") as publisher:
        with pytest.raises(InvalidEvent, match=named):
            publisher.publish(A_REQUEST, **wrong)
        assert publisher.flush() == Delivered(acknowledged=0, failed=0, in_flight=0)


def test_many_threads_publish_through_one_publisher(settings: Settings, broker: str) -> None:
    said: list[str] = []

    def work(number: int) -> None:
        said.extend(publisher.publish(A_REQUEST, tenant=f"t{number}") for _ in range(500))

    with UsagePublisher(settings, source="s", max_pending=300) as publisher:
        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert publisher.flush().acknowledged == 2000
    assert sorted(ids(everything(broker, settings.topic("usage")))) == sorted(said)


def test_async_publishing_waits_for_each_acknowledgement(settings: Settings, broker: str) -> None:
    async def work() -> list[str]:
        with UsagePublisher(settings, source="s", max_pending=50) as publisher:
            return await asyncio.gather(*(publisher.publish_async(A_REQUEST) for _ in range(200)))

    said = asyncio.run(work())
    assert sorted(ids(everything(broker, settings.topic("usage")))) == sorted(said)


def test_a_topic_that_does_not_exist_is_an_error_and_no_topic_is_made(broker: str, tmp_path: Path) -> None:
    publisher = UsagePublisher(settings_for(broker, tmp_path, "typo."), source="s", delivery_timeout=timedelta(seconds=2))
    publisher.publish(A_REQUEST, id="kept")
    with pytest.raises(UndeliveredError, match="1 events were not acknowledged") as raised:
        publisher.close()
    assert [event.id for event in raised.value.events] == ["kept"]  # type: ignore[attr-defined]  # usage events
    assert "typo.usage" not in AdminClient({"bootstrap.servers": broker}).list_topics(timeout=10).topics


def test_without_a_broker_publishers_wait_then_say_why_and_hand_everything_back(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nobody = f"127.0.0.1:{taken.getsockname()[1]}"
    outcomes: list[str | None] = []
    publisher = UsagePublisher(
        settings_for(nobody, tmp_path),
        source="s",
        max_pending=10,
        max_wait=timedelta(milliseconds=300),
        delivery_timeout=timedelta(seconds=2),
        on_delivery=lambda _event, reason: outcomes.append(reason),
    )
    sent = [publisher.publish(A_REQUEST) for _ in range(10)]
    with pytest.raises(PublishTimeout, match="10 events wait for their acknowledgement") as raised:
        publisher.publish(A_REQUEST)
    assert nobody in str(raised.value), "the reason names the broker"
    assert publisher.flush().failed == 10
    with pytest.raises(PublishTimeout, match="10 failed and were not taken back"):
        publisher.publish(A_REQUEST)
    undelivered = publisher.take_undelivered()
    assert [one.event.id for one in undelivered] == sent
    assert [one.reason for one in undelivered] == outcomes
    again = [publisher.publish(one.event) for one in undelivered]
    assert again == sent
    with pytest.raises(UndeliveredError) as lost:
        publisher.close(timeout=timedelta(0))
    assert [event.id for event in lost.value.events] == sent  # type: ignore[attr-defined]  # usage events
    publisher.close()
    with pytest.raises(PublishFailed, match="closed"):
        publisher.publish(A_REQUEST)


def test_killing_the_broker_while_publishing_loses_and_doubles_nothing(own_broker: EmbeddedBroker, tmp_path: Path) -> None:
    acknowledged: list[str] = []
    said: list[str] = []
    stop = threading.Event()
    publisher = UsagePublisher(
        settings_for(own_broker.bootstrap, tmp_path),
        source="s",
        max_pending=5_000,
        on_delivery=lambda event, reason: acknowledged.append(event.id) if reason is None else None,
    )

    def work() -> None:
        while not stop.is_set():
            said.append(publisher.publish(A_REQUEST, tenant=f"t{len(said) % 50}"))

    def reach(count: int) -> None:
        deadline = time.monotonic() + 60
        while len(acknowledged) < count:
            assert time.monotonic() < deadline, f"{len(acknowledged)} of {count} acknowledged"
            stop.wait(0.01)

    worker = threading.Thread(target=work)
    worker.start()
    try:
        for _ in range(2):
            reach(len(acknowledged) + 3_000)
            own_broker.kill()
            own_broker.start()
        reach(len(acknowledged) + 3_000)
    finally:
        stop.set()
        worker.join()
    publisher.close()
    assert len(acknowledged) == len(said)
    assert sorted(ids(everything(own_broker.bootstrap, "bourse.usage"))) == sorted(said)


def test_a_program_that_forgets_to_close_still_delivers(settings: Settings, broker: str, tmp_path: Path) -> None:
    program = (
        "from streams.client import UsagePublisher\n"
        "from streams.settings import Settings\n"
        f"s = Settings(home={str(tmp_path)!r}, kafka={broker!r}, topic_prefix={settings.topic_prefix!r})\n"
        "p = UsagePublisher(s, source='s')\n"
        "for n in range(100): p.publish(tenant='acme', pool='p', input_tokens=1, output_tokens=1, id=str(n))\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
    assert len(everything(broker, settings.topic("usage"))) == 100


def test_on_delivery_may_fail_without_stopping_acknowledgements(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    def broken(_event: UsageEvent, _reason: str | None) -> None:
        raise RuntimeError("a caller's mistake")

    with UsagePublisher(settings, source="s", on_delivery=broken) as publisher:
        publisher.publish(A_REQUEST)
        publisher.publish(A_REQUEST)
        assert publisher.flush().acknowledged == 2
    assert "a caller's mistake" in caplog.text
