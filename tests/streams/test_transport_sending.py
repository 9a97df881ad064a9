"""Sending past Faust's per-message machinery: order, acknowledgement, offsets, failure; on a real broker."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiokafka.errors import MessageSizeTooLargeError

import streams.app
from streams.app import build_app
from streams.transport import Outgoing, producer_of, send_all

pytestmark = pytest.mark.kafka

PARTITIONS = 3


def with_producer(lab: Any, tmp_path: Path, use: Callable[[Any], Awaitable[None]]) -> None:
    """Run `use` with an app of which only the producer runs."""

    async def run() -> None:
        app = build_app(lab.group, brokers=lab.bootstrap, datadir=tmp_path)
        await app.producer.start()
        try:
            await use(app)
        finally:
            await app.producer.stop()

    asyncio.run(run())


def read(lab: Any, topic: str, count: int) -> dict[int, list[Any]]:
    from confluent_kafka import Consumer

    consumer = Consumer({"bootstrap.servers": lab.bootstrap, "group.id": lab.group, "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    found: dict[int, list[Any]] = defaultdict(list)
    try:
        while missing := count - sum(map(len, found.values())):
            messages = consumer.consume(missing, timeout=20)
            assert messages, "records are missing"
            for message in messages:
                found[message.partition()].append(message)
    finally:
        consumer.close()
    return found


def test_order_holds_within_a_partition_and_offsets_are_told(lab: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams.app, "MAX_BATCH_BYTES", 2000)  # a dozen records, so that every call sends many batches
    topic = lab.topic(partitions=PARTITIONS)
    records = [Outgoing(topic, n % PARTITIONS, b"k%d" % n, b"%d" % n + b"." * 100, [("n", b"%d" % n)]) for n in range(1000)]
    offsets: list[int] = []

    async def use(app: Any) -> None:
        # Two calls, the second before the first is acknowledged.
        first = await send_all(app, records[:500])
        second = await send_all(app, records[500:])
        offsets.extend(await first + await second)

    with_producer(lab, tmp_path, use)
    found = read(lab, topic, len(records))
    for partition, messages in found.items():
        assert [m.value() for m in messages] == [r.value for r in records if r.partition == partition]
        assert [m.headers() for m in messages] == [list(r.headers) for r in records if r.partition == partition]
        assert [m.offset() for m in messages] == [at for at, r in zip(offsets, records, strict=True) if r.partition == partition]


def test_nothing_to_send_is_acknowledged_at_once(lab: Any, tmp_path: Path) -> None:
    async def use(app: Any) -> None:
        assert await (await send_all(app, [])) == []

    with_producer(lab, tmp_path, use)


def test_no_key_no_value_and_no_headers_arrive_as_such(lab: Any, tmp_path: Path) -> None:
    topic = lab.topic()

    async def use(app: Any) -> None:
        assert await (await send_all(app, [Outgoing(topic, 0, None, b"v"), Outgoing(topic, 0, b"k", None)])) == [0, 1]

    with_producer(lab, tmp_path, use)
    messages = read(lab, topic, 2)[0]
    assert [(m.key(), m.value(), m.headers()) for m in messages] == [(None, b"v", None), (b"k", None, None)]


@pytest.mark.parametrize("size", [2_000, streams.app.MAX_REQUEST_BYTES + 1])
def test_a_record_that_is_refused_fails_the_app_though_nobody_awaits_it(size: int, lab: Any, tmp_path: Path) -> None:
    topic = lab.topic(max_message_bytes="1000")

    async def use(app: Any) -> None:
        with pytest.raises(MessageSizeTooLargeError):
            await (await send_all(app, [Outgoing(topic, 0, None, b"x" * size)]))
        assert isinstance(producer_of(app).failure, MessageSizeTooLargeError)
        await asyncio.sleep(0)
        assert app.crashed

    with_producer(lab, tmp_path, use)


def test_who_gives_up_waiting_does_not_hide_a_failure(lab: Any, tmp_path: Path) -> None:
    topic = lab.topic(max_message_bytes="1000")

    async def use(app: Any) -> None:
        acknowledged = await send_all(app, [Outgoing(topic, 0, None, b"x" * 2000)])
        acknowledged.cancel()
        await asyncio.wait_for(producer_of(app)._failed.wait(), timeout=30)
        assert isinstance(producer_of(app).failure, MessageSizeTooLargeError)

    with_producer(lab, tmp_path, use)
