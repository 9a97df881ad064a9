"""From what clients publish to what an analyst reads: mixed load in every encoding with every bad input among it, all of it judged.

One system serves all tests of this file: they look at it from different sides after it has settled.
"""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from confluent_kafka import Message as Delivered
from confluent_kafka import Producer
from judge import Account, Place, used_by_period
from load import Ledger, command
from messages import GOOD, Bad, Message, bad_inputs
from proof import check_all, differences
from system import System, until

from schemas.published import Budget, Forecaster, LatencyEvent, Policy, PoolCommand, ProfileCommand, UsageEvent
from streams.client import LatencyPublisher

pytestmark = pytest.mark.e2e

POOLS = [
    PoolCommand(
        id="p-seed",
        pool="seed",
        capacity=6_000,
        period_s=1,
        base_price=1,
        reserve_price=2,
        policy=Policy.SEED,
        forecaster=Forecaster.LAST_VALUE,
    ),
    PoolCommand(id="p-price", pool="price", capacity=6_000, period_s=2, base_price=1, reserve_price=3, policy=Policy.UNIFORM_PRICE),
    PoolCommand(id="p-fair", pool="fair", capacity=6_000, period_s=1, base_price=0, reserve_price=1, policy=Policy.MAX_MIN),
]
UNKNOWN_POOL = "nowhere"
STRANGER = "stranger"
"""A tenant without a profile."""

ROUNDS, PER_ROUND, PAUSE_S = 120, 25, 0.1
"""12 s of load: several periods of each pool, 3,000 events."""


SLA_MS = 60_000
"""Which nobody's latency comes near: bases stay as they are declared."""


def profiles(pool: str, *, version: int = 1) -> list[ProfileCommand]:
    """Four tenants: one with a budget that runs out, one that wants much, one heavy, one in another alphabet."""
    wanted = [
        ("amy", 300, "1.5", 4_000, 1),
        ("bob", 500, "2.5", None, 1),
        ("cy", 200, "0.75", None, 3),
        ("дана", 100, "1", None, 2),
    ]
    return [
        ProfileCommand(
            id=f"{pool}-{tenant}-{version}",
            pool=pool,
            tenant=tenant,
            base=base * version,
            elasticity=elasticity,
            sla_ms=SLA_MS if tenant == "bob" else None,
            weight=weight,
            budget=None if amount is None else Budget(amount=amount, window_s=6),
        )
        for tenant, base, elasticity, amount, weight in wanted
    ]


@dataclass
class Published:
    """What the broker has acknowledged, and where it stands."""

    ledger: Ledger = field(default_factory=Ledger)
    stands: dict[Place, UsageEvent] = field(default_factory=dict)
    bad: dict[tuple[str, int, int], tuple[str, Bad]] = field(default_factory=dict)
    duplicates: int = 0
    profiles: dict[str, list[ProfileCommand]] = field(default_factory=lambda: defaultdict(list))


class Mixed:
    """Several clients of different kinds at once."""

    def __init__(self, system: System, seed: int) -> None:
        self.published = Published()
        self._settings = system.settings
        common = {**system.settings.kafka_client_config(), "acks": "all", "enable.idempotence": True, "linger.ms": 2,
                  "message.max.bytes": 8 << 20}  # fmt: skip
        self._clients = [
            Producer({**common, "partitioner": "consistent_random"}),
            Producer({**common, "partitioner": "murmur2_random", "compression.type": "zstd"}),
            Producer({**common, "partitioner": "consistent_random", "compression.type": "snappy"}),
            Producer({**common, "partitioner": "murmur2_random", "compression.type": "gzip"}),
            Producer({**common, "partitioner": "random", "compression.type": "lz4"}),
        ]
        self._random = random.Random(seed)
        self._number = 0

    def usage(self, pool: str, tenant: str) -> UsageEvent:
        self._number += 1
        inputs = self._random.randint(0, 300)
        return UsageEvent(
            time=time.time_ns() // 1_000_000,
            source=self._random.choice(["vllm-1", "vllm-2"]),
            id=f"ev-{self._number}",
            tenant=tenant,
            pool=pool,
            input_tokens=inputs,
            output_tokens=self._random.randint(0, 100),
            cached_input_tokens=self._random.randint(0, inputs),
        )

    def event(self) -> UsageEvent:
        pool = self._random.choice(["seed", "price", "fair"] * 8 + [UNKNOWN_POOL])
        return self.usage(pool, self._random.choice(["amy", "bob", "bob", "cy", "дана", STRANGER]))

    def put(self, event: UsageEvent) -> None:
        """In an encoding and by a client that chance chooses; one in twenty twice, by another client and in another encoding."""
        self.published.ledger.add(event)
        for _ in range(2 if self._random.random() < 0.05 else 1):
            make = self._random.choice(list(GOOD.values()))

            def stands(error: object, delivered: Delivered, event: UsageEvent = event) -> None:
                assert error is None, error
                self.published.stands[delivered.partition() or 0, delivered.offset() or 0] = event

            self._send("usage", make(event), stands)

    def put_bad(self, topic: str, name: str, bad: Bad) -> None:
        def stands(error: object, delivered: Delivered) -> None:
            assert error is None, error
            self.published.bad[topic, delivered.partition() or 0, delivered.offset() or 0] = (name, bad)

        self._send(topic, bad.message, stands)

    def _send(self, topic: str, message: Message, on_delivery: object) -> None:
        client = self._random.choice(self._clients)
        client.produce(
            self._settings.topic(topic),
            key=message.key,
            value=message.value,
            headers=list(message.headers) or None,
            on_delivery=on_delivery,
        )
        client.poll(0)

    def flush(self) -> None:
        assert not any(client.flush(30) for client in self._clients)
        self.published.duplicates = len(self.published.stands) - len(self.published.ledger.usage)


@dataclass
class Settled:
    """A system that has seen it all."""

    system: System
    published: Published


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Settled]:
    """The mixed load on the session's broker and ClickHouse, containers where Docker is."""
    kafka, clickhouse = request.getfixturevalue("broker"), request.getfixturevalue("clickhouse")
    with System(tmp_path_factory.mktemp("e2e"), kafka=kafka, clickhouse=clickhouse) as system:
        yield Settled(system, publish_everything(system))


def publish_everything(system: System) -> Published:
    mixed = Mixed(system, seed=3)
    first = {pool.pool: profiles(pool.pool) for pool in POOLS}
    command(system.settings, *POOLS, *[profile for of_pool in first.values() for profile in of_pool])
    until(lambda: system.value("SELECT uniqExact(pool) FROM periods") == len(POOLS), 120, "a period of each pool")
    latencies = LatencyPublisher(system.settings, source="vllm-1")
    for number in range(ROUNDS):
        for _ in range(PER_ROUND):
            mixed.put(mixed.event())
        if number % 30 == 0:
            for name, bad in bad_inputs(mixed.usage("seed", "amy"), str(number)).items():
                mixed.put_bad("usage", name, bad)
            mixed.put_bad("latency", "no latency", Bad(Message(b"amy", b'{"id": "1"}'), "invalid", "missing"))
            mixed.put_bad("profiles", "no type", Bad(Message(b"seed", b'{"id": "1"}'), "invalid", "type"))
            mixed.put_bad(
                "profiles",
                "two keys",
                Bad(Message(b"fair", b'{"type": "pool", "id": "x", "pool": "seed", "capacity": 1}'), "invalid", "key"),
            )
            mixed.put_bad(
                "orders",
                "a pool among orders",
                Bad(Message(b"seed", b'{"type": "pool", "id": "x", "pool": "seed", "capacity": 1}'), "invalid", "type"),
            )
        if number == ROUNDS // 2:
            command(
                system.settings,
                *profiles("seed", version=2),
                ProfileCommand(id="too-much", pool="seed", tenant="eve", base=5_000, elasticity="1"),
                ProfileCommand(id="no-pool", pool=UNKNOWN_POOL, tenant="eve", base=1, elasticity="1"),
            )
        slow = LatencyEvent(
            time=time.time_ns() // 1_000_000, source="vllm-1", id=f"lat-{number}", tenant="bob", pool="fair", latency_ms=number
        )
        latencies.publish(slow)
        mixed.published.ledger.add(slow)
        time.sleep(PAUSE_S)  # the load's pace
    mixed.flush()
    latencies.close()
    system.settle()
    for of_pool in (*first.values(), profiles("seed", version=2)):
        for profile in of_pool:
            mixed.published.profiles[profile.pool].append(profile)
    return mixed.published


def test_produced_is_accepted_or_dead_lettered_and_landed_exactly_once(settled: Settled) -> None:
    published = settled.published
    assert published.duplicates > 50
    assert len(published.ledger.usage) == ROUNDS * PER_ROUND
    # What clients appended, duplicates aside, is what landed here or there.
    accepted = settled.system.value("SELECT count() FROM usage_events")
    dead = settled.system.value("SELECT count() FROM dead_letters")
    assert (accepted, dead) == (len(published.ledger.usage), len(published.bad))
    assert accepted + dead == len(published.stands) + len(published.bad) - published.duplicates
    check_all(settled.system, published.ledger)


def test_latencies_are_held_against_the_sla_each_counted_once(settled: Settled) -> None:
    counted = "SELECT sum(requests) FROM sla_periods WHERE pool = 'fair' AND tenant = 'bob'"
    until(lambda: settled.system.value(counted) == ROUNDS, 30, "a closed period for every latency")
    most = settled.system.value("SELECT max(latency_upper_ms) FROM sla_periods WHERE pool = 'fair'")
    assert ROUNDS - 1 <= most <= (ROUNDS - 1) * 65 / 64
    assert settled.system.value("SELECT count() FROM sla") == 0


def test_dead_letters_keep_bytes_place_and_reason(settled: Settled) -> None:
    rows = settled.system.dicts("SELECT * EXCEPT (payload, key), hex(payload) AS payload, hex(key) AS key FROM dead_letters")
    prefix = settled.system.settings.topic("")
    found = {(row["source_topic"].removeprefix(prefix), row["source_partition"], row["source_offset"]): row for row in rows}
    assert found.keys() == settled.published.bad.keys()
    for place, (name, bad) in settled.published.bad.items():
        row = found[place]
        assert bytes.fromhex(row["payload"]) == (bad.message.value or b""), name
        assert bytes.fromhex(row["key"]) == (bad.message.key or b""), name
        assert row["null_payload"] == (bad.message.value is None), name
        assert row["detail"], name
        assert bad.detail in row["detail"], (name, row["detail"])
        assert row["reason"] == bad.reason or (not bad.reason and row["reason"] in {"malformed", "invalid"}), (name, row["reason"])


@pytest.mark.parametrize("pool", POOLS, ids=lambda pool: pool.pool)
def test_allocations_follow_from_what_was_published(settled: Settled, pool: PoolCommand) -> None:
    """Every closed period: rows equal those of the plain oracle, whose demands and budgets are kept from the period before."""
    system, published = settled.system, settled.published
    began = {
        (row[0], row[1]): row[2]
        for row in system.rows(f"SELECT tenant, version, from_period FROM profiles WHERE pool = '{pool.pool}'")
    }
    versions = defaultdict(list)
    for profile in published.profiles[pool.pool]:
        versions[profile.tenant].append((began[profile.tenant, len(versions[profile.tenant]) + 1], profile))
    account = Account(pool, versions)
    rows = defaultdict(dict)
    for row in system.dicts(f"SELECT * FROM allocations WHERE pool = '{pool.pool}' ORDER BY period"):
        rows[row["period"]][row["tenant"]] = row
    closed = system.dicts(f"SELECT * FROM periods WHERE pool = '{pool.pool}' ORDER BY period")[:-2]  # the rest may be landing
    counted, expected = defaultdict(int), defaultdict(int)
    by_period = used_by_period(system, published.stands, pool)
    used_before = -1
    for period in closed:
        number = period["period"]
        assert period["period_start"].timestamp() == number * pool.period_s
        of_period = rows[number]
        decided = account.allocate(number)
        for tenant, row in of_period.items():
            want = decided.get(tenant) or {"base": 0, "surplus": 0, "charge": 0, "shortfall": 0}  # without a profile: metered only
            got = {name: row[name] for name in want}
            assert got == want, (number, tenant)
            assert row["allocated"] == row["base"] + row["surplus"]
            counted[tenant] += row["used"]
        assert decided.keys() <= of_period.keys()
        account.learn(number, {tenant: row["used"] for tenant, row in of_period.items()}, period["late_meters"])
        for earlier in [each for each in by_period if used_before < each <= number]:
            for tenant, tokens in by_period[earlier].items():
                expected[tenant] += tokens
        used_before = number
        if not period["late_meters"]:  # all had reported: what was used until then has been counted, to the token
            assert not (wrong := differences(dict(expected), {t: n for t, n in counted.items() if n})), (number, wrong)
    assert sum(counted.values()) > 0
    assert len(closed) > ROUNDS * PAUSE_S / pool.period_s / 2


def test_usage_of_an_unknown_pool_lands_and_is_told(settled: Settled) -> None:
    landed = dict(
        settled.system.rows(
            f"SELECT tenant, sum(input_tokens + output_tokens) FROM usage_events WHERE pool = '{UNKNOWN_POOL}' GROUP BY 1"
        )
    )
    told = dict(
        settled.system.rows(
            f"SELECT tenant, sum(input_tokens + output_tokens) FROM unrouted_usage WHERE pool = '{UNKNOWN_POOL}' GROUP BY 1"
        )
    )
    produced = {tenant: tokens for (_, tenant), tokens in settled.published.ledger.tokens(pools={UNKNOWN_POOL}).items()}
    assert landed == told == produced
    assert produced


def test_refused_commands_say_the_numbers(settled: Settled) -> None:
    told = {row[0]: row[1:] for row in settled.system.rows("SELECT command_id, pool, tenant, reason, detail FROM refusals")}
    pool, tenant, reason, detail = told["too-much"]
    assert (pool, tenant, reason) == ("seed", "eve", "oversubscribed")
    assert "5000" in detail
    assert "6000" in detail
    assert told["no-pool"][2] == "unknown_pool"
    assert told.keys() == {"too-much", "no-pool"}


def test_the_web_view_answers(settled: Settled) -> None:
    pools = settled.system.web("/pools")
    assert pools.keys() == {pool.pool for pool in POOLS}
    shown = settled.system.web("/pools/seed")
    assert {tenant["tenant"] for tenant in shown["tenants"]} == {"amy", "bob", "cy", "дана", STRANGER}
    assert settled.system.web("/pools/seed/tenants/amy")["base"] == 600


def test_allocation_goes_on_without_clickhouse(tmp_path: Path, broker: str) -> None:
    """While the store is dead facts are published, period by period; when it is back all of it lands, each row once."""
    with System(tmp_path / "home", kafka=broker) as system:
        command(system.settings, POOLS[0], *profiles("seed"))
        until(lambda: system.value("SELECT count() FROM periods") > 0, 60, "a period")
        mixed = Mixed(system, seed=4)
        system.kill("clickhouse")
        facts = sum(system.ends("facts").values())
        for _ in range(20):
            for _ in range(20):
                mixed.put(mixed.usage("seed", "amy"))
            time.sleep(0.1)  # the load's pace
        mixed.flush()
        closed = system.web("/pools")["seed"]["period"]
        until(lambda: system.web("/pools")["seed"]["period"] >= closed + 4, 30, "four periods without a store")
        assert sum(system.ends("facts").values()) > facts
        system.restart("clickhouse")
        system.settle()
        check_all(system, mixed.published.ledger)
