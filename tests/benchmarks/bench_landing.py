"""Speed of landing, Kafka to ClickHouse, against the slower of decoding alone and a bare insert alone, of the same events.

Run alone: `python tests/benchmarks/bench_landing.py HOST:PORT URL`. The events are JSON and stand in Kafka before the sink starts;
its time runs from the first batch it is given to the last that it says has landed. Broker, ClickHouse and sink share the
machine's cores. Rows of processor time stand beside those of the clock: neighbours on the machine disturb them less.

Where the time of one sink goes (processor time of its threads, 300,000 events): the door's reading about 60 %, aiokafka's unpacking
20 %, the insert's thread (columns, block, HTTP) 12 %, values, plan and event loop 8 %. Nothing waits for anything else: the agent
is inside the door for 80 % of the clock's time, while fetches and inserts go on beside it. But one interpreter runs one of these at
a time, so a single sink stays below decoding alone by what it does besides. `sink_workers` spreads the partitions over processes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

from aiokafka.structs import ConsumerRecord
from clickhouse_connect.driver.client import Client
from confluent_kafka import Producer

from schemas.clickhouse import tables
from streams.clickhouse import connect
from streams.door import Door
from streams.landables import read_inputs
from streams.landing import Collected, columns_of
from streams.partitioning import home_partition
from streams.settings import Settings
from streams.tables import create_tables
from streams.topics import ensure_topics

ROWS = 300_000
REPEATS = 3
TENANTS = 1_000
BATCH = 50_000
WORKER = Path(__file__).parents[1] / "streams" / "sink_worker.py"
LAND_S = 180.0
GOAL = 0.7

Row = dict[str, object]
Clocks = tuple[float, float]
"""Seconds of the clock, seconds of processor time."""


def run(bootstrap: str, clickhouse_url: str, rows: int = ROWS, repeats: int = REPEATS) -> list[Row]:
    """Rows of {name, value, unit, baseline, baseline_value, ratio, goal, met}."""
    with tempfile.TemporaryDirectory() as home:
        name = f"bench{uuid.uuid4().hex[:8]}"
        settings = Settings(
            home=Path(home),
            kafka=bootstrap,
            clickhouse=clickhouse_url,
            topic_prefix=f"{name}.",
            sink_batch="100ms",  # type: ignore[arg-type]  # a duration; the last batch is not full, and a pause is no work
        )
        ensure_topics(settings)
        records = _records(rows, settings.partitions)
        _publish(settings, records)
        best: dict[str, Clocks] = {}
        for turn in range(repeats):  # in turns, so that a busy machine slows all alike
            _keep_best(best, "decoding alone", _decode(records))
            _keep_best(best, "bare insert alone", _insert(_of(settings, f"{name}_i{turn}"), records))
            _keep_best(best, "landing, one sink", _land(_of(settings, f"{name}_a{turn}"), rows, sinks=1))
            _keep_best(best, "landing, two sinks", _land(_of(settings, f"{name}_b{turn}"), rows, sinks=2))
        return [*_compared(best, rows), *_final(_of(settings, f"{name}_f"), rows, repeats)]


def _compared(best: dict[str, Clocks], rows: int) -> list[Row]:
    found: list[Row] = []
    for clock, unit in ((0, "rows/s"), (1, "rows per processor second")):
        # Of processor time an insert costs the client next to nothing: the server does the work.
        alone = ("decoding alone", "bare insert alone") if clock == 0 else ("decoding alone",)
        slower = max(alone, key=lambda way: best[way][clock])
        for way in ("landing, one sink", "landing, two sinks"):
            ratio = best[slower][clock] / best[way][clock]
            found.append(
                {
                    "name": way,
                    "value": round(rows / best[way][clock]),
                    "unit": unit,
                    "baseline": slower,
                    "baseline_value": round(rows / best[slower][clock]),
                    "ratio": round(ratio, 2),
                    "goal": GOAL,
                    "met": ratio >= GOAL,
                    **{f"{each} ({unit})": round(rows / best[each][clock]) for each in alone},
                }
            )
    return found


def _keep_best(best: dict[str, Clocks], way: str, told: Clocks) -> None:
    wall, cpu = best.get(way, (float("inf"), float("inf")))
    best[way] = (min(wall, told[0]), min(cpu, told[1]))


def _of(settings: Settings, database: str) -> Settings:
    """The same topics into another database: what has landed there decides where a sink starts, so it starts at the beginning."""
    return settings.model_copy(update={"clickhouse_database": database})


def _records(rows: int, partitions: int) -> dict[int, list[ConsumerRecord]]:
    """Partition -> its records, as a consumer gives them."""
    now = time.time_ns() // 1_000_000
    found: dict[int, list[ConsumerRecord]] = {partition: [] for partition in range(partitions)}
    for number in range(rows):
        tenant = f"tenant-{number * 7919 % TENANTS:04}".encode()
        fields = {
            "id": f"01HZX3-{number * 2654435761 % 2**40:012x}",
            "source": "backend-7",
            "time": now,
            "tenant": tenant.decode(),
            "pool": "llama-70b",
            "input_tokens": 500 + number % 1000,
            "output_tokens": number % 300,
            "model": "llama-3-70b-instruct",
        }
        value = json.dumps(fields).encode()
        partition = home_partition(tenant, partitions)
        offset = len(found[partition])
        found[partition].append(ConsumerRecord("t", partition, offset, now, 1, tenant, value, None, len(tenant), len(value), ()))
    return found


def _publish(settings: Settings, records: dict[int, list[ConsumerRecord]]) -> None:
    producer = Producer({**settings.kafka_client_config(), "linger.ms": 20, "queue.buffering.max.messages": 1_000_000})
    for partition, held in records.items():
        for record in held:
            producer.produce(settings.topic("usage"), record.value, key=record.key, partition=partition)
    assert producer.flush(120) == 0


def _door(settings: Settings) -> Door:
    return Door(max_event_bytes=settings.max_event_bytes, max_ahead_ms=settings.max_ahead_ms, max_age_ms=settings.max_age_ms)


def _decode(records: dict[int, list[ConsumerRecord]]) -> Clocks:
    read = _door(Settings()).read
    wall, cpu = time.perf_counter(), time.process_time()
    for held in records.values():
        for record in held:
            read("usage", record.value, record.headers, record.key, record.timestamp)
    return time.perf_counter() - wall, time.process_time() - cpu


def _insert(settings: Settings, records: dict[int, list[ConsumerRecord]]) -> Clocks:
    """clickhouse-connect's own insert of rows that are columns already."""
    collected = Collected()
    for partition, held in records.items():
        read_inputs(_door(settings), "usage", len(records))(collected, partition, held)
    items = collected.of("usage_events")
    ddl = next(ddl for ddl in tables(settings.clickhouse_database) if ddl.name == "usage_events")
    now = time.time_ns() // 1_000_000
    batches = [columns_of(ddl, items[at : at + BATCH], "t", now) for at in range(0, len(items), BATCH)]
    client = connect(settings)
    try:
        create_tables(client, settings.clickhouse_database)
        names = [column.name for column in ddl.columns]
        table = f"{settings.clickhouse_database}.{ddl.insert_into}"
        client.insert(table, [column[:1] for column in batches[0]], column_names=names, column_oriented=True)  # it imports pandas
        wall, cpu = time.perf_counter(), time.process_time()
        for batch in batches:
            client.insert(table, batch, column_names=names, column_oriented=True)
        return time.perf_counter() - wall, time.process_time() - cpu
    finally:
        client.command(f"DROP DATABASE IF EXISTS {settings.clickhouse_database}")


def _land(settings: Settings, rows: int, *, sinks: int) -> Clocks:
    environment = {**os.environ, **settings.as_environment(), "PYTHONPATH": str(Path(__file__).parents[2])}
    environment["BOURSE_CLICKHOUSE_DATABASE"] = settings.clickhouse_database
    logs = [settings.home / f"{settings.clickhouse_database}-{number}.log" for number in range(sinks)]
    client = connect(settings)
    running = []
    try:
        for log in logs:
            with log.open("wb") as out:
                running.append(
                    subprocess.Popen([sys.executable, str(WORKER)], env=environment, stdout=out, stderr=subprocess.STDOUT)
                )
        _until_landed(client, settings, rows, logs)
        for process in running:
            process.terminate()
        for process in running:
            process.wait(60)
    finally:
        for process in running:
            process.kill()
            process.wait()
        client.command(f"DROP DATABASE IF EXISTS {settings.clickhouse_database}")
    spans = [span for log in logs if (span := _span(log)) is not None]
    begin, end = min(first["at"] for first, _ in spans), max(last["at"] for _, last in spans)
    return end - begin, sum(last["cpu_s"] - first["cpu_s"] for first, last in spans)


def _span(log: Path) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """What a sink told at its first batch, and when its last had landed."""
    told = [json.loads(line) for line in log.read_text(errors="replace").splitlines() if line.startswith('{"what"')]
    begun, done = [each for each in told if each["what"] == "first"], [each for each in told if each["what"] == "landed"]
    return (begun[0], done[-1]) if begun and done else None


def _until_landed(client: Client, settings: Settings, rows: int, logs: list[Path]) -> None:
    asked = f"SELECT sum(through + 1) FROM {settings.clickhouse_database}.landed WHERE topic = '{settings.topic('usage')}'"
    deadline = time.monotonic() + LAND_S
    while True:
        # Asked seldom: the server that answers is the one that is measured.
        time.sleep(0.5)
        there = client.command(f"EXISTS {settings.clickhouse_database}.landed")
        if there and int(str(client.command(asked))) >= rows:
            return
        assert time.monotonic() < deadline, "\n".join(log.read_text(errors="replace")[-2000:] for log in logs)


def _final(settings: Settings, rows: int, repeats: int) -> list[Row]:
    """What the view's FINAL costs a count over all: ten batches, of which every second event came twice."""
    database = settings.clickhouse_database
    client = connect(settings)
    try:
        create_tables(client, database)
        client.command(f"SYSTEM STOP MERGES {database}.usage_events_landed")
        for batch in range(10):
            event = f"if(number % 2 = 0, number, number + {batch * rows})"
            client.command(
                f"INSERT INTO {database}.usage_events_landed (tenant, source, id, topic, partition, offset, landed_at) "
                f"SELECT concat('tenant-', toString(number % {TENANTS})), 's', toString({event}), "
                f"'t', 0, number + {batch * rows}, now64(3) FROM numbers({rows // 10})"
            )
        apart = {table: _best_sum(client, f"{database}.{table}", repeats) for table in ("usage_events", "usage_events_landed")}
        client.command(f"SYSTEM START MERGES {database}.usage_events_landed")
        client.command(f"OPTIMIZE TABLE {database}.usage_events_landed FINAL")
        merged = {table: _best_sum(client, f"{database}.{table}", repeats) for table in ("usage_events", "usage_events_landed")}
    finally:
        client.command(f"DROP DATABASE IF EXISTS {database}")
    return [
        {
            "name": f"sum over usage_events, {rows:,} copies in {state}",
            "value": round(rows / seconds["usage_events"]),
            "unit": "rows/s",
            "baseline": "the table under the view, without FINAL",
            "baseline_value": round(rows / seconds["usage_events_landed"]),
            "ratio": round(seconds["usage_events_landed"] / seconds["usage_events"], 2),
            "goal": None,
            "met": None,
        }
        for state, seconds in (("ten parts that no merge has joined", apart), ("one part", merged))
    ]


def _best_sum(client: Client, table: str, repeats: int) -> float:
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        client.query(f"SELECT count(), sum(input_tokens) FROM {table}")
        taken.append(time.perf_counter() - start)
    return min(taken)


if __name__ == "__main__":
    json.dump(run(sys.argv[1], sys.argv[2]), sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")
