"""How far our consumer groups are behind, from Kafka itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public names, which its stubs don't re-export
    AdminClient,
    OffsetSpec,
)

from infra.run_state import ROLES
from streams.settings import Settings
from streams.topics import topic_specs

ANSWER_S = 5.0

# What each role reads. Partitions of which it has committed nothing yet count from their beginning.
_READS: Mapping[str, tuple[str, ...]] = {
    "clock": (),
    "meter": ("usage", "latency"),
    "intake": ("orders", "profiles"),
    "engine": ("journal",),
    "sink": ("usage", "latency", "journal", "facts", "dead-letters"),
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
    for role in ROLES:
        committed = _committed(admin, settings.topic(role))
        for name in (settings.topic(read) for read in _READS[role]):
            for number in range(there.get(name, 0)):
                at = committed.get((name, number), begins[name, number])
                behind[name] += max(0, ends[name, number] - max(at, begins[name, number]))
    return behind


def _offsets(admin: AdminClient, partitions: Iterable[TopicPartition], which: OffsetSpec) -> dict[tuple[str, int], int]:
    asked = dict.fromkeys(partitions, which)
    futures = admin.list_offsets(asked, request_timeout=ANSWER_S) if asked else {}
    return {(partition.topic, partition.partition): int(future.result().offset) for partition, future in futures.items()}


def _committed(admin: AdminClient, group: str) -> dict[tuple[str, int], int]:
    futures = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)], request_timeout=ANSWER_S)
    try:
        found = futures[group].result().topic_partitions
    except KafkaException:  # the group has not begun
        return {}
    return {(each.topic, each.partition): each.offset for each in found if each.offset >= 0}
