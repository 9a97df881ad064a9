"""How far our consumer groups are behind, from Kafka itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public names, which its stubs don't re-export
    AdminClient,
    OffsetSpec,
)

from streams.settings import Settings
from streams.topics import topic_specs

ANSWER_S = 5.0
_OFFSETS_TOPIC = "__consumer_offsets"

# What each role reads. Partitions of which it has committed nothing yet count from their beginning.
_READS: Mapping[str, tuple[str, ...]] = {
    "meter": ("usage", "latency", "admissions"),
    "intake": ("orders", "profiles", "gateways"),
    "engine": ("journal",),
    "sink": ("usage", "latency", "admissions", "journal", "facts", "dead-letters"),
}


def lags(settings: Settings) -> dict[str, int]:
    """Records that are written but not yet declared safe, per topic: summed over our groups and their partitions.

    The engine declares the journal safe only up to a durable snapshot: its lag is what a restart would fold again.

    Raises:
        KafkaException: Kafka does not answer.
    """
    admin = AdminClient({**settings.kafka_client_config(), "log_level": 0})
    there = {name: len(topic.partitions) for name, topic in admin.list_topics(timeout=ANSWER_S).topics.items()}
    names = [settings.topic(spec.name) for spec in topic_specs(settings)]
    partitions = [TopicPartition(name, number) for name in names for number in range(there.get(name, 0))]
    ends = _offsets(admin, partitions, OffsetSpec.latest())  # type: ignore[no-untyped-call]  # the library leaves it untyped
    begins = _offsets(admin, partitions, OffsetSpec.earliest())  # type: ignore[no-untyped-call]  # as above
    behind = dict.fromkeys(names, 0)
    for role, topics in _READS.items():
        read = {settings.topic(topic) for topic in topics}
        mine = [partition for partition in partitions if partition.topic in read]
        # The first group ever makes the topic of offsets; before there is none to ask for.
        committed = _committed(settings, settings.topic(role), mine) if mine and _OFFSETS_TOPIC in there else {}
        for at in ((partition.topic, partition.partition) for partition in mine):
            behind[at[0]] += max(0, ends[at] - max(committed.get(at, 0), begins[at]))
    return behind


def _offsets(admin: AdminClient, partitions: Iterable[TopicPartition], which: OffsetSpec) -> dict[tuple[str, int], int]:
    asked = dict.fromkeys(partitions, which)
    futures = admin.list_offsets(asked, request_timeout=ANSWER_S) if asked else {}
    return {(partition.topic, partition.partition): int(future.result().offset) for partition, future in futures.items()}


def _committed(settings: Settings, group: str, partitions: list[TopicPartition]) -> dict[tuple[str, int], int]:
    # A consumer that joins nothing: the admin client's own request for this crashed the process (confluent-kafka 2.16) where
    # the cluster had no topic of offsets yet.
    consumer = Consumer({**settings.kafka_client_config(), "group.id": group, "log_level": 0})
    try:
        found = consumer.committed(partitions, timeout=ANSWER_S)
    finally:
        consumer.close()
    return {(each.topic, each.partition): each.offset for each in found if each.offset >= 0}
