"""Landing into a real ClickHouse through crashes at every step and beside a second sink; the counts stay exact."""

from __future__ import annotations

import asyncio
import random
import threading
import time

import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError
from landing_world import NOW, Crash, CrashingTables, Record, ask, events, facts, land, read

from streams.clickhouse import ClickHouse
from streams.landing import Collected
from streams.settings import Settings
from streams.standing import LandingTables


def run_with_crashes(settings: Settings, names: list[str], logs: dict[int, list[Record]], *, seed: int, crashes: int) -> None:
    rng = random.Random(seed)
    made = CrashingTables(settings.clickhouse_database, "topic", names)
    left = crashes

    def fault(_step: str) -> None:
        nonlocal left
        if left and rng.random() < 0.25:
            left -= 1
            raise Crash

    made.fault = fault  # type: ignore[method-assign]  # of this instance only
    while True:
        store = ClickHouse(settings)
        try:
            asyncio.run(land(made, store, logs, lambda: rng.randint(1, 7)))
        except Crash:
            continue
        finally:
            store.close()
        break
    assert left == 0, f"seed {seed}: too few steps for {crashes} crashes"


@pytest.mark.parametrize("seed", range(3))
def test_events_land_once_through_crashes_at_any_step(settings: Settings, client: Client, seed: int) -> None:
    logs = {0: events(200), 3: events(120)}
    run_with_crashes(settings, ["usage_events"], logs, seed=seed, crashes=15)
    offsets = "SELECT partition, count(), uniqExact(offset), max(offset) FROM DB.usage_events_landed GROUP BY partition ORDER BY 1"
    # Ids repeat every 50 records, and a repeated one may be replaced by now: what is in the view is the first copies.
    assert ask(client, settings, "SELECT partition, count(), max(offset) FROM DB.usage_events GROUP BY 1 ORDER BY 1") == [
        (0, 50, 49),
        (3, 50, 49),
    ]
    assert all(rows == unique for _, rows, unique, _ in ask(client, settings, offsets)), "the table itself holds a record twice"
    assert ask(client, settings, "SELECT partition, through FROM DB.landed ORDER BY 1") == [(0, 199), (3, 119)]


@pytest.mark.parametrize("seed", range(3))
def test_facts_land_once_through_crashes_and_recovering_engines(settings: Settings, client: Client, seed: int) -> None:
    rng = random.Random(seed)
    logs = {0: facts(rng, 150), 1: facts(rng, 90)}
    run_with_crashes(settings, ["refusals", "unrouted_usage"], logs, seed=seed, crashes=15)
    for table, per_record in (("refusals", 1), ("unrouted_usage", 2)):
        for suffix in ("", "_landed"):
            found = ask(
                client,
                settings,
                f"SELECT partition, count(), uniqExact((journal_offset, fact_index)) FROM DB.{table}{suffix} GROUP BY 1",
            )
            assert {partition: (rows, ids) for partition, rows, ids in found} == {
                partition: (len(ids) * per_record, len(ids))
                for partition, log in logs.items()
                if (ids := {record.fact for record in log if record.table == table})
            }, table + suffix


def test_what_a_frozen_sink_inserts_late_is_not_seen(settings: Settings, client: Client) -> None:
    """Its successor has cut the log into other batches; the frozen one was at an insert, and finishes it now."""
    names = ["refusals", "unrouted_usage"]
    log = facts(random.Random(1), 60)
    made = LandingTables(settings.clickhouse_database, "topic", names)
    collected = Collected()
    read(collected, 0, log[:30])
    late = [made.inserting(table, items, NOW) for table, items in collected.tables.items()]
    store = ClickHouse(settings)
    asyncio.run(land(made, store, {0: log}, lambda: 7))
    store.close()
    seen = {table: ask(client, settings, f"SELECT * EXCEPT landed_at FROM DB.{table} ORDER BY ALL") for table in names}
    for insert in late:
        insert(client)
    for table in names:
        assert ask(client, settings, f"SELECT * EXCEPT landed_at FROM DB.{table} ORDER BY ALL") == seen[table]
        assert ask(client, settings, f"SELECT count() FROM DB.{table}") == [(len(seen[table]),)]
        assert ask(client, settings, f"SELECT count() FROM DB.{table}_landed")[0][0] > len(seen[table]), "nothing was doubled"


def test_of_two_that_note_how_far_they_are_the_further_one_counts(settings: Settings, client: Client) -> None:
    from streams.landing import Standing

    made = LandingTables(settings.clickhouse_database, "topic", ["refusals"])
    made.insert_landed(client, {0: Standing(20, (7, 1), NOW)})
    made.insert_landed(client, {0: Standing(10, (3, 0), NOW + 5)})
    found = made.read(client, [0, 1])
    assert (found[0].through, found[0].fact, found[1].through) == (20, (7, 1), -1)


def test_calls_follow_one_another_also_behind_one_that_was_given_up(settings: Settings, client: Client) -> None:
    order: list[str] = []
    release = threading.Event()

    async def attempt() -> None:
        store = ClickHouse(settings)
        slow = asyncio.ensure_future(store.call(lambda _client: (release.wait(10), order.append("slow"))))
        await asyncio.sleep(0.05)  # let it begin
        slow.cancel()
        later = asyncio.ensure_future(store.call(lambda _client: order.append("later")))
        asyncio.get_running_loop().call_later(0.1, release.set)
        await later
        store.close()

    asyncio.run(attempt())
    assert order == ["slow", "later"]


def test_time_of_landing_never_falls(settings: Settings, client: Client) -> None:
    """Whoever looks for rows beyond `through` looks no further back than when it was written."""
    from streams.landing import Standing

    made = LandingTables(settings.clickhouse_database, "topic", ["usage_events"])
    ahead = int(time.time() * 1000) + 3_600_000  # written by a machine whose clock is ahead
    made.insert_landed(client, {0: Standing(4, landed_at=ahead)})
    store = ClickHouse(settings)
    asyncio.run(land(made, store, {0: events(9)}, lambda: 9))
    store.close()
    assert ask(client, settings, f"SELECT count(), min(landed_at) = fromUnixTimestamp64Milli({ahead}) FROM DB.usage_events") == [
        (4, True)
    ]


def test_what_lands_after_an_outage_bears_the_time_of_the_attempt_that_succeeded(settings: Settings, client: Client) -> None:
    """Rollups look for what landed since: no row may appear later that bears an earlier time (schemas/clickhouse_rollups.py)."""
    made = CrashingTables(settings.clickhouse_database, "topic", ["usage_events"])
    failed_at: list[int] = []

    def fault(step: str) -> None:
        if step == "before insert" and not failed_at:
            time.sleep(0.02)
            failed_at.append(int(time.time() * 1000))
            raise DatabaseError("away")

    made.fault = fault  # type: ignore[method-assign]  # of this instance only
    store = ClickHouse(settings)
    asyncio.run(land(made, store, {0: events(9)}, lambda: 9))
    store.close()
    since = f"countIf(landed_at >= fromUnixTimestamp64Milli({failed_at[0]}))"
    assert ask(client, settings, f"SELECT count(), {since} FROM DB.usage_events") == [(9, 9)]
