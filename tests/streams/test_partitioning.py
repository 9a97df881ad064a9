"""Keys and their partitions."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.partitioning import home_partition, partition_by_key


@given(st.binary(), st.integers(1, 1024))
def test_a_home_is_one_of_the_partitions_and_always_the_same(key: bytes, partitions: int) -> None:
    home = home_partition(key, partitions)
    assert 0 <= home < partitions
    assert home == home_partition(key, partitions)


@pytest.mark.parametrize(("key", "crc"), [(b"", 0), (b"123456789", 0xCBF43926)])
def test_it_is_crc32(key: bytes, crc: int) -> None:
    assert home_partition(key, 1 << 32) == crc


def test_the_partitioner_goes_home_whatever_the_order_and_availability() -> None:
    for key in (b"a", b"b", b"tenant-17"):
        assert partition_by_key(key, [3, 1, 0, 2], [1]) == home_partition(key, 4)


def test_a_record_without_a_key_goes_where_there_is_a_leader() -> None:
    assert {partition_by_key(None, [0, 1, 2, 3], [1, 2]) for _ in range(100)} == {1, 2}
    assert {partition_by_key(None, [0, 1], []) for _ in range(100)} == {0, 1}


@pytest.mark.kafka
def test_a_confluent_client_finds_the_same_home(lab: Any) -> None:
    from confluent_kafka import Message, Producer

    topic = lab.topic(partitions=7)
    landed: dict[bytes, int] = {}

    def acknowledged(error: object, message: Message) -> None:
        assert error is None
        landed[message.key() or b""] = message.partition() or 0

    producer = Producer({"bootstrap.servers": lab.bootstrap})
    keys = [f"tenant-{n}".encode() for n in range(200)] + ["ключ".encode(), b"\x00\xff"]
    for key in keys:
        producer.produce(topic, key=key, value=b"v", on_delivery=acknowledged)
    assert producer.flush(30) == 0
    assert landed == {key: home_partition(key, 7) for key in keys}
