"""One way to read the metering benchmark's topic, in a process of its own: prints {"events", "wall_s", "cpu_s"} and ends.

Argument: JSON with `way`, `bootstrap`, `prefix`, `events` (records to read) and `seconds` (after which to stop at the latest).
The clock starts when the first records are in hand: neither the start of a process nor the group's first rebalance counts.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

SPEC: dict[str, Any] = json.loads(sys.argv[1])
TOPIC = SPEC["prefix"] + "usage"


class Stopwatch:
    """Counts records, tells the result when it has them all, and ends the process."""

    def __init__(self) -> None:
        self.events = 0
        self.started: tuple[float, float] | None = None

    def start(self) -> None:
        if self.started is None:
            self.started = time.perf_counter(), time.process_time()

    def count(self, records: int) -> None:
        self.events += records
        assert self.started is not None
        wall_s = time.perf_counter() - self.started[0]
        if self.events >= SPEC["events"] or wall_s > SPEC["seconds"]:
            told = {"events": self.events, "wall_s": wall_s, "cpu_s": time.process_time() - self.started[1]}
            print(json.dumps(told), file=sys.__stdout__, flush=True)  # Faust has put a logger in the place of sys.stdout
            os._exit(0)  # a benchmark's worker has nothing to hand over


def decode_plainly(value: bytes) -> Any:
    """What any reader of Avro has to do: fastavro, then pydantic."""
    from fastavro import schemaless_reader

    fields = schemaless_reader(io.BytesIO(value[10:]), _schema(), None)
    return _model().__pydantic_validator__.validate_python(fields, extra="ignore", context="avro")


def _schema() -> Any:
    from schemas.avro import parsed

    return parsed(_model())


def _model() -> Any:
    from schemas.published import UsageEvent

    return UsageEvent


async def getmany(*, decode: bool) -> None:
    """The driver under Faust, alone."""
    import aiokafka

    watch = Stopwatch()
    consumer = aiokafka.AIOKafkaConsumer(TOPIC, bootstrap_servers=SPEC["bootstrap"], auto_offset_reset="earliest", group_id=None)
    await consumer.start()
    while True:
        fetched = await consumer.getmany(timeout_ms=1000, max_records=5000)
        watch.start()
        for records in fetched.values():
            if decode:
                for record in records:
                    if not record.headers:
                        decode_plainly(record.value)
            watch.count(len(records))


def metering() -> None:
    """The meter, as `bourse worker meter` builds it."""
    from streams import worker
    from streams.roles.meter import Meter
    from streams.settings import Settings
    from streams.transport import Batch

    watch, take = Stopwatch(), Meter.take

    async def measured(self: Meter, batch: Batch) -> None:
        watch.start()
        await take(self, batch)
        watch.count(len(batch.records))

    Meter.take = measured  # type: ignore[method-assign]  # the composition root builds it
    home = tempfile.mkdtemp(prefix="bench-metering-")
    worker.run("meter", Settings(home=Path(home), kafka=SPEC["bootstrap"], topic_prefix=SPEC["prefix"]), "meter-1")


def plain_agent() -> None:
    """What a Faust tutorial would do: an agent that takes event by event and counts in a table."""
    import faust

    watch = Stopwatch()
    directory = tempfile.mkdtemp(prefix="bench-metering-")
    app = faust.App(
        f"{SPEC['prefix']}plain",
        broker=f"kafka://{SPEC['bootstrap']}",
        datadir=directory,
        store="memory://",
        web_enabled=False,
        consumer_auto_offset_reset="earliest",
        topic_partitions=SPEC["partitions"],
        topic_disable_leader=True,
        stream_wait_empty=False,
    )
    sums = app.Table("sums", default=int, key_type=str, value_type=int)

    @app.agent(app.topic(TOPIC, value_type=bytes, value_serializer="raw", key_type=bytes))
    async def count(stream: Any) -> None:
        async for event in stream.events():
            watch.start()
            if not event.headers:
                usage = decode_plainly(event.value)
                sums[f"{usage.pool}/{usage.tenant}"] += usage.input_tokens + usage.output_tokens
            watch.count(1)

    faust.Worker(app, loglevel="ERROR", quiet=True).execute_from_commandline()


if __name__ == "__main__":
    match SPEC["way"]:
        case "getmany":
            asyncio.run(getmany(decode=False))
        case "getmany and decode":
            asyncio.run(getmany(decode=True))
        case "metering":
            metering()
        case "plain agent":
            plain_agent()
