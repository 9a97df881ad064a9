"""A pool's limits on the topic `limits`, as an engine tells them."""

from __future__ import annotations

from confluent_kafka import Producer

from schemas.outputs import Limit, PoolCapacity, output_key
from streams.codecs import encode
from streams.partitioning import home_partition
from streams.settings import Settings

POOL, PARTITIONS = "llm", 2

Told = Limit | PoolCapacity | str


def capacity(offset: int, *, pool: str = POOL, throughput: int = 1_000, knots: tuple[tuple[int, int], ...] = ()) -> PoolCapacity:
    return PoolCapacity(
        pool=pool,
        throughput=throughput,
        kv=500,
        concurrency=40,
        kv_block_tokens=32,
        burst_fill=[fill for fill, _ in knots],
        burst_scale=[scale for _, scale in knots],
        journal_offset=offset,
    )


def limit(offset: int, tenant: str, kept: int = 0, *, pool: str = POOL, tier: str = "elastic") -> Limit:
    names = ("throughput", "kv", "concurrency")
    shares = {f"{name}_nominal": 7 for name in names} | {f"{name}_kept": kept for name in names}
    return Limit(
        pool=pool,
        tenant=tenant,
        period=1,
        period_s=10,
        tokens=70,
        journal_offset=offset,
        tier=tier,
        kv_borrowing=3,
        **(shares if tier else {}),
    )


def publish(settings: Settings, *told: Told) -> None:
    """Events as an engine tells them, all in the pool's partition; a text: that this pool is no token pool any more."""
    producer = Producer({**settings.kafka_client_config(), "acks": "all", "log_level": 0})
    home = home_partition(POOL.encode(), PARTITIONS)
    for each in told:
        pool, tenant = (each, "") if isinstance(each, str) else (each.pool, each.tenant if isinstance(each, Limit) else "")
        value = None if isinstance(each, str) else encode(each)
        producer.produce(settings.topic("limits"), value, output_key(pool, tenant), home)
    assert producer.flush(60) == 0
