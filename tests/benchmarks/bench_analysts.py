"""The ten questions of the README on 100 million usage events: thirty days, 1,000 tenants, four pools.

Run alone: `python tests/benchmarks/bench_analysts.py URL [ROWS]`. The events are made in ClickHouse itself, a tenant's in
bursts of 23 within a minute, and stay in parts of five million, each with all tenants: what FINAL has most to do with. Their
rollups are computed as always, by their refresh. Beside the events are what 1,000 tenants got in periods of five minutes (one
for every 12 events) and a settled trade for every 200. Questions that are answered from rollups are compared with the same over
single events and periods, the others with themselves where the skipping index on `period_start` is not used. How many rows and
bytes ClickHouse read for an answer, which does not depend on what else the machine does, is in the JSON. Everything is dropped
in the end.

With 100 million rows: 12 GB of disk at most, and 20 minutes on two cores that a dozen other processes kept busy.
"""

from __future__ import annotations

import json
import sys
import time
import uuid

import clickhouse_connect
from clickhouse_connect.driver.client import Client

from dashboards.questions import Question, questions
from schemas.clickhouse_levels import LEVELS
from schemas.clickhouse_outcomes import OUTCOMES
from schemas.upkeep import Upkeep
from streams.errors import Unavailable
from streams.rollups import rebuild, refresh
from streams.tables import create_tables

ROWS = 100_000_000
REPEATS = 20
TENANTS = 1_000
POOLS = 4
BURST = 23
DAYS = 30
PERIOD_S = 300
CHUNK = 5_000_000
BYTES_PER_ROW = 120
"""Of the disk, at most: events and what is made of them, and twice where a merge is under way."""

IN_ONE_PART = {
    "insert_deduplicate": 0,
    "optimize_on_insert": 0,  # no row is there twice
    "max_insert_block_size": CHUNK,
    "min_insert_block_size_rows": CHUNK,
    "min_insert_block_size_bytes": 0,
}
GOAL_MS = 1_000
UPKEEP = Upkeep(rollup_every_s=86_400)
"""The benchmark itself says when."""

Row = dict[str, object]

_TENANT = "concat('tenant-', leftPad(toString(of), 4, '0'))"
_LANDED = "'t' AS topic, 0 AS partition, 0 AS record_row"
# Rows come in the order of their table's key, which saves sorting them: most of what an insert costs.
# Event n is of the tenant n % TENANTS, its burst one of a minute of the thirty days. Its tenant has one row in TENANTS of a chunk.
_EVENTS = f"""
SELECT
    fromUnixTimestamp64Milli(
        toInt64({{start}} * 1000 + intDiv(n, {TENANTS * BURST}) * {{step_ms}} + intDiv(n, {TENANTS}) % {BURST} * 1000)
    ) AS time,
    concat('s', toString(of % 7)) AS source, concat('r-', leftPad(toString(n), 10, '0')) AS id,
    {_TENANT} AS tenant, concat('pool-', toString(of % {POOLS})) AS pool,
    toInt64(200 + cityHash64(n) % 4000) AS input_tokens, toInt64(50 + cityHash64(n, 1) % 800) AS output_tokens,
    toInt64(intDiv(input_tokens, 3)) AS cached_input_tokens, concat('model-', toString(of % {POOLS})) AS model, '' AS request_id,
    {_LANDED}, toInt64(n) AS offset, time + INTERVAL 2 SECOND AS landed_at
FROM (SELECT intDiv(number, {{each}}) AS of, {{first}} + number % {{each}} * {TENANTS} + of AS n FROM numbers({{count}}))"""

# Row n of the tenant n % TENANTS in the period n / TENANTS of the thirty days: half are short, half have some left.
_ALLOCATIONS = f"""
SELECT
    concat('pool-', toString(of % {POOLS})) AS pool, toInt64(n) AS journal_offset, 0 AS fact_index,
    toInt64(intDiv({{start}}, {PERIOD_S}) + intDiv(n, {TENANTS})) AS period,
    fromUnixTimestamp64Milli(toInt64(period) * {PERIOD_S * 1000}) AS period_start,
    'seed' AS policy, toInt64(900 + cityHash64(period) % 300) AS price, {_TENANT} AS tenant,
    100000 AS base, toInt64(80000 + cityHash64(n) % 80000) AS demand, toInt64(greatest(demand - 100000, 0)) AS bid,
    toInt64(intDiv(bid, 2)) AS surplus, 0 AS bought, 0 AS sold, toInt64(base + surplus) AS allocated,
    toInt64(surplus * price) AS charge, 0 AS shortfall, toInt64(least(demand, allocated)) AS used, {_LANDED},
    toInt64(n) AS offset, period_start + INTERVAL 301 SECOND AS landed_at
FROM
(
    SELECT
        intDiv(number, intDiv({{count}}, {POOLS})) AS of_pool, number % intDiv({{count}}, {POOLS}) AS k,
        k % {TENANTS // POOLS} * {POOLS} + of_pool AS of, {{first}} + intDiv(k, {TENANTS // POOLS}) * {TENANTS} + of AS n
    FROM numbers({{count}})
)"""

_PERIODS = f"""
SELECT
    pool, period AS journal_offset, 0 AS fact_index, period, any(a.period_start) AS period_start,
    {PERIOD_S} AS period_s, 'seed' AS policy, toInt64(50000000) AS capacity, any(a.price) AS price,
    sum(a.allocated) AS allocated, sum(a.used) AS used, count() AS tenants,
    {_LANDED}, period AS offset, period_start + INTERVAL 301 SECOND AS landed_at
FROM allocations AS a GROUP BY pool, period"""

_SETTLEMENTS = f"""
SELECT
    concat('pool-', toString(n % {POOLS})) AS pool, toInt64(n) AS journal_offset, 0 AS fact_index, toInt64(n) AS number,
    toInt64(intDiv({{start}}, {PERIOD_S}) + n % {DAYS * 86_400 // PERIOD_S}) AS period, 'secured' AS kind,
    {_TENANT.replace("of", f"{POOLS} * (n % 100) + n % {POOLS}")} AS buyer,
    {_TENANT.replace("of", f"{POOLS} * (n % 100 + 100) + n % {POOLS}")} AS seller,
    20 AS tokens, 20000 AS paid, 19000 AS earned, 1000 AS fees, {_LANDED}, toInt64(n) AS offset, now64(3) AS landed_at
FROM (SELECT {{first}} + number AS n FROM numbers({{count}}))"""


def run(clickhouse_url: str, rows: int = ROWS, repeats: int = REPEATS) -> list[Row]:
    """Rows of {name, value, unit, baseline, baseline_value, ratio, goal, met}."""
    database = f"bench_{uuid.uuid4().hex[:8]}"
    client = clickhouse_connect.get_client(dsn=clickhouse_url, send_receive_timeout=3600, query_retries=0)
    try:
        _make_room(client, rows)
        create_tables(client, database, UPKEEP)
        client.database = database
        start = (int(time.time()) - DAYS * 86_400) // 3600 * 3600
        _fill(client, rows, start)
        made = _refresh(client, database, rows)
        rolled = _compare_with_rows(client, database)
        return [*made, *(_asked(client, database, question, repeats, rolled) for question in questions())]
    finally:
        for name in (f"{database}_rows", database):
            client.command(f"DROP DATABASE IF EXISTS {name} SYNC")
        client.close()


def _make_room(client: Client, rows: int) -> None:
    free = int(str(client.command("SELECT min(free_space) FROM system.disks WHERE type = 'Local'")))
    if free < rows * BYTES_PER_ROW:
        raise Unavailable(
            f"{rows:,} usage rows need {rows * BYTES_PER_ROW >> 30} GiB on ClickHouse's disk; {free >> 30} GiB are free"
        )


def _fill(client: Client, rows: int, start: int) -> None:
    bursts = max(1, rows // (TENANTS * BURST))
    step_ms = DAYS * 86_400_000 // bursts
    _insert(client, "usage_events", _EVENTS, rows, start=start, step_ms=step_ms)
    _insert(client, "allocations", _ALLOCATIONS, min(rows, TENANTS * DAYS * 86_400 // PERIOD_S), start=start)
    _insert(client, "settlements", _SETTLEMENTS, rows // 200, start=start)
    _insert(client, "periods", _PERIODS, 1)


def _insert(client: Client, table: str, select: str, rows: int, **values: int) -> None:
    """In parts of CHUNK rows that stay apart."""
    client.command(f"SYSTEM STOP MERGES `{client.database}`.{table}_landed")
    begun = time.perf_counter()
    for first in range(0, rows, CHUNK):
        count = min(CHUNK, rows - first)
        text = select.format(first=first, count=count, each=max(1, count // TENANTS), **values)
        described = client.query(f"DESCRIBE ({text})").result_rows
        names = ", ".join(row[0] for row in described)
        client.command(f"INSERT INTO {table}_landed ({names}) {text}", settings=IN_ONE_PART)
        _tell(f"{table}: {first + count:,} of {rows:,} rows, {time.perf_counter() - begun:.0f} s")


def _tell(line: str) -> None:
    sys.stderr.write(f"analysts: {line}\n")


def _refresh(client: Client, database: str, rows: int) -> list[Row]:
    """Roll everything up, and then what one more minute brings."""
    taken = []
    rebuild(client, database, UPKEEP)  # one of the empty tables has been; the next would not look for what landed in the past
    for _ in range(2):
        _tell("rolling up what landed")
        begun = time.perf_counter()
        refresh(client, database)
        taken.append(time.perf_counter() - begun)
        client.command(
            "INSERT INTO usage_events_landed (time, tenant, pool, source, id, input_tokens, topic, partition, offset, landed_at) "
            f"SELECT now64(3), concat('tenant-', toString(number % {TENANTS})), 'pool-0', 'live', toString(number), 100, 't', 0, "
            f"{rows} + number, now64(3) FROM numbers({10 * TENANTS})"
        )
    first, next_one = taken
    return [
        {
            "name": f"rolling up what one more minute brought, to {rows:,} events",
            "value": round(next_one, 2),
            "unit": "s",
            "baseline": "rolling up all for the first time",
            "baseline_value": round(first, 1),
            "ratio": round(next_one / first, 3),
            "goal": None,
            "met": None,
        }
    ]


def _compare_with_rows(client: Client, database: str) -> set[str]:
    """A database in which the rollups, and what reads them, are views over single events and periods. Their names."""
    client.command(f"CREATE DATABASE {database}_rows")
    views = {
        level.name: f"SELECT pool, {level.start}(time) AS {level.bucket}, tenant, model, count() AS requests, "
        "sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens, sum(cached_input_tokens) AS cached_input_tokens "
        f"FROM {database}.usage_events GROUP BY ALL"
        for level in LEVELS
        if level.name.startswith("usage")
    }
    of_periods = "toStartOfHour(period_start) AS hour"
    outcomes = OUTCOMES.format(found=f"{database}.allocations AS a")
    views["allocations_by_hour"] = (
        f"SELECT pool, {of_periods}, tenant, why, 1 AS periods, short, demand, toUInt64(sellable > 0) AS could_sell, "
        f"idle, sellable, sellable * price AS worth FROM ({outcomes})"
    )
    views["costs_by_hour"] = f"SELECT pool, {of_periods}, tenant, paid_for, tokens, cost FROM {database}.costs"
    for name, select in views.items():
        client.command(f"CREATE VIEW {database}_rows.{name} AS {select}")
    return set(views)


def _asked(client: Client, database: str, question: Question, repeats: int, rolled: set[str]) -> Row:
    _tell(question.words)
    times = sorted(_time(client, question.sql) for _ in range(repeats))
    p50, p95 = times[len(times) // 2], times[min(len(times) - 1, len(times) * 95 // 100)]
    asked = client.query(question.sql)
    if any(f"FROM {name}\n" in question.sql for name in rolled):
        baseline = "the same without rollups"
        client.database = f"{database}_rows"
        slow = _time(client, question.sql)
        client.database = database
    else:
        baseline = "the same without the skipping index"
        slow = min(_time(client, f"{question.sql}\nSETTINGS use_skip_indexes = 0") for _ in range(min(3, repeats)))
    return {
        "name": f"{question.name.replace('_', ' ')}: p95 of {repeats}",
        "value": round(p95 * 1000),
        "unit": "ms",
        "baseline": baseline,
        "baseline_value": round(slow * 1000),
        "ratio": round(p95 / slow, 4),
        "goal": GOAL_MS,
        "met": p95 * 1000 <= GOAL_MS,
        "p50_ms": round(p50 * 1000),
        "read_rows": int(asked.summary["read_rows"]),
        "read_bytes": int(asked.summary["read_bytes"]),
        "answered_rows": len(asked.result_rows),
    }


def _time(client: Client, sql: str) -> float:
    begun = time.perf_counter()
    client.query(sql)
    return time.perf_counter() - begun


if __name__ == "__main__":
    json.dump(run(sys.argv[1], *map(int, sys.argv[2:3])), sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")
