"""What a gateway makes of the topic `limits`, on a real broker."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Iterable
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, NewTopic
from limits_topic import PARTITIONS, POOL, Told, capacity, limit, publish

from processors.admission import KNOTS
from processors.entitlement import Capacity, Quota, TenantLimits
from schemas.published import Tier
from streams.limits import LimitsTail, PoolLimits
from streams.settings import Settings

pytestmark = pytest.mark.kafka

ENOUGH_S = 60


@pytest.fixture
def settings(bootstrap: str, tmp_path: Path) -> Settings:
    settings = Settings(home=tmp_path, kafka=bootstrap, topic_prefix=f"l{uuid.uuid4().hex[:8]}.")
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    name = settings.topic("limits")
    admin.create_topics([NewTopic(name, PARTITIONS, 1)])[name].result(timeout=30)
    deadline = time.monotonic() + ENOUGH_S
    while len(admin.list_topics(name, timeout=10).topics[name].partitions) < PARTITIONS:
        assert time.monotonic() < deadline, f"{name} did not appear"
    return settings


def told(settings: Settings, rounds: Iterable[Iterable[Told]]) -> list[PoolLimits | None]:
    """What the tail tells last of each round, the first of which stands in the topic before it begins."""
    return asyncio.run(_told(settings, rounds))


async def _told(settings: Settings, rounds: Iterable[Iterable[Told]]) -> list[PoolLimits | None]:
    first, *later = (list(each) for each in rounds)
    publish(settings, *first)
    tail = LimitsTail(settings, POOL)
    await tail.start()
    limits = tail.limits()
    async with asyncio.timeout(ENOUGH_S):
        found = [await anext(limits)]
        for each in later:
            for one in each:  # one at a time: each of them changes something
                publish(settings, one)
                newest = await anext(limits)
            found.append(newest)
    await tail.close()
    return found


def test_it_begins_with_what_is_in_force_and_tells_changes(settings: Settings) -> None:
    before, after = told(
        settings,
        [
            [capacity(1, knots=((500_000, 900_000),)), limit(1, "ann", 5), limit(1, "ben"), limit(2, "ann", 9)],
            [limit(3, "ben", 4, tier="spot"), capacity(4, throughput=800)],
        ],
    )
    assert before is not None
    assert before.capacity == Capacity(1_000, 500, 40)
    assert (before.kv_block_tokens, before.knots) == (32, ((500_000, 900_000),))
    quotas = (Quota(7, None, 9), Quota(7, 3, 9), Quota(7, None, 9))
    assert before.tenants["ann"] == TenantLimits(Tier.ELASTIC, quotas)
    assert after is not None
    assert after.capacity.throughput == 800
    assert after.knots == KNOTS, "the pool says none"
    assert after.tenants["ben"].tier is Tier.SPOT
    assert before.tenants["ben"].tier is Tier.ELASTIC, "what was told stays as it was"


def test_older_values_and_other_pools_count_for_nothing(settings: Settings) -> None:
    (found,) = told(
        settings,
        [
            [
                capacity(8),
                capacity(5, throughput=1),
                limit(9, "ann", 4),
                limit(8, "ann", 1),
                limit(9, "ben", pool="llm2"),
                limit(9, "cat", pool="llm/"),
                capacity(9, pool="llm2", throughput=2),
            ]
        ],
    )
    assert found is not None
    assert found.capacity.throughput == 1_000
    assert {name: limits.quotas[0].kept for name, limits in found.tenants.items()} == {"ann": 4}


def test_a_pool_or_a_tenant_without_shares(settings: Settings) -> None:
    nothing, pool, nobody, gone = told(
        settings,
        [[limit(1, "ann", tier="")], [capacity(2), limit(3, "ann")], [limit(4, "ann", tier="")], [POOL]],
    )
    assert nothing is None, "no token pool yet"
    assert pool is not None
    assert pool.tenants.keys() == {"ann"}
    assert nobody is not None
    assert not nobody.tenants
    assert gone is None
