"""A token pool on real Kafka and ClickHouse: gateways report, limits and debts move and land, and a replay gives the same ones."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from proof import check_replay
from system import TICK_MS, System, until

from infra.backtest.journal import journal_of
from processors.explain import explained, journal_record
from schemas.entitlements import KvQuota, RateQuota
from schemas.outputs import Limit, PoolCapacity, Scale
from schemas.published import PoolCommand, ProfileCommand, Tier
from schemas.scaling import ReplicasCommand, Scaling
from streams.clickhouse import connect
from streams.client import AdmissionPublisher, CommandPublisher, UsagePublisher
from streams.codecs import decode
from streams.period_rows import PeriodRows
from streams.replay import record_at

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

POOL = "llm/8b"
PERIOD_S = 2
SOON_S = 60.0
ALONE = ("capacity", "debts", "limits", "shortfalls", "token_pools", "entitlements", "admission_events", "scalings")
FACT = "topic, partition, journal_offset, fact_index, record_row"


def token_pool(id: str, replicas: int) -> PoolCommand:  # noqa: A002  the field's name
    """Each replica: 400 tokens per second, 100 blocks, 8 requests."""
    return PoolCommand(
        id=id,
        pool=POOL,
        capacity=800 * replicas,
        period_s=PERIOD_S,
        policy="uniform_price",
        replicas=replicas,
        replica_tokens_per_s=400,
        replica_kv_blocks=100,
        replica_concurrency=8,
        debt_half_life_s=20,
        debt_bound_s=10,
        scaling=Scaling(enabled=True, max_replicas=8),
    )


def profile(tenant: str, tier: Tier, base: int = 0, **more: Any) -> ProfileCommand:
    return ProfileCommand(id=tenant, pool=POOL, tenant=tenant, base=base, elasticity="0", tier=tier, **more)


@pytest.fixture(scope="module")
def system(broker: str, clickhouse: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with System(tmp_path_factory.mktemp("home"), kafka=broker, clickhouse=clickhouse, partitions=2) as running:
        with CommandPublisher(running.settings) as operator:
            operator.publish(token_pool("p1", 4))
            operator.publish(profile("gold", Tier.GUARANTEED, base=800, kv=KvQuota(nominal_quota=50, lending_limit=20)))
            operator.publish(profile("ann", Tier.ELASTIC, throughput=RateQuota(borrowing_limit=100_000)))
            operator.publish(profile("bob", Tier.ELASTIC))
        yield running


def newest(system: System) -> dict[str, Limit | PoolCapacity]:
    """Tenant -> its limit as the topic has it; the pool's capacity under the empty name."""
    kept: dict[str, Limit | PoolCapacity] = {}
    for record in system.read("limits"):
        if record.value() is not None:
            said = decode(record.value())
            assert isinstance(said, (Limit, PoolCapacity))
            kept["" if isinstance(said, PoolCapacity) else said.tenant] = said
    return kept


def kept_of(system: System, tenant: str) -> int:
    said = newest(system).get(tenant)
    return (said.throughput_kept or 0) if isinstance(said, Limit) else 0


def test_reports_move_limits_and_debts_which_land_and_are_the_same_on_replay(system: System) -> None:
    until(lambda: newest(system).keys() == {"", "gold", "ann", "bob"}, SOON_S, "limits of all")
    begun = newest(system)
    capacity, gold = begun[""], begun["gold"]
    assert isinstance(capacity, PoolCapacity)
    assert isinstance(gold, Limit)
    assert (capacity.throughput, capacity.kv, capacity.concurrency, capacity.kv_block_tokens) == (1600, 400, 32, 16)
    assert (gold.tier, gold.throughput_nominal, gold.throughput_borrowing, gold.throughput_kept) == ("guaranteed", 400, None, 0)
    assert (gold.kv_nominal, gold.kv_kept, gold.concurrency_nominal) == (50, 30, 8)

    # Every quarter of a second: ann is served three times what bob is, who is refused as much as that; both are due the same.
    reports = 0
    with UsagePublisher(system.settings, source="vllm") as usage, AdmissionPublisher(system.settings, source="gw-1") as gateway:

        def debt_of(tenant: str) -> int:
            said = system.rows(f"SELECT debt FROM debts WHERE tenant = '{tenant}' ORDER BY tick DESC LIMIT 1")
            return int(said[0][0]) if said else 0

        def moved() -> bool:
            nonlocal reports
            for tenant, tokens in (("ann", 300), ("bob", 100), ("gold", 50)):
                usage.publish(tenant=tenant, pool=POOL, input_tokens=tokens // 2, output_tokens=tokens - tokens // 2)
            gateway.publish(
                tenant="bob",
                pool=POOL,
                interval_ms=TICK_MS,
                admitted=1,
                refused_pool_throughput=2,
                refused_tokens=300,
                peak_kv_blocks=40,
                peak_concurrency=3,
            )
            reports += 1
            return debt_of("bob") > 100_000 and debt_of("ann") < -50_000 and kept_of(system, "bob") > kept_of(system, "ann") > 0

        until(moved, SOON_S, "debts and limits", every_s=TICK_MS / 1000)
        system.kill("engine-1")  # its next owner decides the same again, and goes on
        since = time.time_ns() // 1_000_000
        later = f"SELECT count() FROM capacity WHERE toUnixTimestamp64Milli(at) > {since}"
        until(lambda: moved() and system.value(later) > 0, SOON_S, "the next owner", every_s=TICK_MS / 1000)
    with CommandPublisher(system.settings) as operator:
        operator.publish(token_pool("p2", 0))
    until(lambda: system.rows("SELECT 1 FROM shortfalls WHERE tenant = 'gold' LIMIT 1"), SOON_S, "the alarm")
    with CommandPublisher(system.settings) as operator:
        operator.publish(ReplicasCommand(id="r1", pool=POOL, replicas=4))
    until(lambda: system.web("/scale/llm%2F8b")["replicas"] == 4, SOON_S, "the replicas that were reported")
    system.settle(120)
    check_replay(system)
    check_tables(system, reports)
    check_explained(system)
    check_scaling(system)


def check_scaling(system: System) -> None:
    """What is asked for has what is promised in it, in the tables and on the topic."""
    scale = system.web("/scale/llm%2F8b")
    assert (scale["promised"], 1 <= scale["wanted"] <= 8) == (1, True)
    assert system.value("SELECT countIf(wanted < promised_replicas) FROM scalings") == 0
    wanted, replicas = system.rows("SELECT wanted, replicas FROM scalings ORDER BY journal_offset DESC, fact_index DESC LIMIT 1")[0]
    assert (wanted, replicas) == (scale["wanted"], 4)
    told = decode([*system.read("scaling")][-1].value())
    assert isinstance(told, Scale)
    assert (told.pool, told.wanted, told.reason) == (POOL, wanted, scale["reason"])


def check_explained(system: System) -> None:
    """A period is told alike from the journal, over an engine that was killed, and from what landed."""
    settings = system.settings
    period = system.value("SELECT max(period) - 1 FROM periods")
    journal, _ = journal_of(settings.kafka_client_config(), settings.topic("journal"), POOL)
    with journal.opened() as (name, _, records):
        decoded = ((offset, record_at(data, offset, name)) for offset, data in records)
        folded = journal_record(decoded, POOL, period, "bob")
    read = PeriodRows(connect(settings), settings.clickhouse_database).record(POOL, period, "bob")
    told, landed = (explained(record, "bob", searching=False).auction for record in (folded, read))
    assert told == landed
    assert told.proved
    assert (folded.around.debt, folded.around.profile) == (read.around.debt, read.around.profile)
    assert [each for each in folded.around.limits if each.name != "tokens"] == [*read.around.limits]


def check_tables(system: System, reports: int) -> None:
    """Nothing stands twice, promises and capacity are kept in each row, and the topic says what the tables say last."""
    for table in ALONE:
        key = "tenant, source, id" if table == "admission_events" else FACT
        (rows, different) = system.rows(f"SELECT count(), uniqExact({key}) FROM {table}")[0]
        assert rows == different > 0, f"{table}: {rows} rows, {different} different"
    assert system.value("SELECT count() FROM admission_events") == reports
    assert system.value("SELECT sum(refused_tokens) FROM admission_events") == 300 * reports
    alarms = system.rows(
        "SELECT tenant, tier, dimension, promised FROM shortfalls WHERE shortfall > 0 AND dimension = 'throughput'"
    )
    assert set(alarms) == {("gold", "guaranteed", "throughput", 400)}
    over = "throughput_kept > throughput OR kv_kept > kv OR concurrency_kept > concurrency"
    assert system.value(f"SELECT count() FROM capacity WHERE {over}") == 0
    assert system.rows("SELECT replicas FROM token_pools ORDER BY journal_offset") == [(4,), (0,), (4,)]
    assert {row[0] for row in system.rows("SELECT tenant FROM entitlements")} == {"gold", "ann"}
    columns = [
        f"{dimension}_{part}" for dimension in ("throughput", "kv", "concurrency") for part in ("nominal", "borrowing", "kept")
    ]
    latest = ", ".join(f"argMax(tuple({column}), (tick, journal_offset)).1" for column in columns)

    def agree() -> bool:
        landed = {row[0]: row[1:] for row in system.rows(f"SELECT tenant, {latest} FROM limits GROUP BY tenant")}
        told = {
            name: tuple(getattr(said, column) for column in columns)
            for name, said in newest(system).items()
            if isinstance(said, Limit)
        }
        return bool(told) and told == landed

    until(agree, SOON_S, "the topic and the table say the same", every_s=0.5)
    assert time.time() * 1000 - system.value("SELECT max(toUnixTimestamp64Milli(at)) FROM capacity") < SOON_S * 1000
