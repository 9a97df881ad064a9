"""Where a key lives: the one function by which every producer and reader of ours finds a key's partition."""

from __future__ import annotations

import random
import zlib
from collections.abc import Sequence


def home_partition(key: bytes, partitions: int) -> int:
    """The partition of a key: CRC-32 of the key modulo the number of partitions.

    The same as librdkafka's `consistent` partitioner, the default of confluent-kafka and of most clients that are not
    Java, so that what such a backend publishes already stands where its tenant's meter reads it.

    Args:
        key: the record's key; tenant or pool in UTF-8.
        partitions: how many partitions the topic has, at least 1.
    """
    return zlib.crc32(key) % partitions


def partition_by_key(key: bytes | None, all_partitions: Sequence[int], available: Sequence[int]) -> int:
    """`home_partition` in the form that aiokafka and Faust's `producer_partitioner` setting expect.

    A record without a key has no home: it goes to a random partition that has a leader now, as in every Kafka client.
    """
    if key is None:
        return random.choice(available or all_partitions)  # noqa: S311  spreading load, not a secret
    return sorted(all_partitions)[home_partition(key, len(all_partitions))]
