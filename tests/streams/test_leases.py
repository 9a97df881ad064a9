"""How a gateway gets its lease: put together from parts, all or nothing; and once by way of a real broker."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from lease_world import LeaseWorld, tenant
from test_intake_partition import TARGETS

from processors.admission import KNOTS
from processors.entitlement import Capacity, Quota, TenantLimits
from processors.leases import state
from processors.waiting import Class, Rules
from schemas.dead_letters import Problem
from schemas.gateways import GatewayReport
from schemas.lease_facts import UseReported
from schemas.outputs import Lease, LeasePart, lease_key
from schemas.published import Tier
from streams.building import InvalidEvent
from streams.codecs import decode, encode
from streams.complaints import Refusal
from streams.door import Door
from streams.gateway.desk import Desk as GatewayDesk
from streams.gateway.desk import Need
from streams.gateway.leased import FailSafe, Leased
from streams.lease_outputs import LeaseOutputs
from streams.leases import Assembly, LeaseReporter, LeaseTail, PoolLeases, TenantUse
from streams.partitioning import home_partition
from streams.roles.intake import InputPartition
from streams.settings import Settings

ENOUGH_S = 60
POOL, PARTITIONS = "llm", 2
DOOR = Door(max_event_bytes=1 << 20, max_ahead_ms=1, max_age_ms=1)
USE = TenantUse(tokens=900, kv_blocks_peak=9, concurrency_peak=3, kv_blocks_held=4, concurrency_held=1, refused=1)


def whole(number: int, parts: list[int], answers: int = 1, life: str = "1") -> Lease:
    return Lease(
        pool=POOL,
        gateway="x",
        incarnation=life,
        number=number,
        answers=answers,
        valid_ms=10_000,
        throughput=100,
        kv=50,
        concurrency=number,
        kv_block_tokens=32,
        burst_fill=[],
        burst_scale=[],
        parts=parts,
    )


def part(place: int, number: int, *names: str) -> LeasePart:
    one, none = [number] * len(names), [None] * len(names)
    columns = {
        f"{each}_{what}": none if what == "borrowing" else one
        for each in ("throughput", "kv", "concurrency")
        for what in Quota._fields
    }
    return LeasePart(pool=POOL, gateway="x", part=place, number=number, tenant=list(names), tier=["spot"] * len(names), **columns)


def told(assembly: Assembly, *events: Lease | LeasePart | None) -> PoolLeases | None:
    """What a gateway may use after it has read these; None: that there is no lease."""
    for event in events:
        key = lease_key(POOL, "x", event.part if isinstance(event, LeasePart) else None)
        for item in assembly.read(key, None if event is None else encode(event)):
            assembly.take(item)
    return assembly.now()


def assembly() -> Assembly:
    return Assembly(POOL, "x", "1")


def test_a_lease_is_all_of_its_parts() -> None:
    here = assembly()
    assert told(here, part(0, 7, "a"), part(2, 7, "c")) is None
    lease = told(here, whole(7, [7, 0, 7]))
    quota = Quota(7, None, 7)
    assert lease == PoolLeases(
        7, 10_000, 1, Capacity(100, 50, 7), 32, KNOTS, dict.fromkeys("ac", TenantLimits(Tier.SPOT, (quota, quota, quota)))
    )


def test_a_lease_of_which_a_part_is_missing_or_newer_is_none_yet() -> None:
    here = assembly()
    before = told(here, part(0, 7, "a"), whole(7, [7]))
    assert told(here, part(0, 9, "a"), whole(8, [7, 8])) is before, "the part is of a lease that is told next"
    after = told(here, whole(9, [9]))
    assert after is not None
    assert (after.number, after.tenants["a"].quotas[0].nominal) == (9, 9)
    assert told(here, whole(10, [10])) is after


def test_a_report_that_is_answered_renews_the_lease_as_it_is() -> None:
    here = assembly()
    before = told(here, part(0, 7, "a"), whole(7, [7]))
    after = told(here, whole(7, [7], answers=2))
    assert before is not None
    assert after == replace(before, answers=2)


def test_what_is_older_or_of_another_life_counts_for_nothing() -> None:
    here = assembly()
    newest = told(here, part(0, 9, "a"), whole(9, [9], answers=5))
    assert told(here, part(0, 8, "a", "b"), whole(8, [8]), whole(9, [9], answers=4), whole(12, [9], life="0")) is newest
    assert told(here, None) is None
    assert told(here, whole(9, [9], answers=5)) is None, "what has ended does not come back by what was told before"
    assert told(here, whole(20, [9], answers=6)) is not None


def test_records_of_others_are_passed_over() -> None:
    here = assembly()
    others = [(POOL, "xx"), (POOL, "y"), ("other", "x"), (f"{POOL}/x", "0"), (POOL, "x/0")]
    for pool, gateway in others:
        assert list(here.read(lease_key(pool, gateway), b"not even a record")) == []
        assert list(here.read(lease_key(pool, gateway, 0), b"not even a record")) == []
    assert lease_key("a/b%", "c/d", 1) == b"a%2Fb%25/c%2Fd/1"


def test_an_engine_tells_what_changed_and_a_new_owner_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "PART_ROWS", 2)
    monkeypatch.setattr("processors.leases.recording.PART_ROWS", 2)
    monkeypatch.setattr("processors.leases.data.PART_ROWS", 2)
    world = LeaseWorld(*(tenant(f"{name}1", name, concurrency=(6, 0, None)) for name in "abcde"))
    world.start("x")
    world.pass_ms(2_000)
    keys = [lease_key(POOL, "x", each) for each in (0, 1, 2, None)]
    told = [key for _, key, _ in world.telling]
    assert (told[:4], {*told[4:]}) == (keys, {keys[-1]}), "all of it, then that reports were answered"
    world.take(tenant("c2", "c", concurrency=(5, 0, None)))
    world.pass_ms(11_000)
    assert [key for _, key, _ in world.telling if key != keys[-1]][3:] == [keys[1]]
    again = [each for slice_ in LeaseOutputs(world.engine.state, 3, "leases").round() for each in slice_]
    assert [(each.topic, each.partition, each.key) for each in again] == [("leases", 3, key) for key in keys]
    fresh = Assembly(POOL, "x", "1")
    for each in again:
        for item in fresh.read(each.key, each.value):
            fresh.take(item)
    assert fresh.now() == world.nodes["x"].lease
    world.kill("x")
    world.pass_ms(13_000)
    ended = world.telling[-4:]
    assert {key: value for _, key, value in ended} == dict.fromkeys(keys)


class Record:
    """A report as the broker has it."""

    def __init__(self, value: bytes, timestamp: int) -> None:
        self.value, self.timestamp = value, timestamp
        self.offset, self.key, self.headers = 5, POOL.encode(), ()


def test_the_journal_has_the_brokers_time_of_a_report() -> None:
    intake = InputPartition("gateways", "x.gateways", 1, DOOR, TARGETS, 1000)
    sent = GatewayReport(id="r", time=77, pool=POOL, gateway="x", incarnation="1", sequence=1, interval_ms=1)
    (taken,) = intake.take([Record(encode(sent), 1_700_000_000_123)])
    assert taken.topic == TARGETS.journal
    assert decode(taken.value or b"") == sent.model_copy(update={"time": 1_700_000_000_123})
    (lost,) = intake.take([Record(b'{"type": "gateway_report"}', 5)])
    assert lost.topic == TARGETS.dead_letters


def test_what_the_door_says_of_reports() -> None:
    fields = b'{"type": "gateway_report", "id": "r", "time": 5, "pool": "llm", "gateway": "x", "incarnation": "1", "interval_ms": 1'
    report = DOOR.read("gateways", fields + b', "sequence": 1}', (), b"llm", 5)
    assert isinstance(report, GatewayReport)
    refused = DOOR.read("gateways", fields + b', "sequence": 1, "tenant": ["a"], "tokens": [-1]}', (), b"llm", 5)
    assert isinstance(refused, Refusal)
    assert refused.problem is Problem.INVALID
    assert isinstance(DOOR.read("profiles", fields + b', "sequence": 1}', (), b"llm", 5), Refusal), "operators' topic"


class Desk:
    """What a gateway goes by."""

    pool = POOL

    def __init__(self) -> None:
        self.limits: list[int] = []

    def limit(self, limits: PoolLeases) -> None:
        self.limits.append(limits.number)


class Clock:
    """Which reports' leases still hold."""

    def __init__(self) -> None:
        self.held: set[int] = set()

    def left_ms(self, lease: PoolLeases) -> int:
        return 1_000 * (lease.answers in self.held)


def test_a_lease_that_is_over_when_it_comes_is_not_named_as_applied() -> None:
    desk, clock, leased = Desk(), Clock(), object.__new__(Leased)
    leased._desk, leased._reporter, leased._lease, leased._over = desk, clock, None, False
    here = assembly()
    clock.held = {1, 3}
    leased.take(told(here, part(0, 7, "a"), whole(7, [7], answers=1)))
    assert (leased.number, desk.limits) == (7, [7])
    leased.take(told(here, part(0, 8, "a"), whole(8, [8], answers=2)))
    assert (leased.number, desk.limits) == (7, [7]), "it goes by the one before, and says so"
    leased.take(told(here, whole(8, [8], answers=3)))
    assert (leased.number, desk.limits) == (8, [7, 8])


@pytest.fixture
def settings(bootstrap: str, tmp_path: Path) -> Settings:
    settings = Settings(home=tmp_path, kafka=bootstrap, topic_prefix=f"g{uuid.uuid4().hex[:8]}.")
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    names = [settings.topic(name) for name in ("gateways", "leases")]
    for made in admin.create_topics([NewTopic(name, PARTITIONS, 1) for name in names]).values():
        made.result(timeout=30)
    deadline = time.monotonic() + ENOUGH_S
    while any(len(admin.list_topics(name, timeout=10).topics[name].partitions) < PARTITIONS for name in names):
        assert time.monotonic() < deadline, f"{names} did not appear"
    return settings


@pytest.mark.kafka
def test_reports_go_out_and_leases_come_back(settings: Settings) -> None:
    asyncio.run(_report_and_follow(settings))


async def _report_and_follow(settings: Settings) -> None:
    """The engine's part is played by a world of which the journal begins now."""
    world = LeaseWorld(tenant("a1", "a", concurrency=(6, 0, None)), tenant("b1", "b"))
    monotonic = [50_000]
    reporter = LeaseReporter(settings, POOL, "x", "1", now_ms=lambda: monotonic[0])
    tail = LeaseTail(settings, POOL, "x", "1")
    await tail.start()
    with pytest.raises(InvalidEvent, match="tokens"):
        reporter.report(0, {"a": USE._replace(tokens=-1)})
    assert reporter.report(0, {}) == 1, "what could not be said is no report"
    reporter.report(0, {"b": USE, "a": USE})
    first, second = await asyncio.to_thread(_read, settings, 2)
    assert (first.sequence, first.tenant, second.sequence, second.tenant, second.refused) == (1, [], 2, ["a", "b"], [1, 1])
    world.take(*(each.model_copy(update={"time": world.now}) for each in (first, second)))
    world.pass_ms(2_000)
    assert [fact.KIND for fact in world.engine.facts if isinstance(fact, UseReported)] == ["use_reported"] * 2
    producer, home = Producer({**settings.kafka_client_config(), "log_level": 0}), home_partition(POOL.encode(), PARTITIONS)
    for _, key, value in world.telling:
        producer.produce(settings.topic("leases"), value, key, home)
    assert producer.flush(ENOUGH_S) == 0
    async with asyncio.timeout(ENOUGH_S):
        lease = await anext(tail.leases())
    assert lease is not None
    assert (lease.number, lease.answers, lease.capacity) == (111, 2, Capacity(1000, 500, 40))
    assert lease.tenants["a"].quotas[2] == Quota(6, 0, lease.tenants["a"].quotas[2].kept)
    monotonic[0] += 9_999
    assert reporter.left_ms(lease) == 1, "from when the report went out, by the gateway's own clock"
    monotonic[0] += 1
    assert reporter.left_ms(lease) == 0
    assert reporter.left_ms(replace(lease, answers=99)) == 0
    await tail.close()
    await asyncio.to_thread(reporter.close)
    reporter.close()


@pytest.mark.kafka
@pytest.mark.parametrize("floors", [{}, {Tier.ELASTIC: 500_000}])
def test_an_engine_that_is_away_and_comes_back(settings: Settings, floors: dict[Tier, int]) -> None:
    """Kafka takes reports, but nobody answers them until the lease is over."""
    asyncio.run(_without_engine(settings, FailSafe(floors)))


async def _without_engine(settings: Settings, fail_safe: FailSafe) -> None:
    world, now = LeaseWorld(tenant("a1", "a", concurrency=(6, 0, None)), tenant("s1", "s", tier="spot")), [50_000]
    desk = GatewayDesk(POOL, Rules(length=0), 1_000, lambda: now[0])
    leased = Leased(settings, desk, "x", fail_safe=fail_safe, now_ms=lambda: now[0])
    following = asyncio.create_task(leased.follow())
    producer, home = Producer({**settings.kafka_client_config(), "log_level": 0}), home_partition(POOL.encode(), PARTITIONS)

    async def engine(many: int) -> None:
        """It reads so many reports, and answers them at its next tick."""
        told = len(world.telling)
        newest = (await asyncio.to_thread(_read, settings, many))[-1]
        world.take(newest.model_copy(update={"time": world.now}))
        world.pass_ms(2_000)
        for _, key, value in world.telling[told:]:
            producer.produce(settings.topic("leases"), value, key, home)
        assert producer.flush(ENOUGH_S) == 0

    async def may(name: str) -> bool:
        return await desk.ask(Need(f"{name}-{uuid.uuid4()}", name, 1, 1, 1, Class.NORMAL, None, lambda: None)) is None

    async def until(there: Callable[[], bool]) -> None:
        deadline = time.monotonic() + ENOUGH_S
        while not there():
            assert time.monotonic() < deadline, "no lease came"
            await asyncio.sleep(0.01)

    leased.report({})
    assert not await may("a"), "there is no lease yet"
    assert leased.has_news is False
    await engine(1)
    await until(lambda: desk.ready)
    assert leased.has_news, "a lease that no report has named"
    now[0] += 9_000
    leased.report({})
    assert not leased.has_news
    assert [await may("a"), await may("s")] == [True, True]
    now[0] += 1_000
    leased.report({})
    assert [await may("a"), await may("s")] == [bool(fail_safe.floors), False], "the fail-safe"
    assert desk.ready == bool(fail_safe.floors)
    await engine(3)
    await until(lambda: desk.ready and (left := desk.allowance("s")) is not None and left.tokens > 0)
    now[0] += 1_000
    assert [await may("a"), await may("s")] == [True, True], "by itself"
    following.cancel()
    await leased.leave()


def _read(settings: Settings, many: int) -> list[GatewayReport]:
    """Reports in the pool's own partition, by which intake keeps their order."""
    consumer = Consumer({**settings.kafka_client_config(), "group.id": "reader", "enable.auto.commit": False, "log_level": 0})
    consumer.assign([TopicPartition(settings.topic("gateways"), home_partition(POOL.encode(), PARTITIONS), 0)])
    found: list[GatewayReport] = []
    deadline = time.monotonic() + ENOUGH_S
    while len(found) < many and time.monotonic() < deadline:
        message = consumer.poll(1)
        if message is not None and not message.error():
            report = DOOR.read("gateways", message.value(), (), message.key(), 5)
            assert isinstance(report, GatewayReport)
            found.append(report)
    consumer.close()
    return found
