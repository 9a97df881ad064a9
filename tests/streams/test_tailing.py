"""Following a partition on a real broker that is killed and started again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from infra.embedded import EmbeddedBroker
from streams.errors import Unavailable
from streams.partitioning import home_partition
from streams.settings import Settings
from streams.tailing import MOST_RECORDS, ROOM, CaughtUp, Tail

pytestmark = pytest.mark.kafka

TOPIC, PARTITIONS, KEY = "followed", 3, "pool"
ENOUGH_S = 60


@pytest.fixture(scope="module")
def own_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBroker]:
    """One that may be killed; it starts again on the same port and data."""
    with EmbeddedBroker(tmp_path_factory.mktemp("tailed")) as running:
        yield running


@pytest.fixture
def settings(own_broker: EmbeddedBroker, tmp_path: Path) -> Settings:
    return Settings(home=tmp_path, kafka=own_broker.bootstrap)


@pytest.fixture
def topic(own_broker: EmbeddedBroker, request: pytest.FixtureRequest) -> str:
    name = request.node.name
    admin = AdminClient({"bootstrap.servers": own_broker.bootstrap, "log_level": 0})
    admin.create_topics([NewTopic(name, PARTITIONS, 1)])[name].result(timeout=30)
    deadline = time.monotonic() + ENOUGH_S  # a broker learns of a new topic a moment after its controller
    while len(admin.list_topics(name, timeout=10).topics[name].partitions) < PARTITIONS:
        assert time.monotonic() < deadline, f"{name} did not appear"
    return name


def publish(settings: Settings, topic: str, numbers: Iterable[int]) -> None:
    producer = Producer({**settings.kafka_client_config(), "acks": "all", "log_level": 0})
    home = home_partition(KEY.encode(), PARTITIONS)
    for number in numbers:
        producer.produce(topic, str(number).encode(), KEY.encode(), home)
        producer.produce(topic, b"of another", b"key", (home + 1) % PARTITIONS)
    assert producer.flush(ENOUGH_S) == 0


def tail_of(settings: Settings, topic: str) -> Tail[int]:
    return Tail(settings, topic, KEY, lambda _offset, _key, value: [int(value or b"")])


async def numbers(tail: Tail[int], many: int) -> list[int]:
    found: list[int] = []
    async with asyncio.timeout(ENOUGH_S):
        async for items in tail.lists():
            found += [item for item in items if not isinstance(item, CaughtUp)]
            if len(found) >= many:
                break
    return found


def test_a_broker_that_is_killed_is_waited_for(own_broker: EmbeddedBroker, settings: Settings, topic: str) -> None:
    async def scenario() -> None:
        publish(settings, topic, range(5))
        tail = tail_of(settings, topic)
        assert await tail.end() == 5
        await tail.start(2)
        assert await numbers(tail, 3) == [2, 3, 4]
        own_broker.kill()
        own_broker.start()  # in this thread: a child dies with the one that started it
        await asyncio.to_thread(publish, settings, topic, range(5, 8))
        assert await numbers(tail, 3) == [5, 6, 7]
        await tail.close()
        await tail.close()

    asyncio.run(scenario())


def test_who_does_not_take_stops_the_reading_and_may_still_leave(settings: Settings, topic: str) -> None:
    many = MOST_RECORDS * ROOM * 3

    async def scenario() -> None:
        publish(settings, topic, range(many))
        tail = tail_of(settings, topic)
        await tail.start(0)
        async with asyncio.timeout(ENOUGH_S):
            while tail._arrived.qsize() < ROOM:  # noqa: ASYNC110  nothing tells of a queue that nobody takes from
                await asyncio.sleep(0.01)
        assert tail._room._value == 0
        assert tail._arrived.qsize() == ROOM
        assert await numbers(tail, many) == list(range(many))
        idle = tail_of(settings, topic)
        await idle.start(0)
        async with asyncio.timeout(5):
            await idle.close()
            await tail.close()
            assert [items async for items in idle.lists()] == []

    asyncio.run(scenario())


def test_the_end_is_told_and_a_topic_that_is_not_there(settings: Settings, topic: str) -> None:
    async def scenario() -> None:
        tail = tail_of(settings, topic)
        await tail.start(0)
        async with asyncio.timeout(ENOUGH_S):
            assert await anext(tail.lists()) == [CaughtUp()]
        await tail.close()
        missing = tail_of(settings, "nowhere")
        with pytest.raises(Unavailable, match="topic nowhere: "):
            await missing.start(0)
        await missing.close()

    asyncio.run(scenario())
