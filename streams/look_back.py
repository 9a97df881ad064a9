"""Where a partition's log stood some time before an offset."""

from __future__ import annotations

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from streams.asking import patiently

TIMEOUT_S = 30.0


def look_back(client: dict[str, str], topic: str, partition: int, offset: int, span_ms: int) -> int:
    """The first offset whose record was appended at most `span_ms` before the last record below `offset`. Blocks.

    Args:
        client: how to connect, as confluent-kafka takes it.
        topic: name of the topic.
        partition: of the topic.
        offset: the record below it is where looking back starts; it may be gone.
        span_ms: milliseconds of append time.

    Returns:
        At most `offset`; `offset` itself where nothing stands below it.

    Raises:
        KafkaException: the broker does not answer.
    """
    consumer = Consumer(
        {
            **client,
            "group.id": "bourse-look-back",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
        }
    )
    try:
        low, high = patiently(lambda: consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=TIMEOUT_S))
        end = min(offset, high)
        if end <= low:
            return offset
        consumer.assign([TopicPartition(topic, partition, end - 1)])
        last = _next(consumer)
        if last is None:
            return low
        wanted = TopicPartition(topic, partition, max(0, last.timestamp()[1] - span_ms))
        found = consumer.offsets_for_times([wanted], timeout=TIMEOUT_S)[0].offset
        return min(offset, max(low, found)) if found >= 0 else low
    finally:
        consumer.close()


def _next(consumer: Consumer) -> Message | None:
    """The next record; None at the log's end: the last offset was a marker of a transaction, which nobody is shown."""
    message = consumer.poll(TIMEOUT_S)
    if message is None:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001  the library's name of its own constant
    error = message.error()
    if error is None:
        return message
    if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001  the library's name of its own constant
        return None
    raise KafkaException(error)
