"""Rollups in a real ClickHouse say what the events say, however often these landed and wherever a refresh broke off."""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime
from random import Random

import pytest
from databases import drop

from schemas.clickhouse import tables
from schemas.clickhouse_levels import LEVELS
from schemas.clickhouse_rollups import rollups
from schemas.clickhouse_setup import retention
from schemas.upkeep import Upkeep
from streams.clickhouse import connect
from streams.landing import Landable, Standing
from streams.rollups import how_fresh, rebuild, refresh
from streams.settings import Settings
from streams.standing import LandingTables
from streams.tables import create_tables

DAY_MS = 86_400_000
SLOW = Upkeep(rollup_every_s=86_400)
"""The tests say when."""
USAGE, OUTCOMES = LEVELS[:3], LEVELS[3]
PERIOD_S = 600


@pytest.fixture(scope="module")
def settings(clickhouse, tmp_path_factory):
    settings = Settings(
        home=tmp_path_factory.mktemp("home"), clickhouse=clickhouse, clickhouse_database=f"rolled_{uuid.uuid4().hex[:8]}"
    )
    client = connect(settings)
    create_tables(client, settings.clickhouse_database, SLOW)
    yield settings
    drop(client, settings.clickhouse_database)
    client.close()


@pytest.fixture
def client(settings):
    client = connect(settings)
    client.database = settings.clickhouse_database
    for level in LEVELS:  # so that copies stay
        client.command(f"SYSTEM STOP MERGES {client.database}.{level.source}")
    yield client
    for level in reversed(LEVELS):
        client.command(f"TRUNCATE TABLE {client.database}.{level.source}")
    rebuild(client, client.database, SLOW)
    refresh(client, client.database)
    client.close()


class Topic:
    """Usage as a publisher sends it and the sink lands it."""

    def __init__(self, client, settings):
        self.client, self.settings = client, settings
        self.random = Random(7)
        self.now = int(time.time() * 1000)
        self.events = []
        self.landing = LandingTables(client.database, settings.topic("usage"), ["usage_events"], SLOW)

    def event(self, age_ms=0):
        pool, tenant, model = (f"{kind}{self.random.randrange(3)}" for kind in ("pool", "tenant", "model"))
        tokens = self.random.randrange(1, 2**53)
        moment = self.now - age_ms - self.random.randrange(7_200_000)
        return (moment, "s", uuid.UUID(int=self.random.getrandbits(128)).hex, tenant, pool, tokens, 5, tokens // 2, model, "", "")

    def publish(self, *events):
        """At the log's end. Offsets of the records."""
        first = len(self.events)
        self.events += events
        return range(first, len(self.events))

    def land(self, offsets, landed_at=None):
        items = [Landable(0, offset, self.events[offset]) for offset in offsets]
        self.landing.inserting("usage_events", items, landed_at or int(time.time() * 1000))(self.client)


@pytest.fixture
def topic(client, settings):
    return Topic(client, settings)


def rows(client, query):
    return [tuple(row) for row in client.query(query).result_rows]


def counted(topic, length_ms):
    """What a rollup has to say, from what was published: the first copy of each event counts."""
    first = {}
    for event in topic.events:
        first.setdefault(event[1:4], event)
    sums = {}
    for moment, _, _, tenant, pool, tokens, output, cached, model, *_ in first.values():
        found = sums.setdefault((pool, moment // length_ms * length_ms, tenant, model), [0, 0, 0, 0])
        for at, amount in enumerate((1, tokens, output, cached)):
            found[at] += amount
    return {key: tuple(values) for key, values in sums.items()}


def said(client, level):
    found = rows(
        client,
        f"SELECT pool, toUnixTimestamp({level.bucket}) * 1000, tenant, model, requests, input_tokens, output_tokens, "
        f"cached_input_tokens FROM {level.name}",
    )
    told = {row[:4]: row[4:] for row in found}
    assert len(told) == len(found), "a stretch is shown twice"
    return told


def check(topic):
    for level, length_ms in zip(USAGE, (60_000, 3_600_000, DAY_MS), strict=True):
        assert said(topic.client, level) == counted(topic, length_ms), level.name


def test_every_event_counts_once_whoever_sends_or_lands_it_again(topic):
    events = [topic.event() for _ in range(400)]
    topic.land(topic.publish(*events[:250]))
    refresh(topic.client, topic.client.database)
    check(topic)
    # Sent again by its publisher, and new ones; the sink crashes between the insert and `landed`, and a frozen one inserts, too.
    again = topic.publish(*events[200:], *topic.random.sample(events, 100))
    for _ in range(2):
        topic.land(again)
    topic.land(again[20:60])
    assert rows(topic.client, "SELECT count() FROM usage_events_landed")[0][0] > 2 * len(events)
    refresh(topic.client, topic.client.database)
    check(topic)
    # A sum of two days' worth leaves int64 (law 3).
    assert max(values[1] for values in counted(topic, DAY_MS).values()) > 2**53
    refresh(topic.client, topic.client.database)
    check(topic)


def test_late_events_change_only_what_they_belong_to(topic):
    topic.land(topic.publish(*(topic.event() for _ in range(50)), *(topic.event(20 * DAY_MS) for _ in range(50))))
    refresh(topic.client, topic.client.database)
    check(topic)
    topic.land(topic.publish(*(topic.event(20 * DAY_MS) for _ in range(5)), *(topic.event(9 * DAY_MS) for _ in range(5))))
    refresh(topic.client, topic.client.database)
    check(topic)


def test_a_refresh_that_broke_off_or_ran_late_leaves_nothing_wrong(topic):
    """Rows of a refresh that read before the last events were there are written after those of one that read them."""
    topic.land(topic.publish(*(topic.event() for _ in range(100))))
    refresh(topic.client, topic.client.database)
    for rollup in rollups(topic.client.database):
        topic.client.command(f"CREATE TABLE early AS {rollup.insert_into} ENGINE = Memory")
        topic.client.command(f"INSERT INTO early SELECT * FROM {rollup.insert_into}")
        topic.client.command(f"RENAME TABLE early TO early_{rollup.name}")
    topic.land(topic.publish(*(topic.event() for _ in range(100))))
    refresh(topic.client, topic.client.database)
    for rollup in rollups(topic.client.database):
        topic.client.command(f"INSERT INTO {rollup.insert_into} SELECT * FROM early_{rollup.name} LIMIT 30")
        topic.client.command(f"DROP TABLE early_{rollup.name}")
    check(topic)
    refresh(topic.client, topic.client.database)
    check(topic)


def test_what_landed_while_nothing_refreshed_is_found_after_a_restart(topic):
    """The server forgets when it refreshed last; the rows say it."""
    database = topic.client.database
    topic.land(topic.publish(*(topic.event() for _ in range(100))))
    refresh(topic.client, database)
    refresh(topic.client, database)  # what it knows of the first is now in no row: it computes nothing
    topic.land(topic.publish(*(topic.event() for _ in range(20))))
    refresh(topic.client, database)
    assert rows(topic.client, "SELECT max(complete_before) > now() - INTERVAL 1 HOUR FROM usage_by_minute_computed") == [(1,)]
    for rollup in reversed(rollups(database)):
        topic.client.command(f"DROP VIEW {rollup.refresh} SYNC")
    topic.land(topic.publish(*(topic.event() for _ in range(20))))
    create_tables(topic.client, database, SLOW)
    refresh(topic.client, database)
    check(topic)


def test_the_refresh_is_made_anew_only_where_it_is_another_one(client):
    views = "SELECT name, uuid FROM system.tables WHERE database = currentDatabase() AND name LIKE '%refresh'"
    before = dict(rows(client, views))
    create_tables(client, client.database, SLOW)
    assert dict(rows(client, views)) == before
    create_tables(client, client.database, Upkeep(rollup_every_s=77))
    assert set(dict(rows(client, views)).values()).isdisjoint(before.values())
    made = "SELECT create_table_query FROM system.tables WHERE name LIKE 'usage%refresh' AND database = currentDatabase()"
    assert ["EVERY 1 MINUTE 17 SECOND" in text for (text,) in rows(client, made)] == [True] * 3
    assert [(each.name, each.failure) for each in how_fresh(client, client.database)] == [(level.name, "") for level in LEVELS]


def test_what_retention_takes_is_neither_landed_again_nor_taken_from_the_rollups(topic, settings):
    client = topic.client
    old = topic.publish(*(topic.event(3 * DAY_MS) for _ in range(30)))
    topic.land(old, landed_at=topic.now - 3 * DAY_MS)
    rebuild(client, client.database, SLOW)  # as the last refresh was after that
    refresh(client, client.database)
    check(topic)
    topic.landing.insert_landed(client, {0: Standing(through=old[-1], landed_at=topic.now - 3 * DAY_MS)})
    client.command("SYSTEM START MERGES usage_events_landed")
    kept = Upkeep(rollup_every_s=86_400, events_s=2 * 86_400)
    create_tables(client, client.database, kept)
    assert {each.table: each.expires for each in retention(kept) if each.expires} == {
        "usage_events_landed": "toDateTime(landed_at) + toIntervalSecond(172800)",
        "latency_events_landed": "toDateTime(landed_at) + toIntervalSecond(172800)",
        "admission_events_landed": "toDateTime(landed_at) + toIntervalSecond(172800)",
    }
    client.command("OPTIMIZE TABLE usage_events_landed FINAL")
    assert rows(client, "SELECT count() FROM usage_events") == [(0,)]
    standing = topic.landing.read(client, [0])[0]
    assert standing.through == old[-1]  # so it goes on behind them
    refresh(client, client.database)
    check(topic)
    # The same settings again change nothing; others do; none keeps for ever.
    described = "SELECT engine_full FROM system.tables WHERE name = 'usage_events_landed' AND database = currentDatabase()"
    with_ttl = rows(client, described)
    create_tables(client, client.database, kept)
    assert rows(client, described) == with_ttl
    create_tables(client, client.database, SLOW)
    assert " TTL " not in rows(client, described)[0][0]


def test_columns_are_those_of_the_events_with_their_units(client):
    fields = {column.name: column for table in tables("any") if table.name == "usage_events" for column in table.columns}
    for rollup in rollups(client.database):
        found = {name: (kind, comment) for name, kind, comment in rows(
            client,
            f"SELECT name, type, comment FROM system.columns WHERE database = currentDatabase() AND table = '{rollup.name}'",
        )}  # fmt: skip
        assert found == {column.name: (column.clickhouse_type, column.comment) for column in rollup.columns}
        if not rollup.name.startswith("usage"):
            continue
        for name in ("pool", "tenant", "model"):
            assert found[name] == (fields[name].clickhouse_type, fields[name].comment)
        for name in ("input_tokens", "output_tokens", "cached_input_tokens"):
            assert found[name] == ("Int128", f"{fields[name].comment}, sum")


def outcome(random, pool, period, tenant):
    """Of one tenant in one period, of some size and in any of the ways in which one can be short."""
    base, demand = random.randrange(2**40), random.randrange(2**41)
    bid = max(demand - base, 0) * random.randrange(3) // 2
    surplus, shortfall = bid * random.randrange(3) // 2, random.choice((0, 0, 0, 7))
    sold = random.choice((0, base // 3))
    allocated = base - shortfall + surplus - sold
    return {
        "pool": pool,
        "period": period,
        "period_start": datetime.fromtimestamp(period * PERIOD_S, UTC),
        "tenant": tenant,
        "price": random.randrange(2**20),
        "base": base,
        "demand": demand,
        "bid": bid,
        "surplus": surplus,
        "sold": sold,
        "allocated": allocated,
        "charge": surplus * 3,
        "shortfall": shortfall,
        "used": min(demand, allocated),
    }


def land_outcomes(client, rows):
    """Each as a fact of its own: the same row again is a copy."""
    landed = [
        row | {"topic": "t", "journal_offset": row["period"], "fact_index": number, "landed_at": datetime.now(UTC)}
        for number, row in rows
    ]
    settings = {"insert_deduplicate": 0}
    client.insert("allocations_landed", [list(row.values()) for row in landed], column_names=list(landed[0]), settings=settings)


def check_outcomes(client):
    """The rollup against the views of every single period."""
    by_hour = "pool, toStartOfHour(period_start) AS hour, tenant"
    rolled, single = OUTCOMES.name, {}
    single["short"] = rows(
        client, f"SELECT {by_hour}, why, count(), sum(short), sum(demand) FROM who_was_short GROUP BY ALL ORDER BY ALL"
    )
    single["could have sold"] = rows(
        client,
        f"SELECT {by_hour}, count(), sum(idle), sum(sellable), sum(worth) FROM who_could_have_sold GROUP BY ALL ORDER BY ALL",
    )
    single["cost"] = rows(client, f"SELECT {by_hour}, sum(tokens), sum(cost) FROM costs GROUP BY ALL ORDER BY ALL")
    names = ", ".join(each.column.name for each in OUTCOMES.sums[1:11])
    sums = ", ".join(f"sum(toInt128({name}))" for name in names.split(", "))
    single["all"] = rows(client, f"SELECT {by_hour}, count(), {sums} FROM allocations GROUP BY ALL ORDER BY ALL")
    totals = ", ".join(f"sum({name})" for name in ("periods", *names.split(", ")))
    told = {
        "short": rows(client, f"SELECT pool, hour, tenant, why, periods, short, demand FROM {rolled} WHERE why != '' ORDER BY ALL"),
        "could have sold": rows(
            client,
            "SELECT pool, hour, tenant, sum(could_sell), sum(idle), sum(sellable), sum(worth) "
            f"FROM {rolled} WHERE could_sell > 0 GROUP BY ALL ORDER BY ALL",
        ),
        "cost": rows(client, "SELECT pool, hour, tenant, sum(tokens), sum(cost) FROM costs_by_hour GROUP BY ALL ORDER BY ALL"),
        "all": rows(client, f"SELECT pool, hour, tenant, {totals} FROM {rolled} GROUP BY ALL ORDER BY ALL"),
    }
    assert all(single.values())
    assert told == single


def test_outcomes_per_hour_are_those_of_their_periods(client):
    """Chunks of a period land one by one, twice, in any order; what a tenant could have sold depends on the chunks to come."""
    random = Random(11)
    now = int(time.time()) // PERIOD_S
    outcomes = list(
        enumerate(
            outcome(random, pool, now - ago, tenant)
            for ago in (1, 2, 3, 700)
            for pool in ("p", "q")
            for tenant in ("ann", "ben", "cat", "dan")
        )
    )
    random.shuffle(outcomes)
    land_outcomes(client, outcomes[:9])
    refresh(client, client.database)
    check_outcomes(client)
    client.command(f"CREATE TABLE early ENGINE = Memory AS SELECT * FROM {OUTCOMES.computed}")
    land_outcomes(client, outcomes[5:20])
    land_outcomes(client, outcomes[12:])
    refresh(client, client.database)
    check_outcomes(client)
    # A refresh that read before the last chunks were there ends after one that read them.
    client.command(f"INSERT INTO {OUTCOMES.computed} SELECT * FROM early")
    client.command("DROP TABLE early")
    check_outcomes(client)
    assert {why for (why,) in rows(client, f"SELECT DISTINCT why FROM {OUTCOMES.name}")} == {
        "", "capacity_fell", "sold", "outbid", "bid_less"
    }  # fmt: skip
