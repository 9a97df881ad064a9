"""Where partitions end, also of topics that were made a moment ago."""

from __future__ import annotations

import time

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

ENOUGH_S = 60
_PASSING = (KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.LEADER_NOT_AVAILABLE)


def end_of(consumer: Consumer, topic: str, partition: int) -> int:
    """The offset of a partition's next record; a leader that has just been chosen is waited for."""
    deadline = time.monotonic() + ENOUGH_S
    while True:
        try:
            return consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=30)[1]
        except KafkaException as error:
            if error.args[0].code() not in _PASSING or time.monotonic() > deadline:
                raise
            time.sleep(0.1)
